from __future__ import annotations

import base64
import hashlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from gateway.oauth import base64url
from gateway.oauth.client_key import (
    generate_client_key,
    read_certificate_jwk,
    read_client_key,
    write_key_set,
)
from gateway.oauth.jwk import UnusableKeyError
from gateway.oauth.key_set import read_key_set
from tests.oauth.minting import generate_ec, generate_ed448, generate_ed25519, generate_rsa
from tests.provider.certificates import self_signed

RSA, P256, P384, P521 = (
    generate_rsa(),
    generate_ec(),
    generate_ec(ec.SECP384R1()),
    generate_ec(ec.SECP521R1()),
)
ED25519, ED448 = generate_ed25519(), generate_ed448()
ALGORITHMS = ("RS256", "PS512", "ES256", "ES384", "ES512", "EdDSA")
PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}  # RFC 7518 §6.2.2, §6.3.2, §6.4

# RFC 8037 appendix A.1 to A.3, RFC 7517 appendix A.2.
RFC_8037 = {
    "kty": "OKP",
    "crv": "Ed25519",
    "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}
RFC_8037_THUMBPRINT = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
RFC_7517_EC = {
    "kty": "EC",
    "crv": "P-256",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    "d": "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE",
    "use": "enc",
    "kid": "1",
}


def pem(key, form=PrivateFormat.PKCS8, encryption=None):
    """Write a private key in PEM."""
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption())


def fingerprint(public_key):
    """Compute the name of a key: the SHA-256 of its SubjectPublicKeyInfo, in base64url."""
    info = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64url.encode(hashlib.sha256(info).digest())


def private_jwk(key, **changes):
    """Write a private key as a JWK; a member changed to None is left out."""
    if isinstance(key, rsa.RSAPrivateKey):
        members = RSAAlgorithm.to_jwk(key, as_dict=True)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        members = ECAlgorithm.to_jwk(key, as_dict=True)
    else:
        members = OKPAlgorithm.to_jwk(key, as_dict=True)
    members = {**members, "key_ops": None, **changes}
    return json.dumps({name: value for name, value in members.items() if value is not None})


@pytest.mark.parametrize(
    ("data", "alg"),
    [
        pytest.param(pem(RSA), "RS256", id="RSA-PKCS8"),
        pytest.param(pem(RSA, PrivateFormat.TraditionalOpenSSL), "RS256", id="RSA-PKCS1"),
        pytest.param(pem(P256), "ES256", id="P-256-PKCS8"),
        pytest.param(pem(P256, PrivateFormat.TraditionalOpenSSL), "ES256", id="P-256-SEC1"),
        pytest.param(pem(P384), "ES384", id="P-384"),
        pytest.param(pem(P521), "ES512", id="P-521"),
        pytest.param(pem(ED25519), "EdDSA", id="Ed25519"),
        pytest.param(pem(ED448), "EdDSA", id="Ed448"),
        pytest.param(b"Bag Attributes\n  x\n" + pem(P256), "ES256", id="text-before"),
    ],
)
def test_pem(data, alg):
    """A PEM key is read in each of its forms and named by its fingerprint."""
    key = read_client_key(data)
    [published] = read_key_set(write_key_set([key.jwk()])).keys
    assert (published.kid, published.algorithms) == (key.kid, {alg})
    assert key.kid == fingerprint(published.key)


@pytest.mark.parametrize(
    ("key", "alg"),
    [
        pytest.param(RSA, "RS256", id="RSA"),
        pytest.param(P256, "ES256", id="P-256"),
        pytest.param(P384, "ES384", id="P-384"),
        pytest.param(P521, "ES512", id="P-521"),
        pytest.param(ED25519, "EdDSA", id="Ed25519"),
        pytest.param(ED448, "EdDSA", id="Ed448"),
    ],
)
def test_jwk(key, alg):
    """A JWK gives the same key as its PEM, under its own kid."""
    read = read_client_key(private_jwk(key, kid="mine").encode())
    assert (read.kid, read.alg) == ("mine", alg)
    assert read.pem() == pem(key)


def test_jwk_without_primes():
    """RFC 7518 §6.3.2: an RSA key of n, e and d alone is whole."""
    leaner = dict.fromkeys(("p", "q", "dp", "dq", "qi"))
    read = read_client_key(private_jwk(RSA, **leaner).encode())
    assert read.private_key.private_numbers().d == RSA.private_numbers().d


