from __future__ import annotations

import hashlib
import hmac
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.oauth.jws import (
    ASYMMETRIC_ALGORITHMS,
    InvalidTokenError,
    UnknownKeyError,
    is_compact_jws,
    verify_signature,
)
from tests.oauth.minting import (
    VECTORS,
    generate_ec,
    generate_ed448,
    generate_ed25519,
    generate_rsa,
    jwks,
    key_set,
    mint,
    needs_vectors,
    public_jwk,
    sign,
    with_header,
    with_signature,
)

RSA = generate_rsa()
OTHER_RSA = generate_rsa()
EC = generate_ec()
ED = generate_ed25519()
KEYS = key_set(public_jwk(RSA, "r"), public_jwk(EC, "e"), public_jwk(ED, "d"))
SIGNERS = {"RS256": (RSA, "r"), "ES256": (EC, "e"), "EdDSA": (ED, "d")}


def token_by(alg, **header):
    """Mint a token with ``alg`` under the right kid, its header changed by ``header``."""
    key, kid = SIGNERS[alg]
    return mint(key, alg, {"kid": kid, **header})


GOOD = token_by("RS256")


@pytest.mark.parametrize("alg", sorted(ASYMMETRIC_ALGORITHMS))
def test_every_allowed_algorithm_verifies(alg):
    """Each algorithm of the default allow-list verifies with a key of its kind (J3)."""
    curves = {"ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
    makers = {"R": generate_rsa, "P": generate_rsa, "E": lambda: generate_ec(curves.get(alg))}
    key = generate_ed448() if alg == "EdDSA" else makers[alg[0]]()
    keys = key_set(public_jwk(key, "k"))
    verified = verify_signature(mint(key, alg, {"kid": "k"}), keys)
    assert verified.header == {"alg": alg, "typ": "JWT", "kid": "k"}
    assert {verified.thumbprint} == keys.thumbprints


@pytest.mark.parametrize(
    "alg",
    [
        pytest.param("none", id="J1 none"),
        pytest.param("None", id="J1 None"),
        pytest.param("NONE", id="J1 NONE"),
        pytest.param("nOnE", id="J1 nOnE"),
        pytest.param("", id="J1 empty"),
        pytest.param(None, id="J1 missing"),
        pytest.param(["RS256"], id="J1 array"),
        pytest.param({"RS256": 1}, id="J1 object"),
        pytest.param(1, id="J1 number"),
        pytest.param("HS256", id="J3 HS256"),
        pytest.param("rs256", id="J3 lower case"),
        pytest.param("ES256K", id="J3 ES256K"),
        pytest.param("RS256 ", id="J3 space"),
    ],
)
@pytest.mark.parametrize("signature", [None, b""], ids=["signed", "unsigned"])
def test_other_algorithms_are_refused(alg, signature):
    """Only an algorithm of the allow-list, exactly spelt, is looked at (J1, J3)."""
    token = with_header(GOOD, {"alg": alg, "kid": "r"} if alg is not None else {"kid": "r"})
    token = token if signature is None else with_signature(token, signature)
    with pytest.raises(InvalidTokenError, match="alg is not allowed"):
        verify_signature(token, KEYS)


def test_allow_list_is_kept():
    """A good token by an algorithm the operator left out is refused (J3)."""
    assert verify_signature(token_by("RS256"), KEYS, {"RS256"})
    with pytest.raises(InvalidTokenError):
        verify_signature(token_by("RS256"), KEYS, {"ES256"})


def test_symmetric_algorithms_cannot_be_allowed():
    """An allow-list with HS256 or none on it still lets neither in (J1, J2, J3)."""
    for alg in ("HS256", "none"):
        with pytest.raises(InvalidTokenError, match="alg is not allowed"):
            verify_signature(with_header(GOOD, {"alg": alg, "kid": "r"}), KEYS, {"HS256", "none"})


def test_algorithm_of_the_key_is_kept():
    """A key with alg RS256 verifies no RS512 or PS256 token, signed by it though they are (J3)."""
    keys = key_set(public_jwk(RSA, "r", alg="RS256"))
    assert verify_signature(mint(RSA, "RS256", {"kid": "r"}), keys)
    for alg in ("RS512", "PS256"):
        with pytest.raises(UnknownKeyError):
            verify_signature(mint(RSA, alg, {"kid": "r"}), keys)


PUBLIC = RSA.public_key()
PEM = PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param(PEM, id="J2 PEM"),
        pytest.param(PEM.strip(), id="J2 PEM without the last line break"),
        pytest.param(b"\xef\xbb\xbf" + PEM, id="J2 PEM behind a byte order mark"),
        pytest.param(b"\n " + PEM, id="J2 PEM behind white space"),
        pytest.param(PUBLIC.public_bytes(Encoding.PEM, PublicFormat.PKCS1), id="J2 PKCS1 PEM"),
        pytest.param(
            PUBLIC.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), id="J2 DER"
        ),
        pytest.param(json.dumps(public_jwk(RSA, "r")).encode(), id="J2 JWK"),
        pytest.param(jwks(public_jwk(RSA, "r")), id="J2 JWK Set"),
        pytest.param(b"", id="J2 empty"),
    ],
)
def test_public_key_is_no_hmac_secret(secret):
    """An HS256 token made with the public key in any form is refused (J2)."""
    token = with_header(GOOD, {"alg": "HS256", "kid": "r", "typ": "JWT"})
    mac = hmac.digest(secret, token.rpartition(".")[0].encode(), hashlib.sha256)
    for algorithms in (ASYMMETRIC_ALGORITHMS, {"HS256"}):
        with pytest.raises(InvalidTokenError):
            verify_signature(with_signature(token, mac), KEYS, algorithms)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param({"jwk": public_jwk(OTHER_RSA, "r")}, id="J4 jwk"),
        pytest.param({"jwk": public_jwk(OTHER_RSA, "x"), "kid": "x"}, id="J4 jwk and its kid"),
        pytest.param({"jku": "https://evil.example/jwks"}, id="J4 jku"),
        pytest.param({"x5u": "https://evil.example/cert"}, id="J4 x5u"),
        pytest.param({"x5c": ["MIIB"], "x5t": "AA", "x5t#S256": "AA"}, id="J4 x5c"),
    ],
)
def test_embedded_keys_are_ignored(header):
    """A key or its address in the header changes nothing for the better (J4)."""
    with pytest.raises(InvalidTokenError):
        verify_signature(mint(OTHER_RSA, "RS256", {"kid": "r", **header}), KEYS)
    assert verify_signature(mint(RSA, "RS256", {**header, "kid": "r"}), KEYS)


