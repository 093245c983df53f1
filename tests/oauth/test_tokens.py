from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ProviderError, ProviderUnavailableError
from gateway.oauth.tokens import (
    MAX_BODY_BYTES,
    MAX_LIFETIME,
    TokenErrorResponse,
    TokenSet,
    read_token_response,
)
from tests.oauth.minting import NOW, VECTORS, needs_vectors

GOOD = {"access_token": "eyJ.a-b_c.d~e+f/g==", "token_type": "Bearer", "expires_in": 300}
ERROR = {"error": "invalid_grant", "error_description": "Invalid user credentials"}


def read(body, *, status=200, content_type="application/json", retry_after=None):
    """Read a response whose body is bytes, or a value to be written as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_token_response(
        status=status, content_type=content_type, body=data, now=NOW, retry_after=retry_after
    )


def good(**changes):
    """Make a good token response with some members changed."""
    return {**GOOD, **changes}


def without(name):
    """Make a good token response that lacks a member."""
    return {key: value for key, value in GOOD.items() if key != name}


def test_rfc_6749_example_is_read():
    """The response of RFC 6749 §5.1 is a token set, its lifetime made absolute."""
    body = {
        "access_token": "2YotnFZFEjr1zCsicMWpAA",
        "token_type": "example",
        "expires_in": 3600,
        "refresh_token": "tGzv3JOkF0XG5Qx2TlKWIA",
        "example_parameter": "example_value",
    }
    expected = TokenSet(
        access_token="2YotnFZFEjr1zCsicMWpAA",
        token_type="Bearer",
        expires_at=NOW + 3600,
        refresh_token="tGzv3JOkF0XG5Qx2TlKWIA",
    )
    assert expected == read({**body, "token_type": "Bearer"})


@pytest.mark.parametrize(
    ("body", "field", "expected"),
    [
        pytest.param(GOOD, "access_token", GOOD["access_token"], id="access_token"),
        pytest.param(GOOD, "expires_at", NOW + 300, id="expires_in"),
        pytest.param(good(expires_in=300.0), "expires_at", NOW + 300, id="expires_in 300.0"),
        pytest.param(without("expires_in"), "expires_at", None, id="expires_in missing"),
        pytest.param(good(expires_in=None), "expires_at", None, id="expires_in null"),
        pytest.param(
            good(expires_in=10**4000), "expires_at", NOW + MAX_LIFETIME, id="expires_in 10^4000"
        ),
        pytest.param(
            good(expires_in=1e300), "expires_at", NOW + MAX_LIFETIME, id="expires_in 1e300"
        ),
        pytest.param(good(token_type="bearer"), "token_type", "bearer", id="bearer"),
        pytest.param(good(token_type="BEARER"), "token_type", "BEARER", id="BEARER"),
        pytest.param(good(scope="openid email"), "scope", "openid email", id="scope"),
        pytest.param(good(scope=None), "scope", None, id="scope null"),
        pytest.param(good(id_token="x.y.z"), "id_token", "x.y.z", id="id_token"),
        pytest.param(good(refresh_token="r"), "refresh_token", "r", id="refresh_token"),
        pytest.param(good(unknown={"a": [1]}), "expires_at", NOW + 300, id="unknown member"),
    ],
)
def test_good_response_is_a_token_set(body, field, expected):
    """200 with JSON and a Bearer token is a token set (RFC 6749 §5.1)."""
    assert expected == getattr(read(body), field)


@pytest.mark.parametrize(
    "content_type",
    [
        pytest.param("application/json;charset=UTF-8", id="RFC 6749 5.1"),
        pytest.param("Application/JSON", id="any case"),
        pytest.param("application/token-response+json", id="+json"),
    ],
)
def test_json_types_are_accepted(content_type):
    """JSON's media type and those with its suffix are JSON."""
    assert isinstance(read(GOOD, content_type=content_type), TokenSet)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>login</html>", id="HTML"),
        pytest.param(json.dumps(GOOD).encode()[:-1], id="cut short"),
        pytest.param([GOOD], id="a list"),
        pytest.param(b'{"access_token":"a","access_token":"b","token_type":"Bearer"}', id="twice"),
        pytest.param(good(padding="x" * MAX_BODY_BYTES), id="T3 over 256 KiB"),
        pytest.param(good(error="invalid_grant"), id="an error beside the token"),
        pytest.param(good(error=None), id="a null error beside the token"),
        pytest.param(without("access_token"), id="access_token missing"),
        pytest.param(good(access_token=""), id="access_token empty"),
        pytest.param(good(access_token=None), id="access_token null"),
        pytest.param(good(access_token=["a"]), id="access_token a list"),
        pytest.param(good(access_token="a\r\nX-Admin: 1"), id="access_token with CR LF"),
        pytest.param(good(access_token="a b"), id="access_token with a space"),
        pytest.param(good(access_token="a\n"), id="access_token with a line feed behind it"),
        pytest.param(good(access_token="é"), id="access_token beyond ASCII"),
        pytest.param(without("token_type"), id="token_type missing"),
        pytest.param(good(token_type="DPoP"), id="token_type DPoP"),
        pytest.param(good(token_type="Bearer "), id="token_type with a space"),
        pytest.param(good(token_type=1), id="token_type a number"),
        pytest.param(good(expires_in=0), id="expires_in zero"),
        pytest.param(good(expires_in=-1), id="expires_in negative"),
        pytest.param(good(expires_in="300"), id="expires_in a string"),
        pytest.param(good(expires_in=True), id="expires_in a boolean"),
        pytest.param(good(expires_in=1.5), id="expires_in a fraction"),
        pytest.param(b'{"access_token":"a","token_type":"Bearer","expires_in":1e400}', id="1e400"),
        pytest.param(b'{"access_token":"a","token_type":"Bearer","expires_in":NaN}', id="NaN"),
        pytest.param(good(scope=["openid"]), id="scope a list"),
        pytest.param(good(refresh_token=1), id="refresh_token a number"),
        pytest.param(good(id_token={}), id="id_token an object"),
    ],
)
def test_nonsense_with_200_is_the_providers_fault(body):
    """200 with anything else than a token set is a 502."""
    with pytest.raises(ProviderError) as caught:
        read(body)
    assert caught.value.status == 502


