from __future__ import annotations

import json

import jwt
import pytest

from gateway.errors import ProviderError
from gateway.oauth import base64url
from gateway.oauth.jws import InvalidTokenError, verify_signature
from gateway.oauth.key_set import read_key_set
from tests.oauth.minting import VECTORS, jwks, key_set, needs_vectors

pytestmark = needs_vectors

FILES = ["json_web_signature_test", "json_web_key_test", "json_web_crypto_test"]

# Called valid although the JWK's alg is not that of the token (PS256 and PS384, ES521 and ES512):
# we keep to a key's alg (RFC 7517 §4.4).
MISLABELLED = {("rfc7520", "Figure20"), ("rfc7520", "Figure27")} | {
    ("rfc7520WithKeyOps", "Figure20"),
    ("rfc7520WithKeyOps", "Figure27"),
}


def cases(name, result):
    """List (group, test) of a file of JWS vectors whose result is ``result``; JWE is left out."""
    groups = json.loads((VECTORS / f"wycheproof/{name}.json").read_text())["testGroups"]
    return [
        (group, test)
        for group in groups
        for test in group["tests"]
        if "jws" in test and test["result"] == result
    ]


def accepted(group, test):
    """Tell whether our key filter and our signature check accept the token."""
    keys = group.get("public", group["private"])
    try:
        key_set = read_key_set(json.dumps(keys).encode() if "keys" in keys else jwks(keys))
        verify_signature(test["jws"], key_set)
    except (ProviderError, InvalidTokenError):
        return False
    return True


def names(pairs):
    """Name the tests of ``pairs``."""
    return {(group["comment"], test["comment"]) for group, test in pairs}


@pytest.mark.parametrize(
    ("name", "count"),
    [
        pytest.param("json_web_signature_test", 355, id="J25 JWS"),
        pytest.param("json_web_key_test", 21, id="J25 JWK"),
        pytest.param("json_web_crypto_test", 45, id="J25 crypto"),
    ],
)
def test_invalid_tokens_are_refused(name, count):
    """No token Wycheproof calls invalid is accepted, the ROCA key included (J25, N4)."""
    invalid = cases(name, "invalid")
    assert len(invalid) == count
    assert names(case for case in invalid if accepted(*case)) == set()


@pytest.mark.parametrize(
    ("name", "count"),
    [
        pytest.param("json_web_signature_test", 36, id="J25 JWS"),
        pytest.param("json_web_key_test", 1, id="J25 JWK"),
        pytest.param("json_web_crypto_test", 2, id="J25 crypto"),
    ],
)
def test_valid_tokens_are_accepted(name, count):
    """Every valid token by an asymmetric algorithm is accepted, mislabelled keys apart (N4)."""
    valid = [case for case in cases(name, "valid") if "public" in case[0]]
    assert len(valid) == count
    refused = names(case for case in valid if not accepted(*case))
    assert refused == names(valid) & MISLABELLED


@pytest.mark.parametrize(
    ("name", "alg", "count"),
    [
        pytest.param("ecdsa_secp256r1_sha256_p1363_test", "ES256", 262, id="J8 ES256"),
        pytest.param("rsa_signature_2048_sha256_test", "RS256", 259, id="J8 RS256"),
    ],
)
def test_raw_signatures_are_told_apart(name, alg, count):
    """Raw signatures verify exactly where Wycheproof calls them valid (J8, N4)."""
    groups = json.loads((VECTORS / f"wycheproof/{name}.json").read_text())["testGroups"]
    outcomes = [
        (test["tcId"], test["result"], "valid" if verifies(group, alg, test) else "invalid")
        for group in groups
        for test in group["tests"]
    ]
    assert len(outcomes) == count
    assert [row for row in outcomes if row[1] not in (row[2], "acceptable")] == []


def verifies(group, alg, test):
    """Tell whether a raw signature verifies with the key our filter makes of the group's."""
    (key,) = key_set(group.get("keyJwk") or ec_jwk(group)).find(None, alg)
    message, signature = bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"])
    return jwt.get_algorithm_by_name(alg).verify(message, key.key, signature)


def ec_jwk(group):
    """Write a group's uncompressed point as a JSON Web Key; not every group has one."""
    point = bytes.fromhex(group["publicKey"]["uncompressed"])
    x, y = base64url.encode(point[1:33]), base64url.encode(point[33:])
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}