@pytest.mark.parametrize(
    ("kid", "error"),
    [
        pytest.param("R", UnknownKeyError, id="J5 case"),
        pytest.param("", UnknownKeyError, id="J5 empty"),
        pytest.param("../../dev/null", UnknownKeyError, id="J5 path"),
        pytest.param("' OR 1=1", UnknownKeyError, id="J5 SQL"),
        pytest.param("https://evil.example/", UnknownKeyError, id="J5 URL"),
        pytest.param("r\r\n", UnknownKeyError, id="J5 CR LF"),
        pytest.param("\u202er", UnknownKeyError, id="J5 unicode"),
        pytest.param("r" * 10_240, InvalidTokenError, id="J5 10 KiB"),
        pytest.param(0, InvalidTokenError, id="J5 number"),
        pytest.param(True, InvalidTokenError, id="J5 boolean"),
        pytest.param(["r"], InvalidTokenError, id="J5 list"),
    ],
)
def test_kid_is_only_compared(kid, error):
    """Any kid but an exact one finds no key, and the error does not quote it (J5)."""
    with pytest.raises(error) as caught:
        verify_signature(token_by("RS256", kid=kid), KEYS)
    assert type(caught.value) is error
    assert str(kid) not in str(caught.value) or kid in ("", 0)


def test_null_kid_is_refused():
    """A kid that is null is no missing kid (J5)."""
    token = sign(RSA, "RS256", b'{"alg":"RS256","kid":null}', b"{}")
    with pytest.raises(InvalidTokenError, match="kid is not a string"):
        verify_signature(token, KEYS)


