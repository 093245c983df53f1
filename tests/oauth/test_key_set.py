from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.errors import ProviderError
from gateway.oauth import base64url
from gateway.oauth.key_set import MAX_BODY_BYTES, MAX_KEYS, MAX_TRIED, read_key_set
from gateway.oauth.roca import has_roca_fingerprint
from tests.oauth.minting import (
    VECTORS,
    generate_ec,
    generate_ed448,
    generate_ed25519,
    generate_rsa,
    jwks,
    key_set,
    needs_vectors,
    public_jwk,
)

RSA = generate_rsa()
OTHER_RSA = generate_rsa()
EC = generate_ec()
ED = generate_ed25519()
RSA_ALGORITHMS = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
GOOD_RSA = public_jwk(RSA, "a", use="sig", alg="RS256")
GOOD_EC = public_jwk(EC, "e")
GOOD_ED = public_jwk(ED, "d")
ENCRYPTION = public_jwk(OTHER_RSA, "enc", use="enc", alg="RSA-OAEP")


def number(value):
    """Write an integer as a member of a JSON Web Key (RFC 7518 §2)."""
    return base64url.encode(value.to_bytes((value.bit_length() + 7) // 8))


MODULUS = RSA.public_key().public_numbers().n


@pytest.mark.parametrize(
    ("jwk", "algorithms"),
    [
        pytest.param(GOOD_RSA, {"RS256"}, id="RSA with alg"),
        pytest.param(public_jwk(RSA, "a"), RSA_ALGORITHMS, id="RSA without alg or use"),
        pytest.param(public_jwk(RSA, alg="PS512"), {"PS512"}, id="RSA without kid"),
        pytest.param(public_jwk(RSA, key_ops=["verify"]), RSA_ALGORITHMS, id="key_ops verify"),
        pytest.param({**GOOD_RSA, "x5c": ["x"], "y": 1}, {"RS256"}, id="unknown members"),
        pytest.param(public_jwk(generate_rsa(3072)), RSA_ALGORITHMS, id="RSA 3072"),
        pytest.param({**GOOD_RSA, "n": number(MODULUS).join(["AAAA", ""])}, {"RS256"}, id="zeros"),
        pytest.param(GOOD_EC, {"ES256"}, id="P-256"),
        pytest.param(public_jwk(generate_ec(ec.SECP384R1())), {"ES384"}, id="P-384"),
        pytest.param(public_jwk(generate_ec(ec.SECP521R1())), {"ES512"}, id="P-521"),
        pytest.param(GOOD_ED, {"EdDSA"}, id="Ed25519"),
        pytest.param(public_jwk(generate_ed448(), alg="EdDSA"), {"EdDSA"}, id="Ed448"),
    ],
)
def test_key_is_kept_for_its_algorithms(jwk, algorithms):
    """A sound key may verify what its kty, curve and alg allow, and nothing else (J3, K5)."""
    keys = key_set(jwk)
    assert keys.dropped == ()
    assert [algorithms] == [key.algorithms for key in keys.keys]


@pytest.mark.parametrize(
    ("jwk", "reason"),
    [
        pytest.param(ENCRYPTION, "use", id="K5 use enc"),
        pytest.param({**GOOD_RSA, "use": None}, "use", id="K5 use null"),
        pytest.param(public_jwk(RSA, key_ops=["encrypt"]), "key_ops", id="K5 key_ops encrypt"),
        pytest.param(public_jwk(RSA, key_ops=[]), "key_ops", id="K5 key_ops empty"),
        pytest.param(public_jwk(RSA, key_ops="verify"), "key_ops", id="K5 key_ops a string"),
        pytest.param({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}, "private", id="K5 oct"),
        pytest.param({"kty": "oct"}, "kty", id="K5 oct without k"),
        pytest.param({**GOOD_RSA, "d": "AQ"}, "private", id="K5 d"),
        pytest.param({**GOOD_RSA, "p": "AQ"}, "private", id="K5 p"),
        pytest.param({**GOOD_EC, "d": "AQ"}, "private", id="K5 EC d"),
        pytest.param(public_jwk(RSA, alg="RSA-OAEP"), "alg", id="K5 alg RSA-OAEP"),
        pytest.param(public_jwk(RSA, alg="HS256"), "alg", id="J2 alg HS256"),
        pytest.param(public_jwk(RSA, alg="none"), "alg", id="J1 alg none"),
        pytest.param(public_jwk(RSA, alg="ES256"), "alg", id="J9 alg of another kty"),
        pytest.param(public_jwk(EC, alg="ES384"), "alg", id="J9 alg of another curve"),
        pytest.param(public_jwk(EC, alg=["ES256"]), "alg", id="alg a list"),
        pytest.param({**GOOD_RSA, "kid": 1}, "kid", id="J5 kid a number"),
        pytest.param({**GOOD_RSA, "kty": "rsa"}, "kty", id="kty in another case"),
        pytest.param({**GOOD_RSA, "kty": ["RSA"]}, "kty", id="kty a list"),
        pytest.param({**GOOD_RSA, "kty": "EC"}, "crv", id="kty of another kind"),
        pytest.param(public_jwk(generate_rsa(1024)), "bits", id="J9 RSA 1024"),
        pytest.param({**GOOD_RSA, "n": number(MODULUS >> 1 | 1)}, "bits", id="J9 RSA 2047"),
        pytest.param({**GOOD_RSA, "n": number((1 << 16384) + 1)}, "bits", id="J9 RSA 16385"),
        pytest.param({**GOOD_RSA, "n": number(MODULUS - 1)}, "even", id="J9 n even"),
        pytest.param({**GOOD_RSA, "n": number(65537**150)}, "ROCA", id="J9 n a power of 65537"),
        pytest.param({**GOOD_RSA, "e": number(1)}, "e is", id="J9 e 1"),
        pytest.param({**GOOD_RSA, "e": ""}, "e is", id="J9 e 0"),
        pytest.param({**GOOD_RSA, "e": number(65536)}, "e is", id="J9 e even"),
        pytest.param({**GOOD_RSA, "e": number((1 << 64) + 1)}, "e is", id="J9 e of 65 bits"),
        pytest.param({**GOOD_RSA, "e": "AQAB=="}, "e is not base64url", id="e padded"),
        pytest.param({**GOOD_RSA, "n": 5}, "n is not", id="n a number"),
        pytest.param({"kty": "RSA"}, "n is not", id="no n"),
        pytest.param({**GOOD_EC, "crv": "P-384"}, "length", id="J9 another curve"),
        pytest.param({**GOOD_EC, "crv": "secp256k1"}, "crv", id="an unknown curve"),
        pytest.param({**GOOD_EC, "crv": ["P-256"]}, "crv", id="crv a list"),
        pytest.param({**GOOD_EC, "x": GOOD_EC["y"]}, "curve", id="J9 off the curve"),
        pytest.param({**GOOD_EC, "x": "A" * 43, "y": "A" * 43}, "curve", id="J9 the origin"),
        pytest.param({**GOOD_EC, "x": "A" + GOOD_EC["x"]}, "x", id="x too long"),
        pytest.param({**GOOD_EC, "y": "AQAB"}, "length", id="y too short"),
        pytest.param({**GOOD_ED, "crv": "X25519"}, "crv", id="X25519"),
        pytest.param({**GOOD_ED, "crv": 1}, "crv", id="OKP crv a number"),
        pytest.param({**GOOD_ED, "x": "AQAB"}, "x is not a key", id="Ed25519 too short"),
        pytest.param({}, "kty", id="K5 empty"),
        pytest.param("x", "object", id="K5 not an object"),
        pytest.param(None, "object", id="K5 null"),
    ],
)
def test_bad_key_is_dropped_alone(jwk, reason):
    """A key that must not verify is dropped with its reason and spoils no other (J9, K5)."""
    sound = public_jwk(OTHER_RSA, "sound")
    for keys in (key_set(jwk, sound), key_set(sound, jwk)):
        assert [key.kid for key in keys.keys] == ["sound"]
        assert len(keys.dropped) == 1
        assert reason in keys.dropped[0]
    with pytest.raises(ProviderError):
        key_set(jwk)


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param([ENCRYPTION, GOOD_RSA], id="K5 encryption key first"),
        pytest.param([GOOD_RSA, ENCRYPTION], id="K5 signing key first"),
        pytest.param([{**ENCRYPTION, "kid": "a"}, GOOD_RSA], id="K5 both under one kid"),
    ],
)
def test_encryption_key_beside_the_signing_key(keys):
    """Keycloak's RSA-OAEP key is left out and its signing key found (K5)."""
    (found,) = key_set(*keys).find("a", "RS256")
    assert found.key == RSA.public_key()