def test_rfc_8037_example():
    """The key of RFC 8037 appendix A.1 has the public half of A.2."""
    key = read_client_key(json.dumps({**RFC_8037, "kid": RFC_8037_THUMBPRINT}).encode())
    assert key.jwk() == {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": RFC_8037["x"],
        "kid": RFC_8037_THUMBPRINT,
        "use": "sig",
        "alg": "EdDSA",
    }


@pytest.mark.parametrize(
    ("said", "asked", "alg"),
    [
        pytest.param({}, None, "RS256", id="default"),
        pytest.param({"alg": "PS384"}, None, "PS384", id="of-the-JWK"),
        pytest.param({}, "PS512", "PS512", id="asked-for"),
        pytest.param({"alg": "RS512"}, "RS512", "RS512", id="both-the-same"),
    ],
)
def test_algorithm(said, asked, alg):
    """What is asked for is taken, else what the JWK says, else RS256."""
    assert read_client_key(private_jwk(RSA, **said).encode(), asked).alg == alg


@pytest.mark.parametrize(
    ("data", "asked", "reason"),
    [
        pytest.param(pem(RSA), "ES256", "does not fit ES256; it fits PS256", id="RSA-for-ES256"),
        pytest.param(pem(P256), "ES384", "it fits ES256", id="P-256-for-ES384"),
        pytest.param(pem(P256), "EdDSA", "it fits ES256", id="P-256-for-EdDSA"),
        pytest.param(pem(ED25519), "RS256", "it fits EdDSA", id="Ed25519-for-RS256"),
        pytest.param(
            private_jwk(RSA, alg="PS256").encode(), "RS256", "it fits PS256", id="JWK-of-PS256"
        ),
    ],
)
def test_algorithm_that_does_not_fit(data, asked, reason):
    """A key is used for its own algorithms alone (RFC 8725 §3.1)."""
    with pytest.raises(UnusableKeyError, match=reason):
        read_client_key(data, asked)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "neither", id="empty"),
        pytest.param(b"\xff\xfe", "neither", id="not-text"),
        pytest.param(
            RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "neither",
            id="public-PEM",
        ),
        pytest.param(self_signed(P256), "neither", id="certificate"),
        pytest.param(pem(RSA)[:200], "neither", id="cut-off"),
        pytest.param(
            pem(RSA, encryption=BestAvailableEncryption(b"x")), "encrypted", id="encrypted"
        ),
        pytest.param(pem(generate_rsa(1024)), "2048", id="K5-RSA-1024"),
        pytest.param(pem(generate_ec(ec.SECP256K1())), "P-256", id="secp256k1"),
        pytest.param(pem(x25519.X25519PrivateKey.generate()), "not an RSA", id="X25519"),
        pytest.param(pem(dsa.generate_private_key(2048)), "not an RSA", id="DSA"),
        pytest.param(b"{", "not a JWK", id="half-an-object"),
        pytest.param(b'{"kty":"RSA","kty":"EC"}', "not a JWK", id="duplicate-member"),
        pytest.param(b'{"keys":[]}', "no private member", id="a-JWK-Set"),
        pytest.param(private_jwk(P256, d=None).encode(), "no private member", id="public-JWK"),
        pytest.param(b'{"kty":"oct","k":"c2VjcmV0"}', "no private member", id="secret"),
        pytest.param(private_jwk(P256, kty="oct").encode(), "kty and crv", id="kty-oct"),
        pytest.param(private_jwk(P256, crv="P-999").encode(), "kty and crv", id="curve"),
        pytest.param(private_jwk(P256, crv=["P-256"]).encode(), "kty and crv", id="curve-a-list"),
        pytest.param(private_jwk(P256, d="!").encode(), "d is not base64url", id="d-not-base64url"),
        pytest.param(private_jwk(P256, d=1).encode(), "d is not a string", id="d-a-number"),
        pytest.param(private_jwk(P256, d="AA").encode(), "not a private key", id="d-zero"),
        pytest.param(private_jwk(ED25519, d="AA").encode(), "not a private key", id="d-too-short"),
        pytest.param(private_jwk(P256, use="enc").encode(), "use is not sig", id="use-enc"),
        pytest.param(json.dumps(RFC_7517_EC).encode(), "use is not sig", id="RFC-7517-A.2"),
        pytest.param(private_jwk(P256, key_ops=["verify"]).encode(), "lacks sign", id="key_ops"),
        pytest.param(private_jwk(P256, key_ops="sign").encode(), "lacks sign", id="key_ops-text"),
        pytest.param(private_jwk(P256, alg="none").encode(), "alg is not", id="alg-none"),
        pytest.param(private_jwk(P256, alg="HS256").encode(), "alg is not", id="alg-HS256"),
        pytest.param(private_jwk(P256, kid=7).encode(), "kid is not", id="kid-a-number"),
        pytest.param(
            private_jwk(P256, x=json.loads(private_jwk(generate_ec()))["x"]).encode(),
            "belong together",
            id="x-of-another-EC-key",
        ),
        pytest.param(
            private_jwk(ED25519, x=json.loads(private_jwk(generate_ed25519()))["x"]).encode(),
            "belong together",
            id="x-of-another-Ed25519-key",
        ),
        pytest.param(private_jwk(P256, y=None).encode(), "belong together", id="no-y"),
        pytest.param(private_jwk(RSA, p="Aw").encode(), "not a private key", id="RSA-wrong-prime"),
        pytest.param(private_jwk(RSA, n=None).encode(), "n is not a string", id="RSA-no-n"),
        pytest.param(private_jwk(RSA, oth=[]).encode(), "two primes", id="RSA-three-primes"),
        pytest.param(private_jwk(RSA, p="AA").encode(), "not a private key", id="RSA-prime-0"),
        pytest.param(private_jwk(RSA, p="AQ").encode(), "not a private key", id="RSA-prime-1"),
        pytest.param(private_jwk(RSA, q="AQ").encode(), "not a private key", id="RSA-q-1"),
    ],
)
def test_wrong_key(data, reason):
    """Whatever is not one strong private signing key is refused, and none of it is quoted."""
    with pytest.raises(UnusableKeyError, match=reason) as caught:
        read_client_key(data)
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_generated_key(alg):
    """A generated key fits its algorithm, is named by its fingerprint, and survives its file."""
    key = generate_client_key(alg)
    assert key.kid == fingerprint(key.private_key.public_key())
    again = read_client_key(key.pem(), alg)
    assert (again.kid, again.alg, again.pem()) == (key.kid, alg, key.pem())


