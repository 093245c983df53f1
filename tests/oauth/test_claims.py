from __future__ import annotations

import pytest

from gateway.oauth.claims import (
    MAX_LIFETIME,
    Claims,
    Expectation,
    InvalidTokenError,
    verify,
)
from tests.oauth.minting import (
    CLIENT_ID,
    ISSUER,
    NOW,
    generate_ec,
    generate_ed25519,
    generate_rsa,
    good_claims,
    key_set,
    mint,
    public_jwk,
)

RSA, EC, ED = generate_rsa(), generate_ec(), generate_ed25519()
SIGNERS = {"RS256": RSA, "ES256": EC, "EdDSA": ED}
KEYS = key_set(*(public_jwk(key, alg) for alg, key in SIGNERS.items()))
EXPECTATION = Expectation(ISSUER, CLIENT_ID)

each_algorithm = pytest.mark.parametrize("alg", sorted(SIGNERS))


def verify_claims(claims, alg="EdDSA", expectation=EXPECTATION, **header):
    """Verify a token with a good signature that makes ``claims``."""
    token = mint(SIGNERS[alg], alg, {"kid": alg, **header}, claims)
    return verify(token, KEYS, expectation, NOW).claims


@each_algorithm
def test_good_token_gives_its_claims(alg):
    """A good token gives its claims and the thumbprint of its key."""
    verified = verify(mint(SIGNERS[alg], alg, {"kid": alg}), KEYS, EXPECTATION, NOW)
    (key,) = KEYS.find(alg, alg)
    assert key.thumbprint == verified.thumbprint
    assert verified.claims == Claims(
        iss=ISSUER,
        sub="f1c2",
        aud=("orders",),
        exp=NOW + 300,
        iat=NOW,
        client_id=CLIENT_ID,
        scope="openid email",
        raw=good_claims(),
    )