@pytest.mark.parametrize("content_type", ["text/html", "", "text/json", "application/jsonp"])
@pytest.mark.parametrize(("status", "body"), [(200, GOOD), (400, ERROR)])
def test_other_media_type_is_the_providers_fault(status, body, content_type):
    """An answer that does not say it is JSON is a 502."""
    with pytest.raises(ProviderError):
        read(body, status=status, content_type=content_type)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
@pytest.mark.parametrize(
    "error", ["invalid_grant", "invalid_client", "invalid_scope", "unsupported_grant_type"]
)
def test_error_response_is_read_whatever_the_status(status, error):
    """The error member decides, the 4xx status does not."""
    expected = TokenErrorResponse(error, "Invalid user credentials")
    assert expected == read({**ERROR, "error": error}, status=status)


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        pytest.param(None, "", id="null"),
        pytest.param(["x"], "", id="not a string"),
        pytest.param("a\r\nlevel=info b\x1b[0m\u202e", "alevel=info b[0m", id="T8 control"),
        pytest.param("x" * 5000, "x" * 200, id="T8 long"),
    ],
)
def test_description_is_made_fit_for_a_log_line(description, expected):
    """error_description loses control characters and length (T8)."""
    answer = read({"error": "invalid_grant", "error_description": description}, status=400)
    assert expected == answer.error_description


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(401, b"", id="401 empty"),
        pytest.param(403, b"", id="403 empty"),
        pytest.param(400, {}, id="400 without error"),
        pytest.param(400, {"error": None}, id="error null"),
        pytest.param(400, {"error": ""}, id="error empty"),
        pytest.param(400, {"error": "Invalid grant\n"}, id="error is no code"),
        pytest.param(400, {"error": "invalid_grant\n"}, id="error with a line feed"),
        pytest.param(400, {"error": "x" * 65}, id="error too long"),
        pytest.param(400, b'{"error":"invalid_grant","error":"x"}', id="error twice"),
        pytest.param(400, {"error": "x", "y": "y" * MAX_BODY_BYTES}, id="T3 over 256 KiB"),
        pytest.param(100, GOOD, id="100"),
        pytest.param(201, GOOD, id="201"),
        pytest.param(204, b"", id="204"),
        pytest.param(302, GOOD, id="302"),
        pytest.param(307, ERROR, id="307"),
        pytest.param(600, GOOD, id="600"),
    ],
)
def test_other_answers_are_the_providers_fault(status, body):
    """Redirects, other statuses and refusals without an error code are a 502."""
    with pytest.raises(ProviderError) as caught:
        read(body, status=status)
    assert caught.value.status == 502


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 599])
@pytest.mark.parametrize("body", [b"", ERROR], ids=["empty", "error"])
def test_overload_is_unavailable(status, body):
    """429 and 5xx mean the provider is unavailable, whatever they say besides."""
    with pytest.raises(ProviderUnavailableError):
        read(body, status=status)