def test_one_kid_for_two_keys_drops_both():
    """Two different keys under one kid are both dropped, the rest stays (K5)."""
    keys = key_set(public_jwk(RSA, "a"), GOOD_EC, public_jwk(OTHER_RSA, "a"))
    assert keys.kids == {"e"}
    assert keys.dropped == ("two different keys share a kid; both are dropped",)


def test_only_ambiguous_keys_is_no_key_set():
    """A set of nothing but ambiguous keys is the provider's fault (K5)."""
    with pytest.raises(ProviderError):
        key_set(public_jwk(RSA, "a"), public_jwk(OTHER_RSA, "a"))


def test_one_key_twice_is_no_ambiguity():
    """The same key under one kid for two algorithms is found for each (K5)."""
    keys = key_set(public_jwk(RSA, "a", alg="RS256"), public_jwk(RSA, "a", alg="PS256"))
    assert [len(keys.find("a", alg)) for alg in ("RS256", "PS256", "RS512")] == [1, 1, 0]


def test_keys_without_kid_are_no_duplicates():
    """Keys may lack a kid and stand side by side (J6)."""
    assert len(key_set(public_jwk(RSA), public_jwk(OTHER_RSA)).find(None, "RS256")) == 2


def test_find_compares_kid_and_alg():
    """A key is found by exactly its kid and one of its algorithms (J3, J5)."""
    keys = key_set(GOOD_RSA, GOOD_EC)
    assert [key.kid for key in keys.find("a", "RS256")] == ["a"]
    assert keys.find("a", "RS384") == ()
    assert keys.find("A", "RS256") == ()
    assert keys.find("", "RS256") == ()
    assert [key.kid for key in keys.find(None, "ES256")] == ["e"]
    assert "a" in keys
    assert "b" not in keys


