"""What traffic leaves behind in Keycloak: its sessions, read through its admin API."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from .keycloak import SHORT_REALM
from .wire import basic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.token_cache.redis_server import RedisServer

    from .keycloak import Admin, Keycloak
    from .running_gateway import Gateway

pytestmark = pytest.mark.timeout(600)

NOROLE = basic("norole", "norole")
LIFESPAN = 2
SHORT = {"CACHE_MARGIN": "0.5", "LEEWAY": "5"}


@pytest.fixture
def admin(keycloak: Keycloak) -> Iterator[Admin]:
    """Give the short realm tokens of two seconds, and end the user's sessions."""
    admin = keycloak.admin(SHORT_REALM)
    admin.set_access_token_lifespan(LIFESPAN)
    admin.end_sessions("norole")
    yield admin
    admin.set_access_token_lifespan(5)


def test_one_session_over_many_token_lifetimes(
    start_gateway: Callable[..., Gateway], keycloak: Keycloak, admin: Admin
) -> None:
    """Twenty token lifetimes of traffic leave one session, and every request is served (A12)."""
    gateway = start_gateway(ISSUER=keycloak.short_issuer, **SHORT)
    statuses = set()
    end = time.monotonic() + 20 * LIFESPAN
    while time.monotonic() < end:
        statuses.add(gateway.get("/anything", NOROLE).status)
        time.sleep(0.1)
    assert statuses == {200}
    assert admin.count_sessions("norole") == 1


def test_one_session_for_two_gateways(
    start_gateway: Callable[..., Gateway],
    keycloak: Keycloak,
    admin: Admin,
    redis_server: RedisServer,
) -> None:
    """Two replicas share the session; a refresh token that rotates is never used twice (A12)."""
    shared = {"REDIS_URL": redis_server.url, "CACHE_SECRET": "s" * 32}
    gateways = [start_gateway(ISSUER=keycloak.short_issuer, **SHORT, **shared) for _ in range(2)]
    statuses = set()
    end = time.monotonic() + 6 * LIFESPAN
    while time.monotonic() < end:
        statuses |= {gateway.get("/anything", NOROLE).status for gateway in gateways}
        time.sleep(0.1)
    assert statuses == {200}
    assert admin.count_sessions("norole") == 1


def test_purge_ends_the_session(
    start_gateway: Callable[..., Gateway], keycloak: Keycloak, admin: Admin
) -> None:
    """With REVOKE_ON_PURGE a purge of the user ends the session in Keycloak."""
    gateway = start_gateway(
        ISSUER=keycloak.short_issuer, **SHORT, REVOKE_ON_PURGE="true", CACHE_TTL_MAX="60"
    )
    assert gateway.get("/anything", NOROLE).status == 200
    assert admin.count_sessions("norole") == 1
    assert gateway.purge("norole") == {"purged": 1}
    assert admin.count_sessions("norole") == 0


def test_a_disabled_user_is_noticed_at_the_next_renewal(
    start_gateway: Callable[..., Gateway], keycloak: Keycloak, admin: Admin
) -> None:
    """A7: Keycloak refuses to renew for a disabled user, and then to log in."""
    gateway = start_gateway(ISSUER=keycloak.short_issuer, **SHORT)
    assert gateway.get("/anything", NOROLE).status == 200
    admin.set_enabled("norole", enabled=False)
    try:
        end = time.monotonic() + 5 * LIFESPAN
        while gateway.get("/anything", NOROLE).status == 200 and time.monotonic() < end:
            time.sleep(0.1)
        assert gateway.get("/anything", NOROLE).status == 401
    finally:
        admin.set_enabled("norole", enabled=True)