def test_token_without_kid_tries_the_fitting_keys():
    """Without a kid the keys that fit are tried, one or several (J6)."""
    assert verify_signature(mint(EC, "ES256"), KEYS)
    several = key_set(public_jwk(OTHER_RSA, "o"), public_jwk(RSA, "r"), public_jwk(EC, "e"))
    assert verify_signature(mint(RSA, "RS256"), several)
    with pytest.raises(InvalidTokenError, match="signature"):
        verify_signature(mint(generate_ec(), "ES256"), several)
    with pytest.raises(UnknownKeyError):
        verify_signature(mint(ED, "EdDSA"), several)


def test_key_without_kid_does_not_match_a_kid():
    """A kid in the token asks for a key that bears it (J5)."""
    with pytest.raises(UnknownKeyError):
        verify_signature(token_by("ES256"), key_set(public_jwk(EC)))


def test_same_kid_of_another_issuer_verifies_nothing():
    """A token by issuer A's key fails with B's key set, though the kid is the same (J21)."""
    with pytest.raises(InvalidTokenError, match="signature"):
        verify_signature(token_by("RS256"), key_set(public_jwk(OTHER_RSA, "r")))


@pytest.mark.parametrize(
    "header",
    [
        pytest.param({"crit": ["unknown"]}, id="J7 unknown"),
        pytest.param({"crit": []}, id="J7 empty"),
        pytest.param({"crit": "exp"}, id="J7 not a list"),
        pytest.param({"crit": ["b64"], "b64": False}, id="J7 b64 false"),
        pytest.param({"crit": ["b64"], "b64": True}, id="J7 b64 true"),
        pytest.param({"crit": ["exp"], "exp": 1}, id="J7 exp"),
        pytest.param({"b64": True}, id="J7 b64 alone"),
        pytest.param({"zip": "DEF"}, id="J10 zip"),
    ],
)
def test_extensions_are_refused(header):
    """A signed header that asks for an extension is refused (J7, J10)."""
    with pytest.raises(InvalidTokenError, match="not supported"):
        verify_signature(token_by("RS256", **header), KEYS)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(b'{"alg":"none","alg":"RS256","kid":"r"}', id="J12 duplicate alg"),
        pytest.param(rb'{"alg":"RS256","kid":"x","\u006bid":"r"}', id="J12 duplicate kid"),
        pytest.param(b'["RS256"]', id="J13 list"),
        pytest.param(b"", id="J13 empty"),
        pytest.param(b'\xef\xbb\xbf{"alg":"RS256","kid":"r"}', id="J13 byte order mark"),
        pytest.param('{"alg":"RS256","kid":"r"}'.encode("utf-16"), id="J13 UTF-16"),
        pytest.param(b'{"alg":"RS256","kid":"r","x":NaN}', id="J13 NaN"),
        pytest.param(b'{"alg":"RS256","kid":"r","x":"\\ud800"}', id="J13 surrogate"),
        pytest.param(
            b'{"alg":"RS256","kid":"r","x":' + b"[" * 40 + b"]" * 40 + b"}", id="J13 deep"
        ),
        pytest.param(b'{"alg":"RS256","kid":"r"} x', id="J13 more behind it"),
    ],
)
def test_headers_with_two_readings_are_refused(header):
    """A signed header that is no plain JSON object is refused (J12, J13)."""
    with pytest.raises(InvalidTokenError, match="header"):
        verify_signature(sign(RSA, "RS256", header, b"{}"), KEYS)


@needs_vectors
def test_json_test_suite_as_a_header():
    """No file of JSONTestSuite is the header of a token, and none ends otherwise (N5)."""
    for path in (VECTORS / "JSONTestSuite/test_parsing").glob("*.json"):
        with pytest.raises(InvalidTokenError):
            verify_signature(sign(ED, "EdDSA", path.read_bytes(), b"{}"), KEYS)


@pytest.mark.parametrize(
    ("token", "told"),
    [
        pytest.param("eyJhbGciOiJub25lIn0.e30.", True, id="says-so-and-is-not-good"),
        pytest.param("eyJ0eXAiOiJKV1QifQ.e30.c2ln", False, id="no-alg"),
        pytest.param("one.two.three", False, id="no-json"),
        pytest.param("eyJhbGciOiJub25lIn0.e30", False, id="two-segments"),
        pytest.param("opaque", False, id="opaque"),
    ],
)
def test_says_that_it_is_a_jwt(token, told):
    """RFC 7515 §3.1: three segments and an `alg` tell that a token is to be verified here."""
    assert told is is_compact_jws(token)