@pytest.mark.parametrize(
    ("changes", "name", "expected"),
    [
        pytest.param({"aud": None}, "aud", (), id="J15 no aud, none expected"),
        pytest.param({"aud": []}, "aud", (), id="J15 empty aud, none expected"),
        pytest.param({"aud": ["a", "b"]}, "aud", ("a", "b"), id="J15 several"),
        pytest.param({"azp": None}, "client_id", None, id="J16 no client named"),
        pytest.param({"client_id": CLIENT_ID}, "client_id", CLIENT_ID, id="J16 both, and ours"),
        pytest.param({"azp": None, "client_id": CLIENT_ID}, "client_id", CLIENT_ID, id="J16"),
        pytest.param({"typ": None}, "sub", "f1c2", id="J17 no typ claim"),
        pytest.param({"typ": "DPoP"}, "sub", "f1c2", id="J17 an unknown typ claim"),
        pytest.param({"token_use": "access"}, "sub", "f1c2", id="J17 token_use access"),
        pytest.param({"exp": NOW + 0.5}, "exp", NOW + 0.5, id="J18 a fraction"),
        pytest.param({"exp": NOW - 29}, "exp", NOW - 29, id="J18 J19 within the leeway"),
        pytest.param({"exp": NOW + MAX_LIFETIME}, "exp", NOW + MAX_LIFETIME, id="J18 ten years"),
        pytest.param({"iat": None}, "iat", None, id="J19 no iat"),
        pytest.param({"iat": NOW + 30}, "iat", NOW + 30, id="J19 iat within the leeway"),
        pytest.param({"nbf": 0}, "sub", "f1c2", id="J19 nbf long ago"),
        pytest.param({"nbf": NOW + 30}, "sub", "f1c2", id="J19 nbf within the leeway"),
        pytest.param({"scope": None}, "scope", None, id="no scope"),
        pytest.param({"scope": ["a"]}, "scope", None, id="scope a list"),
    ],
)
@each_algorithm
def test_claims_that_are_fine(alg, changes, name, expected):
    """What the standards leave optional may be absent or otherwise (J15-J19)."""
    assert expected == getattr(verify_claims(good_claims(**changes), alg), name)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"iss": None}, id="J14 missing"),
        pytest.param({"iss": ISSUER + "/"}, id="J14 a slash more"),
        pytest.param({"iss": ISSUER.upper()}, id="J14 case"),
        pytest.param({"iss": ISSUER[:-1]}, id="J14 a prefix"),
        pytest.param({"iss": ISSUER + "x"}, id="J14 longer"),
        pytest.param({"iss": [ISSUER]}, id="J14 a list"),
        pytest.param({"iss": {ISSUER: 1}}, id="J14 an object"),
        pytest.param({"iss": ""}, id="J14 empty"),
        pytest.param({"aud": 1}, id="J15 a number"),
        pytest.param({"aud": {"orders": 1}}, id="J15 an object"),
        pytest.param({"aud": ["orders", 1]}, id="J15 a number in the list"),
        pytest.param({"aud": [["orders"]]}, id="J15 a list in the list"),
        pytest.param({"azp": "other"}, id="J16 azp of another"),
        pytest.param({"client_id": "other"}, id="J16 client_id of another beside our azp"),
        pytest.param({"azp": "other", "client_id": CLIENT_ID}, id="J16 azp beside our client_id"),
        pytest.param({"azp": [CLIENT_ID]}, id="J16 a list"),
        pytest.param({"azp": ""}, id="J16 empty"),
        pytest.param({"azp": CLIENT_ID.upper()}, id="J16 case"),
        pytest.param({"typ": "ID"}, id="J17 ID"),
        pytest.param({"typ": "id"}, id="J17 id"),
        pytest.param({"typ": "Refresh"}, id="J17 Refresh"),
        pytest.param({"typ": "Offline"}, id="J17 Offline"),
        pytest.param({"typ": "LOGOUT"}, id="J17 LOGOUT"),
        pytest.param({"typ": ["Bearer"]}, id="J17 a list"),
        pytest.param({"token_use": "id"}, id="J17 token_use id"),
        pytest.param({"token_use": "ID"}, id="J17 token_use ID"),
        pytest.param({"token_use": 1}, id="J17 token_use a number"),
        pytest.param({"exp": None}, id="J18 missing"),
        pytest.param({"exp": str(int(NOW) + 300)}, id="J18 a string"),
        pytest.param({"exp": True}, id="J18 a boolean"),
        pytest.param({"exp": [NOW + 300]}, id="J18 a list"),
        pytest.param({"exp": -1}, id="J18 negative"),
        pytest.param({"exp": 0}, id="J18 zero"),
        pytest.param({"exp": NOW - 30}, id="J18 J19 past the leeway"),
        pytest.param({"exp": NOW + MAX_LIFETIME + 1}, id="J18 over ten years"),
        pytest.param({"exp": 10**4000}, id="J18 10^4000"),
        pytest.param({"exp": -(10**4000)}, id="J18 -10^4000"),
        pytest.param({"exp": 1e300}, id="J18 1e300"),
        pytest.param({"nbf": NOW + 31}, id="J19 nbf beyond the leeway"),
        pytest.param({"nbf": "0"}, id="J19 nbf a string"),
        pytest.param({"nbf": False}, id="J19 nbf a boolean"),
        pytest.param({"nbf": -(10**4000)}, id="J19 nbf -10^4000"),
        pytest.param({"iat": NOW + 31}, id="J19 iat beyond the leeway"),
        pytest.param({"iat": str(NOW)}, id="J19 iat a string"),
        pytest.param({"iat": True}, id="J19 iat a boolean"),
        pytest.param({"iat": 10**4000}, id="J19 iat 10^4000"),
        pytest.param({"sub": None}, id="J20 missing"),
        pytest.param({"sub": ""}, id="J20 empty"),
        pytest.param({"sub": 1}, id="J20 a number"),
        pytest.param({"sub": ["f1c2"]}, id="J20 a list"),
    ],
)
@each_algorithm
def test_one_wrong_claim_is_enough(alg, changes):
    """A token with a good signature and one wrong claim is refused (J14-J20)."""
    with pytest.raises(InvalidTokenError):
        verify_claims(good_claims(**changes), alg)


@pytest.mark.parametrize(
    "name", ["iss", "azp", "client_id", "typ", "token_use", "exp", "iat", "nbf", "sub", "aud"]
)
def test_null_is_not_absent(name):
    """A claim that is null is refused, optional or not (J14-J20)."""
    with pytest.raises(InvalidTokenError):
        verify_claims({**good_claims(), name: None})


@pytest.mark.parametrize(
    "typ",
    ["at+jwt", "AT+JWT", "application/at+jwt", "JWT", "jwt", None],
)
def test_header_types_that_are_fine(typ):
    """An access token says it is one, or a JWT, or nothing (J17)."""
    assert verify_claims(good_claims(), typ=typ).sub == "f1c2"


@pytest.mark.parametrize(
    "typ",
    ["logout+jwt", "dpop+jwt", "JOSE", "JWE", "", "application/jwt", 1, ["JWT"], {"JWT": 1}],
)
def test_header_types_of_other_tokens(typ):
    """Another type of JWT is no access token (J17)."""
    with pytest.raises(InvalidTokenError):
        verify_claims(good_claims(), typ=typ)


