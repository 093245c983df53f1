from __future__ import annotations

import base64
import json
from urllib.parse import parse_qsl, unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigurationError
from gateway.oauth.client_auth import Client, choose_auth_method, write_token_request
from gateway.oauth.grants import ClientCredentialsGrant, PasswordGrant
from tests.oauth.minting import VECTORS, needs_vectors

GRANT = PasswordGrant("u", "p", "")


def fields_of(request):
    """Read the body of a token request as its fields."""
    text = request.body.decode("ascii")
    return parse_qsl(text, keep_blank_values=True, strict_parsing=True)


def test_rfc_6749_example_is_written():
    """The request of RFC 6749 §4.3.2 is written byte for byte (T1)."""
    client = Client("s6BhdRkqt3", "gX1fBat3bV", "client_secret_basic")
    request = write_token_request(client, PasswordGrant("johndoe", "A3ddj3w", ""))
    assert request.body == b"grant_type=password&username=johndoe&password=A3ddj3w"
    assert dict(request.headers) == {
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Authorization": "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW",
    }


def test_post_puts_the_client_into_the_body():
    """client_secret_post sends id and secret as parameters, and no Authorization (T1)."""
    client = Client("s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw", "client_secret_post")
    request = write_token_request(client, ClientCredentialsGrant("api"), [("audience", "orders")])
    assert request.body == (
        b"grant_type=client_credentials&scope=api&audience=orders"
        b"&client_id=s6BhdRkqt3&client_secret=7Fjfp0ZBr1KtDRbnfVdmIw"
    )
    assert "Authorization" not in dict(request.headers)


@pytest.mark.parametrize(
    ("client_id", "client_secret", "pair"),
    [
        pytest.param("id", "secret", b"id:secret", id="plain"),
        pytest.param("a:b", "c:d", b"a%3Ab:c%3Ad", id="T1 colon"),
        pytest.param("id", "100%+ &=", b"id:100%25%2B+%26%3D", id="T1 percent, plus and space"),
        pytest.param("é", "£", b"%C3%A9:%C2%A3", id="T1 UTF-8"),
    ],
)
def test_basic_is_form_encoded_before_base64(client_id, client_secret, pair):
    """Id and secret are form-encoded before they are joined (RFC 6749 §2.3.1, T1)."""
    client = Client(client_id, client_secret, "client_secret_basic")
    scheme, _, value = dict(write_token_request(client, GRANT).headers)["Authorization"].partition(
        " "
    )
    assert (scheme, base64.b64decode(value)) == ("Basic", pair)


@pytest.mark.parametrize(
    "username",
    [
        pytest.param("x&grant_type=client_credentials", id="T2 another grant_type"),
        pytest.param("x\r\nHost: evil", id="T2 line break"),
        pytest.param("x;y=z#f", id="T2 other separators"),
        pytest.param("%26scope%3Dadmin", id="T2 already escaped"),
    ],
)
def test_values_cannot_add_parameters(username):
    """Whatever a user is called, the request has the same parameters (T2)."""
    client = Client("c", "s", "client_secret_basic")
    request = write_token_request(client, PasswordGrant(username, "p", ""))
    expected = [("grant_type", "password"), ("username", username), ("password", "p")]
    assert expected == fields_of(request)


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param([("grant_type", "x")], id="grant_type"),
        pytest.param([("username", "x")], id="username"),
        pytest.param([("client_id", "x")], id="client_id"),
        pytest.param([("a", "1"), ("a", "2")], id="twice among the extra ones"),
    ],
)
def test_no_parameter_is_sent_twice(extra):
    """A parameter the operator adds cannot repeat one of the request (RFC 6749 §3.2)."""
    with pytest.raises(ConfigurationError):
        write_token_request(Client("c", "s", "client_secret_post"), GRANT, extra)


@needs_vectors
def test_naughty_strings_arrive_intact():
    """Each naughty string is the user, the password and the client secret that arrive (T1, N6)."""
    strings = json.loads((VECTORS / "blns/blns.json").read_text("utf-8"))
    assert len(strings) > 500
    assert [string for string in strings if not arrives_intact(string)] == []


@given(st.text(st.characters(blacklist_categories=["Cs"])))
def test_any_text_arrives_intact(text):
    """Any text is the user, the password and the client secret that arrive (T1, T2)."""
    assert arrives_intact(text)


def arrives_intact(text):
    """Tell whether ``text`` comes out of a token request as it went in."""
    client = Client(text, text, "client_secret_basic")
    request = write_token_request(client, PasswordGrant(text, text, ""))
    sent = base64.b64decode(dict(request.headers)["Authorization"].removeprefix("Basic "))
    pair = [unquote_plus(part) for part in sent.decode("ascii").split(":")]
    expected = [("grant_type", "password"), ("username", text), ("password", text)]
    return pair == [text, text] and fields_of(request) == expected


@pytest.mark.parametrize(
    ("configured", "supported", "expected"),
    [
        pytest.param("client_secret_post", ["client_secret_basic"], "client_secret_post", id="set"),
        pytest.param(None, ["client_secret_post"], "client_secret_post", id="discovered"),
        pytest.param("", ["client_secret_post"], "client_secret_post", id="empty is not set"),
        pytest.param(
            None, ["client_secret_post", "client_secret_basic"], "client_secret_basic", id="both"
        ),
        pytest.param(None, [], "client_secret_basic", id="RFC 8414 2 default"),
        pytest.param(None, ["private_key_jwt"], "client_secret_basic", id="neither"),
    ],
)
def test_method_is_chosen(configured, supported, expected):
    """What is configured wins, then what the provider supports, Basic first (RFC 8414 §2)."""
    assert expected == choose_auth_method(configured, supported)


def test_unknown_method_is_refused():
    """A configured method the gateway cannot write stops the start."""
    with pytest.raises(ConfigurationError):
        choose_auth_method("private_key_jwt", [])


def test_secrets_are_not_shown():
    """Neither the client nor its request shows a secret (L1)."""
    client = Client("c", "canary", "client_secret_post")
    request = write_token_request(client, PasswordGrant("u", "canary", ""))
    assert "canary" not in f"{client!r} {request!r}"
