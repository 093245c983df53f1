"""Callers' refresh tokens against providers that rotate, that do not, and that punish reuse."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from .keycloak import FORM, SHORT_REALM
from .wire import Answer, ask, basic, claims, forwarded

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.token_cache.redis_server import RedisServer

    from .keycloak import Keycloak
    from .running_gateway import Gateway

pytestmark = pytest.mark.timeout(300)

METHOD = {
    "AUTH_METHODS": "refresh_token",
    "REFRESH_TOKEN_PARAM_NAME": "X-Refresh-Token",
    "CACHE_TTL_NEG": "0",
}


def login(keycloak: Keycloak, issuer: str, user: str = "norole") -> dict[str, str]:
    """Log somebody in past the gateway; return the header field of the refresh token."""
    form = {"grant_type": "password", "username": user, "password": user, "scope": "openid"}
    document: dict[str, Any] = keycloak.token("kong", "kong-secret", issuer, **form).document()
    return {"X-Refresh-Token": document["refresh_token"]}


@pytest.mark.peer("keycloak")
@pytest.mark.parametrize("rotates", [True, False], ids=["rotating", "not-rotating"])
def test_keycloak(
    start_gateway: Callable[..., Gateway], keycloak: Keycloak, *, rotates: bool
) -> None:
    """T7: one refresh token is good for the whole session, whether Keycloak rotates or not."""
    issuer = keycloak.short_issuer if rotates else keycloak.issuer
    admin = keycloak.admin(SHORT_REALM) if rotates else keycloak.admin()
    admin.end_sessions("norole")
    gateway = start_gateway(ISSUER=issuer, CACHE_TTL_MAX="0", **METHOD)
    caller = login(keycloak, issuer)

    answers = [gateway.get("/anything", caller) for _ in range(4)]

    assert [200] * 4 == [answer.status for answer in answers]
    assert {"norole"} == {claims(forwarded(each))["preferred_username"] for each in answers}
    assert 4 == len({forwarded(each) for each in answers})
    assert caller["X-Refresh-Token"] not in repr([each.body for each in answers])
    assert 1 == admin.count_sessions("norole")
    admin.end_sessions("norole")
    assert 401 == gateway.get("/anything", caller).status


def status_of(gateway: Gateway, caller: dict[str, str]) -> int:
    """Return what comes of a request, sent again while Redis is too slow for a busy machine."""
    for _ in range(30):
        status = gateway.get("/anything", caller).status
        if status != 503:
            return status
        time.sleep(0.5)
    raise AssertionError("Redis does not answer")


@pytest.mark.peer("keycloak")
def test_two_gateways(
    start_gateway: Callable[..., Gateway], keycloak: Keycloak, redis_server: RedisServer
) -> None:
    """T7: two gateways spend no refresh token twice, which Keycloak would end the session for."""
    shared = {"REDIS_URL": redis_server.url, "CACHE_SECRET": "s" * 32}
    gateways = [
        start_gateway(ISSUER=keycloak.short_issuer, CACHE_TTL_MAX="0", **METHOD, **shared)
        for _ in range(2)
    ]
    caller = login(keycloak, keycloak.short_issuer)

    statuses = [status_of(gateways[n % 2], caller) for n in range(8)]

    assert [200] * 8 == statuses


@pytest.mark.peer("keycloak")
@pytest.mark.parametrize("made_up", ["invented", "access_token", "of-another-client"])
def test_keycloak_refuses(
    start_gateway: Callable[..., Gateway], keycloak: Keycloak, made_up: str
) -> None:
    """Whatever Keycloak takes for no refresh token of this client is 401."""
    gateway = start_gateway(ISSUER=keycloak.issuer, **METHOD)
    form = {"grant_type": "password", "username": "norole", "password": "norole"}
    client = "kong-es256" if made_up == "of-another-client" else "kong"
    tokens = keycloak.token(client, "kong-secret", **form).document()
    token = {
        "invented": "invented",
        "access_token": tokens["access_token"],
        "of-another-client": tokens["refresh_token"],
    }[made_up]

    answer = gateway.get("/anything", {"X-Refresh-Token": token})

    assert (401, "invalid_token") == (answer.status, answer.document()["error"])


def past_the_gateway(issuer: str, **form: str) -> Answer:
    """Ask the token endpoint of oidc-provider as the gateway's client."""
    headers = FORM | basic("kong", "kong-secret")
    return ask(f"{issuer}/token", method="POST", headers=headers, body=urlencode(form).encode())


@pytest.mark.peer("oidc-provider")
def test_oidc_provider(start_gateway: Callable[..., Gateway], oidc_provider: str) -> None:
    """T7: a provider that ends the session of whoever reuses a refresh token sees none reused.

    It is proved by one that is: the caller's own, past the gateway.
    """
    gateway = start_gateway(ISSUER=oidc_provider, CACHE_TTL_MAX="0", **METHOD)
    form = {
        "grant_type": "password",
        "username": "john",
        "password": "doe",
        "scope": "offline_access",
    }
    first = past_the_gateway(oidc_provider, **form).document()["refresh_token"]
    caller = {"X-Refresh-Token": first}

    answers = [gateway.get("/anything", caller) for _ in range(4)]

    assert [200] * 4 == [answer.status for answer in answers]
    assert 401 == gateway.get("/anything", {"X-Refresh-Token": "invented"}).status
    spent = {"grant_type": "refresh_token", "refresh_token": first}
    assert 400 == past_the_gateway(oidc_provider, **spent).status
    assert 401 == gateway.get("/anything", caller).status
