"""Callers' own tokens against oidc-provider: at+jwt verified here, opaque ones asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from .keycloak import FORM
from .wire import ask, basic, forwarded, jose_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from .running_gateway import Gateway

pytestmark = [pytest.mark.peer("oidc-provider"), pytest.mark.timeout(180)]

BOTH = {"AUTH_METHODS": "password,bearer,introspection", "AUDIENCE_REQUIRED": "urn:gateway"}


def login(issuer: str, client: str = "kong") -> dict[str, Any]:
    """Return the token response of a login past the gateway."""
    form = {"grant_type": "password", "username": "john", "password": "doe", "scope": "openid"}
    headers = FORM | basic(client, "kong-secret")
    answer = ask(f"{issuer}/token", method="POST", headers=headers, body=urlencode(form).encode())
    assert answer.status == 200, answer.body
    document: dict[str, Any] = answer.document()
    return document


def bearer(token: str) -> dict[str, str]:
    """Write the header field of a token."""
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("client", ["kong", "kong-es256"])
def test_jwts_are_verified_here(
    start_gateway: Callable[..., Gateway], oidc_provider: str, client: str
) -> None:
    """J17: a token of type at+jwt of any client is taken, and the provider is not asked."""
    gateway = start_gateway(ISSUER=oidc_provider, **BOTH)
    token = login(oidc_provider, client)["access_token"]
    assert jose_header(token)["typ"] == "at+jwt"

    answer = gateway.get("/anything", bearer(token))

    assert token == forwarded(answer)
    assert "token" == gateway.cache_of(answer)


def test_opaque_tokens_are_asked_about(
    start_gateway: Callable[..., Gateway], oidc_provider: str
) -> None:
    """An opaque token is good if the provider says so, and known from then on."""
    gateway = start_gateway(ISSUER=oidc_provider, **BOTH)
    token = login(oidc_provider, "kong-opaque")["access_token"]
    assert "." not in token

    answers = [gateway.get("/anything", bearer(token)) for _ in range(2)]

    assert token == forwarded(answers[0])
    assert ["provider", "memory"] == [gateway.cache_of(answer) for answer in answers]


def test_opaque_tokens_of_the_token_endpoint(
    start_gateway: Callable[..., Gateway], oidc_provider: str
) -> None:
    """A pair for which the provider issues an opaque token is let in, and cached."""
    gateway = start_gateway(
        ISSUER=oidc_provider, CLIENT_ID="kong-opaque", AUDIENCE_REQUIRED="urn:gateway"
    )

    answers = [gateway.get("/anything", basic("john", "doe")) for _ in range(2)]

    assert [200, 200] == [answer.status for answer in answers]
    assert "." not in forwarded(answers[0])
    assert ["provider", "memory"] == [gateway.cache_of(answer) for answer in answers]


@pytest.mark.parametrize("token", ["unknown", "ry1PmVaPq2uXzJ-3nQGQ3Y0pTj7f4aZ6wK2sXvB9cLd"])
def test_unknown_tokens(
    start_gateway: Callable[..., Gateway], oidc_provider: str, token: str
) -> None:
    """A token the provider does not know is 401 `invalid_token`."""
    gateway = start_gateway(ISSUER=oidc_provider, **BOTH)

    answer = gateway.get("/anything", bearer(token))

    assert 401 == answer.status
    assert 'error="invalid_token"' in (answer.header("WWW-Authenticate") or "")
