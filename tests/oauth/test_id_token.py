"""T9: which ID tokens may be sent on: those for the client that asked, and of this login."""

from __future__ import annotations

import hashlib

import pytest

from gateway.oauth import base64url
from gateway.oauth.claims import Expectation
from gateway.oauth.id_token import IDToken, verify_id_token
from gateway.oauth.jws import InvalidTokenError, UnknownKeyError
from tests.oauth.minting import (
    CLIENT_ID,
    ISSUER,
    NOW,
    generate_ec,
    generate_ed448,
    generate_ed25519,
    generate_rsa,
    good_claims,
    key_set,
    mint,
    public_jwk,
)

RSA, EC, ED, ED448 = generate_rsa(), generate_ec(), generate_ed25519(), generate_ed448()
KEYS = key_set(
    public_jwk(RSA, "rsa"), public_jwk(EC, "ec"), public_jwk(ED, "ed"), public_jwk(ED448, "ed448")
)
ACCESS_TOKEN, SUBJECT = "ey.the.access-token", "f1c2"


def half(digest):
    """Write the left half of a digest."""
    return base64url.encode(digest[: len(digest) // 2])


AT_HASH = half(hashlib.sha256(ACCESS_TOKEN.encode()).digest())
AT_HASH_512 = half(hashlib.sha512(ACCESS_TOKEN.encode()).digest())
AT_HASH_448 = half(hashlib.shake_256(ACCESS_TOKEN.encode()).digest(114))
GOOD = {"aud": CLIENT_ID, "typ": "ID", "at_hash": AT_HASH, "scope": None}


def verified(changes, key=RSA, alg="RS256", *, kid="rsa", now=NOW, **header):
    """Verify an ID token with a good signature and these changes."""
    token = mint(key, alg, {"kid": kid, **header}, good_claims(**{**GOOD, **changes}))
    expectation = Expectation(ISSUER, CLIENT_ID)
    return token, verify_id_token(
        token, KEYS, expectation, now, access_token=ACCESS_TOKEN, subject=SUBJECT
    )


def test_good():
    """A good one is given back as it was written, with its end and its key."""
    token, id_token = verified({})

    [key] = KEYS.find("rsa", "RS256")
    assert IDToken(token, NOW + 300, key.thumbprint) == id_token
    assert token not in repr(id_token)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"typ": None}, id="T9 no typ"),
        pytest.param({"typ": "id"}, id="T9 case of typ"),
        pytest.param({"token_use": "id"}, id="T9 token_use of Cognito"),
        pytest.param({"azp": None}, id="T9 no azp"),
        pytest.param({"aud": [CLIENT_ID]}, id="T9 aud a list"),
        pytest.param({"aud": [CLIENT_ID, "other"]}, id="T9 several aud, azp ours"),
        pytest.param({"at_hash": None}, id="T9 no at_hash, the same sub"),
        pytest.param({"sub": "pairwise"}, id="T9 another sub, at_hash ours"),
        pytest.param({"nonce": "n"}, id="T9 nonce"),
        pytest.param({"exp": NOW - 29}, id="T9 within the leeway"),
    ],
)
def test_fine(changes):
    """What the standard leaves open may be so or otherwise."""
    verified(changes)


@pytest.mark.parametrize(
    ("key", "alg", "kid", "at_hash"),
    [
        pytest.param(RSA, "PS512", "rsa", AT_HASH_512, id="PS512"),
        pytest.param(EC, "ES256", "ec", AT_HASH, id="ES256"),
        pytest.param(ED, "EdDSA", "ed", AT_HASH_512, id="Ed25519"),
        pytest.param(ED448, "EdDSA", "ed448", AT_HASH_448, id="Ed448"),
    ],
)
def test_hash_of_the_algorithm(key, alg, kid, at_hash):
    """`at_hash` is by the digest of the token's own algorithm (OpenID Connect Core §3.1.3.6)."""
    verified({"at_hash": at_hash}, key, alg, kid=kid)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"iss": ISSUER + "/"}, "iss", id="T9 J14 another iss"),
        pytest.param({"aud": None}, "aud names", id="T9 J15 no aud"),
        pytest.param({"aud": "orders"}, "aud names", id="T9 J15 aud of an API"),
        pytest.param({"aud": ["orders", "x"]}, "aud names", id="T9 J15 not in the list"),
        pytest.param({"aud": 1}, "aud is neither", id="T9 J15 aud a number"),
        pytest.param(
            {"aud": [CLIENT_ID, "other"], "azp": None}, "no azp", id="T9 J16 several, nobody's"
        ),
        pytest.param({"azp": "other"}, "another client", id="T9 J16 azp of another"),
        pytest.param({"azp": 1}, "another client", id="T9 J16 azp a number"),
        pytest.param({"exp": None}, "exp", id="T9 J18 no exp"),
        pytest.param({"exp": NOW - 31}, "expired", id="T9 J18 expired"),
        pytest.param({"iat": None}, "iat", id="T9 J19 no iat"),
        pytest.param({"iat": NOW + 31}, "iat", id="T9 J19 iat in the future"),
        pytest.param({"nbf": NOW + 31}, "nbf", id="T9 J19 nbf in the future"),
        pytest.param({"sub": None}, "sub", id="T9 J20 no sub"),
        pytest.param({"sub": ""}, "sub", id="T9 J20 empty sub"),
        pytest.param({"sub": "x", "at_hash": None}, "sub is not", id="T9 somebody else"),
        pytest.param({"at_hash": AT_HASH_512}, "at_hash", id="T9 at_hash by another digest"),
        pytest.param({"at_hash": AT_HASH[:-1]}, "at_hash", id="T9 at_hash cut"),
        pytest.param({"at_hash": ""}, "at_hash", id="T9 at_hash empty"),
        pytest.param({"at_hash": [AT_HASH]}, "at_hash", id="T9 at_hash a list"),
        pytest.param({"at_hash": "\u00e9"}, "at_hash", id="T9 at_hash not ASCII"),
        pytest.param({"typ": "Bearer"}, "typ claim", id="T9 J17 an access token"),
        pytest.param({"typ": "Logout"}, "typ claim", id="T9 J17 a logout token"),
        pytest.param({"token_use": "access"}, "token_use", id="T9 J17 Cognito's access token"),
        pytest.param({"typ": 1}, "typ", id="T9 J17 typ a number"),
    ],
)
def test_refused(changes, reason):
    """One thing wrong at a time, and it is refused."""
    with pytest.raises(InvalidTokenError, match=reason):
        verified(changes)


@pytest.mark.parametrize("typ", ["at+jwt", "logout+jwt", "application/jwt"])
def test_other_kinds(typ):
    """T9, J17: a token typed as another kind is refused."""
    with pytest.raises(InvalidTokenError, match="header's typ"):
        verified({}, typ=typ)


def test_signature():
    """T9: it verifies with the provider's keys only."""
    with pytest.raises(UnknownKeyError):
        verified({}, kid="unknown")
    with pytest.raises(InvalidTokenError, match="signature"):
        verified({}, generate_rsa())