@pytest.mark.parametrize(
    ("aud", "expected"),
    [
        pytest.param("orders", ("orders",), id="J15 the one"),
        pytest.param(["x", "orders"], ("orders",), id="J15 one of the token's"),
        pytest.param("orders", ("stock", "orders"), id="J15 one of ours"),
    ],
)
def test_audience_that_fits(aud, expected):
    """With an audience expected, one in common is enough (J15)."""
    expectation = Expectation(ISSUER, CLIENT_ID, audience=expected)
    assert verify_claims(good_claims(aud=aud), expectation=expectation)


@pytest.mark.parametrize(
    ("aud", "expected"),
    [
        pytest.param("orders2", ("orders",), id="J15 longer"),
        pytest.param("Orders", ("orders",), id="J15 case"),
        pytest.param("orders stock", ("orders",), id="J15 a string is one audience"),
        pytest.param([], ("orders",), id="J15 empty"),
        pytest.param(None, ("orders",), id="J15 missing"),
        pytest.param("orders", (), id="J15 nothing would do"),
    ],
)
def test_audience_that_does_not_fit(aud, expected):
    """With an audience expected, none in common is a refusal (J15)."""
    expectation = Expectation(ISSUER, CLIENT_ID, audience=expected)
    with pytest.raises(InvalidTokenError, match="aud"):
        verify_claims(good_claims(aud=aud), expectation=expectation)


def test_signature_comes_before_the_claims():
    """A forged token learns nothing about its claims (RFC 8725 §3)."""
    token = mint(generate_ed25519(), "EdDSA", {"kid": "EdDSA"}, good_claims(iss="x"))
    with pytest.raises(InvalidTokenError, match="signature"):
        verify(token, KEYS, EXPECTATION, NOW)


def test_allow_list_and_leeway_are_the_expectations():
    """The expectation's algorithms and leeway are those applied (J3, J19)."""
    strict = Expectation(ISSUER, CLIENT_ID, frozenset({"RS256"}), 0.0)
    assert verify_claims(good_claims(exp=NOW + 1), "RS256", strict)
    with pytest.raises(InvalidTokenError, match="alg"):
        verify_claims(good_claims(), "ES256", strict)
    with pytest.raises(InvalidTokenError, match="expired"):
        verify_claims(good_claims(exp=NOW), "RS256", strict)


def test_texts_quote_nothing_of_the_token():
    """No error text holds what a token says (L1)."""
    for name in ("iss", "sub", "aud", "exp", "iat", "nbf", "azp", "client_id", "typ", "token_use"):
        for value in ("canary", ["canary"], {"canary": "canary"}):
            message = refusal(good_claims(**{name: value}))
            assert "canary" not in message


def refusal(claims):
    """Tell the text of the refusal, empty if the claims are fine."""
    try:
        verify_claims(claims)
    except InvalidTokenError as exc:
        return str(exc)
    return ""


def test_raw_claims_are_not_shown():
    """The representation of claims leaves the others out (L1)."""
    assert "canary" not in repr(verify_claims(good_claims(email="canary")))


ANYBODYS = Expectation(ISSUER, None)


@pytest.mark.parametrize(
    ("changes", "header"),
    [
        pytest.param({}, {"typ": "at+jwt"}, id="RFC-9068"),
        pytest.param({"typ": "Bearer", "nonce": "n"}, {}, id="keycloak"),
        pytest.param({"token_use": "access", "nonce": "n"}, {}, id="cognito"),
        pytest.param({"scope": "openid"}, {}, id="scope"),
        pytest.param({"scope": None, "azp": "spa"}, {}, id="for-another"),
    ],
)
def test_callers_access_token(changes, header):
    """J14, J17: a caller's token may be any client's when something tells it from an ID token."""
    assert (
        "f1c2"
        == verify_claims(
            good_claims(**{"typ": None, **changes}), expectation=ANYBODYS, **header
        ).sub
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"nonce": "n"}, "those of an ID token", id="nonce"),
        pytest.param({"at_hash": "h"}, "those of an ID token", id="at-hash"),
        pytest.param({"scope": None, "azp": None}, "nothing tells", id="no-mark"),
        pytest.param({"scope": None, "azp": "orders"}, "nothing tells", id="for-itself"),
    ],
)
def test_callers_id_token(changes, reason):
    """J17: a caller's token that could be an ID token is refused."""
    with pytest.raises(InvalidTokenError, match=reason):
        verify_claims(good_claims(**{"typ": None, **changes}), expectation=ANYBODYS)
