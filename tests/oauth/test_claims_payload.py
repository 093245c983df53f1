from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.oauth.claims import (
    Expectation,
    InvalidTokenError,
    verify,
)
from tests.oauth.minting import (
    CLIENT_ID,
    ISSUER,
    NOW,
    VECTORS,
    generate_ec,
    generate_ed25519,
    generate_rsa,
    good_claims,
    key_set,
    mint,
    needs_vectors,
    public_jwk,
    sign,
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


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="J13 empty"),
        pytest.param(b"[]", id="J13 list"),
        pytest.param(b'"x"', id="J13 string"),
        pytest.param(b"\xef\xbb\xbf" + json.dumps(good_claims()).encode(), id="J13 BOM"),
        pytest.param(json.dumps(good_claims()).encode("utf-16"), id="J13 UTF-16"),
        pytest.param(
            json.dumps(good_claims()).replace("{", '{"sub":"admin",').encode(), id="J12 duplicate"
        ),
        pytest.param(json.dumps(good_claims(x=float("nan"))).encode(), id="J13 NaN"),
        pytest.param(json.dumps(good_claims(exp=float("inf"))).encode(), id="J13 J18 Infinity"),
        pytest.param(json.dumps(good_claims(x="\ud800")).encode(), id="J13 surrogate"),
        pytest.param(
            json.dumps(good_claims(x=0)).replace("0}", "[" * 40 + "]" * 40 + "}").encode(),
            id="J13 deep",
        ),
    ],
)
@each_algorithm
def test_payload_with_two_readings_is_refused(alg, payload):
    """A signed payload that is no plain JSON object is refused (J12, J13)."""
    header = json.dumps({"alg": alg, "kid": alg}).encode()
    with pytest.raises(InvalidTokenError, match="claims are refused"):
        verify(sign(SIGNERS[alg], alg, header, payload), KEYS, EXPECTATION, NOW)


@needs_vectors
def test_json_test_suite_as_claims():
    """No file of JSONTestSuite is the claims of a token, and none ends otherwise (N5)."""
    for path in (VECTORS / "JSONTestSuite/test_parsing").glob("*.json"):
        token = sign(ED, "EdDSA", b'{"alg":"EdDSA","kid":"EdDSA"}', path.read_bytes())
        with pytest.raises(InvalidTokenError):
            verify(token, KEYS, EXPECTATION, NOW)


@needs_vectors
def test_naughty_strings_as_a_subject():
    """Each naughty string arrives as the subject it is, the empty one apart (J20, N6)."""
    strings = json.loads((VECTORS / "blns/blns.json").read_text("utf-8"))
    subjects = [string for string in strings if string]
    assert subjects == [verify_claims(good_claims(sub=string)).sub for string in subjects]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2)
    ),
    max_leaves=4,
)


@given(st.sampled_from([*good_claims(), "nbf", "token_use", "client_id"]), JSON_VALUES)
def test_any_claim_value_is_read_or_refused(name, value):
    """No value of any claim raises anything but the errors of a token (N10)."""
    try:
        claims = verify_claims({**good_claims(), name: value})
    except InvalidTokenError:
        return
    assert claims.iss == ISSUER
    assert isinstance(claims.sub, str)


def test_what_tokens_say_alike():
    """What many tokens say alike is kept once, and says what it said."""
    said = good_claims(
        scope="openid profile", realm_access={"roles": ["user", "auditor"]}, note=["user", 1, None]
    )

    one, other = verify_claims(said), verify_claims({**said, "sub": "somebody else"})

    assert said == one.raw
    assert one.raw["iss"] is other.raw["iss"]
    assert one.raw["scope"] is other.raw["scope"]
    roles, others = (each.raw["realm_access"]["roles"] for each in (one, other))
    assert [id(role) for role in roles] == [id(role) for role in others]
    assert one.raw["note"][0] is roles[0]