def test_few_keys_are_tried():
    """Without a kid, at most four keys are tried (J6)."""
    keys = key_set(*(public_jwk(generate_ec(), str(n)) for n in range(MAX_TRIED + 1)))
    assert len(keys.find(None, "ES256")) == MAX_TRIED


@pytest.mark.parametrize(
    ("jwk", "thumbprint"),
    [
        pytest.param(
            {
                "kty": "RSA",
                "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxu"
                "hDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0"
                "h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbO"
                "pbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCu"
                "r-kEgU8awapJzKnqDKgw",
                "e": "AQAB",
                "alg": "RS256",
                "kid": "2011-04-29",
            },
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
            id="RFC 7638 3.1",
        ),
        pytest.param(
            {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
            id="RFC 8037 A.3",
        ),
    ],
)
def test_thumbprints_of_the_rfcs(jwk, thumbprint):
    """A key's identity is its RFC 7638 thumbprint (K4)."""
    assert key_set(jwk).thumbprints == {thumbprint}


def test_thumbprint_does_not_depend_on_spelling():
    """Leading zeros, kid and alg do not change what a key is (K4)."""
    padded = {**public_jwk(RSA, "b"), "n": "AAAA" + number(MODULUS)}
    assert len(key_set(GOOD_RSA, padded).thumbprints) == 1


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="K3 empty"),
        pytest.param(b"<html>", id="K3 HTML"),
        pytest.param(b"[]", id="K3 a list"),
        pytest.param(b"{}", id="K3 no keys"),
        pytest.param(b'{"keys":[]}', id="K3 an empty list"),
        pytest.param(b'{"keys":{}}', id="K3 keys an object"),
        pytest.param(b'{"keys":[],"keys":[]}', id="K3 keys twice"),
        pytest.param(json.dumps({"keys": [GOOD_RSA] * (MAX_KEYS + 1)}).encode(), id="K7 101 keys"),
        pytest.param(jwks(GOOD_RSA) + b" " * MAX_BODY_BYTES, id="K7 over 512 KiB"),
    ],
)
def test_unusable_set_is_refused(body):
    """What is no JWK Set, or too large for one, is the provider's fault (K3, K7)."""
    with pytest.raises(ProviderError):
        read_key_set(body)


def test_a_hundred_keys_are_read():
    """The limit itself is allowed (K7)."""
    assert len(key_set(*[GOOD_RSA] * MAX_KEYS).keys) == MAX_KEYS


def test_reasons_quote_nothing():
    """A reason names the key by its number, not by what it says of itself (J5, L1)."""
    keys = key_set(GOOD_RSA, {**GOOD_EC, "kid": "a\r\ncanary", "crv": "canary"})
    assert keys.dropped == ("key 2: crv is none of P-256, P-384 and P-521",)


def test_sound_moduli_bear_no_roca_fingerprint():
    """Keys of a sound generator pass the fingerprint check (J9)."""
    assert not has_roca_fingerprint(MODULUS)
    assert not has_roca_fingerprint(OTHER_RSA.public_key().public_numbers().n)


@needs_vectors
def test_roca_key_is_dropped():
    """The vulnerable key of Wycheproof is recognised (J9, J25)."""
    groups = json.loads((VECTORS / "wycheproof/json_web_key_test.json").read_text())["testGroups"]
    (group,) = (group for group in groups if group["comment"] == "jws_rsa_roca_key")
    with pytest.raises(ProviderError, match="ROCA"):
        read_key_set(json.dumps(group["public"]).encode())


@needs_vectors
def test_json_test_suite_as_a_key_set():
    """No file of JSONTestSuite is a key set, alone or as a key, and none ends otherwise (N5)."""
    for path in (VECTORS / "JSONTestSuite/test_parsing").glob("*.json"):
        for body in (path.read_bytes(), b'{"keys":[' + path.read_bytes() + b"]}"):
            with pytest.raises(ProviderError):
                read_key_set(body)
