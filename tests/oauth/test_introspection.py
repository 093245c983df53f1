"""Answers of the introspection and the userinfo endpoint (RFC 7662, OpenID Connect Core §5.3)."""

from __future__ import annotations

import math

import pytest

from gateway.errors import ProviderError, ProviderUnavailableError
from gateway.oauth.claims import Expectation, InvalidTokenError, read_introspected
from gateway.oauth.introspection import (
    Introspection,
    TokenRefused,
    read_introspection,
    read_user_info,
)
from gateway.oauth.statuses import MAX_RETRY_AFTER
from tests.oauth.minting import ISSUER, NOW

ANYBODYS = Expectation(ISSUER, None)
JSON = "application/json"
readers = pytest.mark.parametrize("read", [read_introspection, read_user_info])


def test_question():
    """RFC 7662 §2.1: the token and its kind are sent, and shown nowhere else."""
    question = Introspection("opaque")

    assert (("token", "opaque"), ("token_type_hint", "access_token")) == question.form()
    assert "opaque" not in repr(question)


@pytest.mark.parametrize(
    ("body", "members"),
    [
        pytest.param(b'{"active":true,"sub":"mary"}', {"active": True, "sub": "mary"}, id="active"),
        pytest.param(b'{"active":false,"sub":"mary"}', None, id="inactive"),
    ],
)
def test_introspection(body, members):
    """RFC 7662 §2.2: an active token's members are returned, of any other nothing is."""
    assert members == read_introspection(status=200, content_type=JSON, body=body)


@pytest.mark.parametrize("body", [b"{}", b'{"active":"true"}', b'{"active":1}', b'{"active":null}'])
def test_not_said_whether_active(body):
    """RFC 7662 §2.2: only a boolean tells whether a token is active."""
    with pytest.raises(ProviderError, match="does not say"):
        read_introspection(status=200, content_type=JSON, body=body)


def test_user_info():
    """OpenID Connect Core §5.3.2: the claims are returned."""
    read = read_user_info(status=200, content_type=f"{JSON};charset=utf-8", body=b'{"sub":"mary"}')

    assert {"sub": "mary"} == read


@pytest.mark.parametrize("status", [401, 403])
def test_token_refused(status):
    """OpenID Connect Core §5.3.3: userinfo says so when it does not take a token."""
    assert TokenRefused(status) == read_user_info(status=status, content_type="", body=b"")


@readers
@pytest.mark.parametrize(
    ("status", "retry_after", "wait"),
    [
        pytest.param(500, None, 1, id="500"),
        pytest.param(503, 7, 7, id="503"),
        pytest.param(429, 10_000, MAX_RETRY_AFTER, id="429"),
    ],
)
def test_unavailable(read, status, retry_after, wait):
    """T6: an overloaded endpoint is tried again after a bounded time."""
    with pytest.raises(ProviderUnavailableError) as caught:
        read(status=status, content_type=JSON, body=b"{}", retry_after=retry_after)

    assert wait == caught.value.retry_after


@readers
@pytest.mark.parametrize(
    ("status", "content_type", "body", "reason"),
    [
        pytest.param(302, JSON, b"{}", "answered 302", id="redirect"),
        pytest.param(400, JSON, b"{}", "answered 400", id="bad-request"),
        pytest.param(200, "application/token-introspection+jwt", b"e30", "a JWT", id="RFC-9701"),
        pytest.param(200, "application/jwt", b"e30", "a JWT", id="jwt"),
        pytest.param(200, "text/html", b"{}", "not JSON", id="html"),
        pytest.param(200, "", b"{}", "not JSON", id="no-type"),
        pytest.param(200, JSON, b'{"sub":"a","sub":"b"}', "bad JSON", id="J12-duplicate"),
        pytest.param(200, JSON, b"[]", "bad JSON", id="list"),
    ],
)
def test_nonsense(read, status, content_type, body, reason):
    """T8: an answer that makes no sense is the provider's fault, and its words are not repeated."""
    with pytest.raises(ProviderError, match=reason):
        read(status=status, content_type=content_type, body=body)


def test_json_of_another_name():
    """RFC 6839 §3.1: a media type with the suffix `+json` is JSON."""
    assert {} == read_user_info(status=200, content_type="application/x+JSON", body=b"{}")


def test_claims_of_an_active_token():
    """RFC 7662 §2.2: all but `active` may be left out; what is there is read."""
    claims = read_introspected({"active": True, "client_id": "batch"}, ANYBODYS, NOW)

    assert (ISSUER, "batch", "batch") == (claims.iss, claims.sub, claims.client_id)
    assert ((), math.inf, None, None) == (claims.aud, claims.exp, claims.iat, claims.scope)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param({"iss": ISSUER}, id="J14-issuer"),
        pytest.param({"exp": NOW + 60}, id="J18-exp"),
        pytest.param({"token_type": "bearer"}, id="token-type"),
    ],
)
def test_what_is_there_is_right(said):
    """J14, J18: what a provider says about an active token is taken when it is right."""
    assert "mary" == read_introspected({"sub": "mary", **said}, ANYBODYS, NOW).sub


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        pytest.param({"token_type": "DPoP"}, "token_type", id="bound-to-a-key"),
        pytest.param({"iss": "https://other.example"}, "iss", id="J14-issuer"),
        pytest.param({"exp": NOW - 60}, "expired", id="J18-expired"),
        pytest.param({"nbf": NOW + 60}, "nbf", id="J19-not-yet"),
        pytest.param({"typ": "ID"}, "typ", id="J17-id-token"),
        pytest.param({"sub": None}, "sub", id="J20-nobody"),
    ],
)
def test_what_is_there_is_wrong(said, reason):
    """J14, J17, J18, J19, J20: what a provider says is judged like the claims of a token."""
    with pytest.raises(InvalidTokenError, match=reason):
        read_introspected({"sub": "mary", **said}, ANYBODYS, NOW)