def test_generated_by_default():
    """Without an algorithm a key is for RS256 and has 2048 bits (RFC 7518 §3.3)."""
    key = generate_client_key()
    assert (key.alg, key.private_key.key_size) == ("RS256", 2048)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(pem(RSA), id="RSA"),
        pytest.param(pem(P256), id="EC"),
        pytest.param(pem(ED25519), id="OKP"),
        pytest.param(private_jwk(RSA, kid="k").encode(), id="RSA-JWK"),
        pytest.param(private_jwk(P521, kid="k").encode(), id="EC-JWK"),
        pytest.param(json.dumps(RFC_8037).encode(), id="OKP-JWK"),
    ],
)
def test_no_private_member_is_published(data):
    """A published key has no private member, and the key itself shows none (RFC 7517 §9.2, L1)."""
    key = read_client_key(data)
    [jwk] = json.loads(write_key_set([key.jwk()]))["keys"]
    assert PRIVATE.isdisjoint(jwk)
    assert {"kid", "use", "alg", "kty"} <= set(jwk)
    assert "rivate" not in repr(key)
    secret = json.loads(private_jwk(key.private_key))["d"]
    assert secret not in json.dumps(jwk) + repr(key)


def test_empty_key_set():
    """Without a key the JWK Set is one, and empty (RFC 7517 §5)."""
    assert json.loads(write_key_set(())) == {"keys": []}


@pytest.mark.parametrize("key", [RSA, P256, ED25519], ids=["RSA", "EC", "Ed25519"])
def test_certificate_as_jwk(key):
    """RFC 8705 §2.2.2: a self-signed certificate is published as the x5c of its key."""
    certificate = self_signed(key)
    jwk = read_certificate_jwk(certificate)
    assert PRIVATE.isdisjoint(jwk)
    [published] = read_key_set(write_key_set([jwk])).keys
    assert published.kid == fingerprint(key.public_key())
    body = b"".join(certificate.splitlines()[1:-1])
    assert [body.decode("ascii")] == jwk["x5c"]
    assert base64.b64decode(jwk["x5c"][0], validate=True)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(pem(P256), id="key-alone"),
        pytest.param(self_signed(P256)[:90], id="cut-off"),
        pytest.param(self_signed(generate_rsa(1024)), id="weak"),
        pytest.param(self_signed(generate_ec(ec.SECP256K1())), id="curve"),
        pytest.param(self_signed(dsa.generate_private_key(2048)), id="DSA"),
    ],
)
def test_wrong_certificate(data):
    """A certificate that cannot be published is refused."""
    with pytest.raises(UnusableKeyError):
        read_certificate_jwk(data)
