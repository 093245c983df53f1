from __future__ import annotations

import pytest

from gateway.errors import BodyTooLargeError, InvalidAccessTokenError, RequestError
from gateway.oauth.credentials import (
    MAX_FIELDS,
    read_basic_token,
    read_bearer,
    read_token_form,
    read_token_json,
    read_token_query,
    remove_parameters,
)
from tests.fakes.caller import basic

TOKEN = "a.b-c_d~e+f/g=="
NAME = "access_token"


@pytest.mark.parametrize(
    ("values", "token"),
    [
        pytest.param([f"Bearer {TOKEN}".encode()], TOKEN, id="good"),
        pytest.param([b"bEARER  x"], "x", id="B1-any-case-and-spaces"),
        pytest.param([], None, id="none"),
        pytest.param([b"Basic eDp5"], None, id="another-scheme"),
        pytest.param([b"Bearerish x"], None, id="another-scheme-that-begins-alike"),
        pytest.param([b"Bearer-x y"], None, id="another-scheme-with-a-dash"),
    ],
)
def test_bearer_is_read(values, token):
    """RFC 6750 §2.1: the token is what follows the scheme and its spaces."""
    assert token == read_bearer(values)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        pytest.param([b"Bearer"], InvalidAccessTokenError, id="alone"),
        pytest.param([b"Bearer "], InvalidAccessTokenError, id="empty"),
        pytest.param([b"Bearer\tx"], InvalidAccessTokenError, id="B1-tab"),
        pytest.param([b"Bearer a b"], InvalidAccessTokenError, id="two-words"),
        pytest.param([b"Bearer =a"], InvalidAccessTokenError, id="padding-first"),
        pytest.param([b"Bearer " + b"a" * 16_385], InvalidAccessTokenError, id="J11-too-long"),
        pytest.param([b"Bearer \xe4"], InvalidAccessTokenError, id="not-ascii"),
        pytest.param([b"Bearer a, Basic eDp5"], RequestError, id="B8-list"),
        pytest.param([b"Bearer a", b"Bearer a"], RequestError, id="B8-twice"),
    ],
)
def test_bearer_is_refused(values, error):
    """RFC 6750 §2.1: what is not one token is refused, never guessed."""
    with pytest.raises(error):
        read_bearer(values)


@pytest.mark.parametrize(
    ("user", "token"),
    [
        pytest.param("", "x", id="nobody"),
        pytest.param("oauth2accesstoken", "x", id="the-name-for-it"),
        pytest.param("OAuth2AccessToken", None, id="letter-case-counts"),
        pytest.param("john", None, id="somebody"),
    ],
)
def test_token_as_password(user, token):
    """A token is the password of nobody; of somebody it is a password."""
    assert token == read_basic_token([basic(user, "x")[1]])


def test_no_basic():
    """Without a Basic value there is no token in it."""
    assert read_basic_token([b"Bearer x"]) is None


@pytest.mark.parametrize("read", [read_token_query, read_token_form])
@pytest.mark.parametrize(
    ("data", "token", "remainder"),
    [
        pytest.param(b"access_token=x", "x", b"", id="alone"),
        pytest.param(b"a=1&acc%65ss_token=%78&b", "x", b"a=1&b", id="C7-encoded"),
        pytest.param(b"a=1&x_access_token=x", None, None, id="another-name"),
        pytest.param(b"", None, None, id="empty"),
    ],
)
def test_parameter_is_read(read, data, token, remainder):
    """RFC 6750 §2.2, §2.3: a token is taken out, and every other byte stays (C6)."""
    found = read(data, NAME)
    assert (token, remainder) == ((None, None) if found is None else (found.token, found.remainder))


@pytest.mark.parametrize(
    ("read", "data", "error"),
    [
        pytest.param(read_token_query, b"access_token=x&access_token=x", RequestError, id="C3"),
        pytest.param(read_token_query, b"access_token=", InvalidAccessTokenError, id="empty"),
        pytest.param(read_token_query, b"&" * MAX_FIELDS, RequestError, id="C2-query"),
        pytest.param(read_token_form, b"&" * MAX_FIELDS, BodyTooLargeError, id="C2-form"),
        pytest.param(read_token_form, b"a" * 65_537, BodyTooLargeError, id="C2-form-bytes"),
        pytest.param(read_token_json, b'{"access_token":1}', RequestError, id="C4-number"),
        pytest.param(read_token_json, b'{"access_token":""}', InvalidAccessTokenError, id="json"),
        pytest.param(
            read_token_json, b'{"access_token":"x","access_token":"x"}', RequestError, id="C4-twice"
        ),
        pytest.param(read_token_json, b"[", RequestError, id="C4-no-json"),
    ],
)
def test_parameter_is_refused(read, data, error):
    """A token given twice, or one that is none, is refused."""
    with pytest.raises(error):
        read(data, NAME)


@pytest.mark.parametrize(
    ("body", "token", "remainder"),
    [
        pytest.param(b'{ "a":1, "access_token":"x" }', "x", b'{ "a":1}', id="taken-out"),
        pytest.param(b'{"a":1}', None, None, id="none"),
        pytest.param(b"", None, None, id="empty"),
    ],
)
def test_member_is_read(body, token, remainder):
    """C6: a token is taken out of a JSON object, whose other members stay as they were written."""
    found = read_token_json(body, NAME)
    assert (token, remainder) == ((None, None) if found is None else (found.token, found.remainder))


def test_parameters_are_removed():
    """C7: parameters are removed in every spelling and however often they come."""
    names = {"password", "access_token"}
    data = b"a&pass%77ord=1&access_token=2&access_token=3&b=%20&password"
    assert b"a&b=%20" == remove_parameters(data, names)
