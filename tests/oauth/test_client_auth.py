from __future__ import annotations

import base64
import json
from urllib.parse import parse_qsl, unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigurationError, ProviderError
from gateway.oauth import client_auth
from gateway.oauth.client_auth import (
    AUTH_METHODS,
    Client,
    choose_auth_method,
    write_client_request,
)
from gateway.oauth.client_key import generate_client_key
from gateway.oauth.grants import ClientCredentialsGrant, PasswordGrant
from gateway.oauth.metadata import ProviderMetadata
from tests.oauth.minting import NOW, VECTORS, needs_vectors

GRANT = PasswordGrant("u", "p", "")
ISSUER = "https://sso.example"
METADATA = ProviderMetadata(
    issuer=ISSUER,
    token_endpoint=f"{ISSUER}/token",
    jwks_uri=f"{ISSUER}/certs",
    mtls_endpoint_aliases={"token_endpoint": "https://mtls.example/token"},
)
ED25519 = generate_client_key("EdDSA")
LONG = "0123456789abcdef" * 2


def write_token_request(client, grant, extra=()):
    """Write a token request to a provider that names nothing it supports."""
    return client_auth.write_token_request(client, grant, extra, metadata=METADATA, now=NOW)


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
        choose_auth_method("attest_jwt_client_auth", [])


@pytest.mark.parametrize(
    ("client", "supported", "expected"),
    [
        pytest.param(Client("c", "s", None), AUTH_METHODS, "client_secret_basic", id="secret"),
        pytest.param(
            Client("c", LONG, None, key=ED25519, secret_alg="HS256"),
            ["private_key_jwt", "client_secret_jwt", "client_secret_post"],
            "client_secret_post",
            id="secret-before-assertion",
        ),
        pytest.param(
            Client("c", "", None, key=ED25519), AUTH_METHODS, "private_key_jwt", id="key-alone"
        ),
        pytest.param(
            Client("c", "s", None, key=ED25519),
            ["private_key_jwt", "tls_client_auth", "none"],
            "private_key_jwt",
            id="key-where-the-secret-is-not-taken",
        ),
        pytest.param(Client("c", "", None, key=ED25519), [], "private_key_jwt", id="nothing-named"),
        pytest.param(
            Client("c", LONG, None, secret_alg="HS256"),
            ["client_secret_jwt"],
            "client_secret_jwt",
            id="long-secret",
        ),
        pytest.param(
            Client("c", "short", None, secret_alg="HS256"),
            ["client_secret_jwt"],
            "client_secret_basic",
            id="secret-too-short-for-HS256",
        ),
        pytest.param(
            Client("c", "s", None),
            ["none", "tls_client_auth", "self_signed_tls_client_auth", "private_key_jwt"],
            "client_secret_basic",
            id="never-without-its-material",
        ),
        pytest.param(Client("c", "", None), ["none"], "client_secret_basic", id="none-is-said"),
    ],
)
def test_a_method_needs_its_material(client, supported, expected):
    """A discovered method is chosen only if the client has what it takes (RFC 8414 §2)."""
    assert expected == choose_auth_method(None, supported, client.able)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        pytest.param("client_secret_post", "client_secret_post", id="post"),
        pytest.param("client_secret_basic", "client_secret_basic", id="basic"),
        pytest.param("private_key_jwt", None, id="private_key_jwt"),
        pytest.param("none", None, id="none"),
        pytest.param(None, None, id="discovered"),
    ],
)
def test_the_callers_pair_is_a_client_with_a_secret(method, expected):
    """A caller's pair takes nothing over from the gateway's client but Basic or post."""
    own = Client("gateway", LONG, method, key=ED25519, secret_alg="HS256")
    caller = own.of_caller("service", LONG)
    assert caller == Client("service", LONG, expected)
    assert caller.able == ("client_secret_basic", "client_secret_post")


@pytest.mark.parametrize("method", ["none", "tls_client_auth", "self_signed_tls_client_auth"])
def test_without_a_secret_the_client_names_itself(method):
    """RFC 6749 §3.2.1, RFC 8705 §2: client_id is a parameter, and nothing secret is sent."""
    request = write_token_request(Client("c", "unused", method), GRANT)
    assert fields_of(request)[-1] == ("client_id", "c")
    assert "client_secret" not in dict(fields_of(request))
    assert "Authorization" not in dict(request.headers)


@pytest.mark.parametrize("method", AUTH_METHODS)
def test_a_request_authenticates_in_one_way(method):
    """A request carries exactly one client authentication (RFC 6749 §2.3)."""
    client = Client("c", LONG, method, key=ED25519, secret_alg="HS256")
    request = write_token_request(client, GRANT)
    fields, authorization = dict(fields_of(request)), dict(request.headers).get("Authorization")
    ways = [authorization, fields.get("client_secret"), fields.get("client_assertion")]
    by_secret = method not in {"none", "tls_client_auth", "self_signed_tls_client_auth"}
    assert len([way for way in ways if way]) == int(by_secret)


@pytest.mark.parametrize(
    ("method", "url"),
    [
        pytest.param("client_secret_basic", f"{ISSUER}/token", id="secret"),
        pytest.param("none", f"{ISSUER}/token", id="public"),
        pytest.param("tls_client_auth", "https://mtls.example/token", id="tls"),
        pytest.param("self_signed_tls_client_auth", "https://mtls.example/token", id="self-signed"),
    ],
)
def test_only_tls_methods_use_the_alias(method, url):
    """RFC 8705 §5: the alias is for clients that authenticate by TLS, and for no others."""
    assert url == write_token_request(Client("c", "s", method), GRANT).url


@pytest.mark.parametrize("method", ["private_key_jwt", "client_secret_jwt"])
def test_an_assertion_needs_its_key(method):
    """A client told to sign and given nothing to sign with is a configuration error."""
    with pytest.raises(ConfigurationError, match=method):
        write_token_request(Client("c", "s", method), GRANT)


def test_another_endpoint_that_is_not_there():
    """A request to an endpoint the provider does not have is refused before it is sent."""
    with pytest.raises(ProviderError, match="no revocation_endpoint"):
        write_client_request(
            Client("c", "s"), "revocation_endpoint", (), metadata=METADATA, now=NOW
        )


@pytest.mark.parametrize("method", AUTH_METHODS)
def test_secrets_are_not_shown(method):
    """Neither the client nor its request shows a secret, a key or an assertion (L1)."""
    client = Client("c", "canary" * 6, method, key=ED25519, secret_alg="HS256")
    request = write_token_request(client, PasswordGrant("u", "canary", ""))
    shown = f"{client!r} {request!r}"
    assert "canary" not in shown
    assert "PRIVATE" not in shown
    assert "eyJ" not in shown
