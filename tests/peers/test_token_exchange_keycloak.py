"""Callers' tokens exchanged by Keycloak's standard token exchange (RFC 8693)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .wire import basic, claims, forwarded

if TYPE_CHECKING:
    from collections.abc import Callable

    from .keycloak import Keycloak
    from .running_gateway import Gateway

pytestmark = pytest.mark.peer("keycloak")

FOR_ORDERS = {"TOKEN_EXCHANGE": "true", "TOKEN_EXCHANGE_AUDIENCE": "orders"}
BEARER = {**FOR_ORDERS, "AUTH_METHODS": "password,bearer", "AUDIENCE_REQUIRED": "kong"}
ENABLED = "standard.token.exchange.enabled"
INTROSPECTION = {**BEARER, "AUTH_METHODS": "introspection"}


def app_token(keycloak: Keycloak) -> str:
    """Return a token of olga that another client was given, for the gateway alone."""
    form = {"grant_type": "password", "username": "olga", "password": "olga"}
    document = keycloak.token("app", "app-secret", **form).document()
    assert claims(document["access_token"])["aud"] == "kong"
    return str(document["access_token"])


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(BEARER, id="bearer"),
        pytest.param(INTROSPECTION, id="introspection"),
        pytest.param({**BEARER, "CLIENT_AUTH": "client_secret_post"}, id="client-secret-post"),
    ],
)
def test_a_callers_token(
    start_gateway: Callable[..., Gateway], keycloak: Keycloak, settings: dict[str, str]
) -> None:
    """X1: the upstream gets a token of the same user for the audience, exchanged once."""
    gateway = start_gateway(ISSUER=keycloak.issuer, **settings)
    token = app_token(keycloak)

    answers = [gateway.get("/anything", {"Authorization": f"Bearer {token}"}) for _ in range(2)]

    first, second = (forwarded(answer) for answer in answers)
    given, own = claims(first), claims(token)
    assert ("orders", "kong") == (given["aud"], given["azp"])
    assert own["sub"] == given["sub"]
    assert {"orders": {"roles": ["buyer"]}} == given["resource_access"]
    assert first == second
    assert ["provider", "memory"] == [gateway.cache_of(answer) for answer in answers]


def test_a_pair(start_gateway: Callable[..., Gateway], keycloak: Keycloak) -> None:
    """X1, X3: a user's own token has both audiences and is judged; the one sent on has one."""
    gateway = start_gateway(ISSUER=keycloak.issuer, **FOR_ORDERS, AUDIENCE_REQUIRED="kong orders")

    answers = [gateway.get("/anything", basic("olga", "olga")) for _ in range(2)]

    assert ["orders"] * 2 == [claims(forwarded(answer))["aud"] for answer in answers]


def test_scopes(start_gateway: Callable[..., Gateway], keycloak: Keycloak) -> None:
    """The token sent on has the scope that was asked for, which the caller's own lacks."""
    gateway = start_gateway(ISSUER=keycloak.issuer, **{**BEARER, "TOKEN_EXCHANGE_SCOPES": "phone"})
    token = app_token(keycloak)

    given = forwarded(gateway.get("/anything", {"Authorization": f"Bearer {token}"}))

    assert "phone" not in claims(token)["scope"].split()
    assert "phone" in claims(given)["scope"].split()


@pytest.mark.parametrize(
    ("settings", "user", "status", "cause"),
    [
        pytest.param({}, "norole", 403, "audience not available: orders", id="no-role-there"),
        pytest.param(
            {"TOKEN_EXCHANGE_AUDIENCE": "nobody"}, "olga", 502, "Audience not found", id="unknown"
        ),
        pytest.param(
            {"TOKEN_EXCHANGE_AUDIENCE": "disabled-client"}, "olga", 502, "Client disabled",
            id="switched-off",
        ),
        pytest.param(
            {"TOKEN_EXCHANGE_SCOPES": "no-such-scope"}, "olga", 502, "Invalid scopes", id="scope"
        ),
        pytest.param(
            {"TOKEN_EXCHANGE_REQUESTED_TOKEN_TYPE": "jwt"}, "olga", 403,
            "requested_token_type unsupported", id="token-type",
        ),
        pytest.param(
            {"CLIENT_ID": "kong-post", "CLIENT_SECRET": "kong-post-secret"}, "olga", 403,
            "Standard token exchange is not enabled", id="not-enabled",
        ),
    ],
)  # fmt: skip
def test_refusals(
    start_gateway: Callable[..., Gateway],
    keycloak: Keycloak,
    settings: dict[str, str],
    user: str,
    status: int,
    cause: str,
) -> None:
    """X5: Keycloak says `invalid_request` of the subject, and of some mistakes of the operator."""
    gateway = start_gateway(ISSUER=keycloak.issuer, **{**FOR_ORDERS, **settings})

    answer = gateway.get("/anything", basic(user, user))

    assert status == answer.status
    assert cause in gateway.access_line(answer)["cause"]


def test_a_token_for_others(start_gateway: Callable[..., Gateway], keycloak: Keycloak) -> None:
    """X5: a token that is not for the gateway's client is refused, and its own is taken."""
    client = {"CLIENT_ID": "kong-post", "CLIENT_SECRET": "kong-post-secret"}
    gateway = start_gateway(ISSUER=keycloak.issuer, **BEARER | client)
    headers = {"Authorization": f"Bearer {app_token(keycloak)}"}
    keycloak.admin().set_client_attributes("kong-post", {ENABLED: "true"})
    try:
        others, own = (
            gateway.get("/anything", headers),
            gateway.get("/anything", basic("olga", "olga")),
        )
    finally:
        keycloak.admin().set_client_attributes("kong-post", {ENABLED: ""})

    assert [403, 200] == [others.status, own.status]
    assert "not within the token audience" in gateway.access_line(others)["cause"]


def test_an_ended_session(start_gateway: Callable[..., Gateway], keycloak: Keycloak) -> None:
    """X5, A7: a token whose session has ended is 403 as soon as it is exchanged again."""
    gateway = start_gateway(ISSUER=keycloak.issuer, **BEARER, CACHE_TTL_NEG="0")
    headers = {"Authorization": f"Bearer {app_token(keycloak)}"}
    before = gateway.get("/anything", headers)
    keycloak.admin().end_sessions("olga")
    known = gateway.get("/anything", headers)
    gateway.purge("olga")

    statuses = [each.status for each in (before, known, gateway.get("/anything", headers))]

    assert [200, 200, 403] == statuses