@pytest.mark.parametrize(
    ("retry_after", "expected"),
    [
        pytest.param(None, 1, id="missing"),
        pytest.param(7, 7, id="given"),
        pytest.param(0, 1, id="zero"),
        pytest.param(-5, 1, id="negative"),
        pytest.param(10**9, 300, id="capped"),
    ],
)
def test_retry_after_is_passed_on_within_bounds(retry_after, expected):
    """Retry-After reaches the caller, at least 1 and at most 300 seconds."""
    with pytest.raises(ProviderUnavailableError) as caught:
        read(b"", status=503, retry_after=retry_after)
    assert expected == caught.value.retry_after


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(200, good(error="canary"), id="error"),
        pytest.param(200, good(access_token="can ary canary"), id="access_token"),
        pytest.param(200, good(token_type="canary"), id="token_type"),
        pytest.param(200, good(expires_in="canary"), id="expires_in"),
        pytest.param(200, b'{"access_token":"canary"', id="bad JSON"),
        pytest.param(400, {"error": "Canary canary"}, id="no error code"),
        pytest.param(503, {"error": "canary"}, id="503"),
    ],
)
def test_texts_quote_nothing_of_the_answer(status, body):
    """No error text holds what might be a token (L1)."""
    with pytest.raises(ProviderError) as caught:
        read(body, status=status)
    assert "canary" not in str(caught.value)


def test_tokens_are_not_shown():
    """The representation of a token set leaves its tokens out (L1)."""
    tokens = TokenSet("canary", "Bearer", None, None, "canary", "canary")
    assert "canary" not in repr(tokens)


@given(
    st.builds(
        TokenSet,
        access_token=st.text(),
        token_type=st.text(),
        expires_at=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        scope=st.none() | st.text(),
        refresh_token=st.none() | st.text(),
        id_token=st.none() | st.text(),
    )
)
def test_token_set_is_read_back(tokens):
    """A written token set is read back as it was."""
    assert tokens == TokenSet.read(tokens.write())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"access_token": None}, id="access_token null"),
        pytest.param({"expires_at": True}, id="expires_at a boolean"),
        pytest.param({"expires_at": "1"}, id="expires_at a string"),
        pytest.param({"scope": ["a"]}, id="scope a list"),
        pytest.param({"more": 1}, id="one member more"),
    ],
)
def test_other_bytes_are_no_token_set(change):
    """What write did not write is refused."""
    written = json.loads(TokenSet("a", "Bearer").write())
    with pytest.raises(ValueError, match="not a token set"):
        TokenSet.read(json.dumps({**written, **change}).encode())


@needs_vectors
def test_json_test_suite_as_a_token_response():
    """No file of JSONTestSuite is a token response, and none ends in another error (N5)."""
    for path in (VECTORS / "JSONTestSuite/test_parsing").glob("*.json"):
        with pytest.raises(ProviderError):
            read(path.read_bytes())
