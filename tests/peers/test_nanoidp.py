"""The gateway as a process against nanoidp."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .wire import basic, claims, forwarded, jose_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from .counterparts import NanoIdP
    from .running_gateway import Gateway

pytestmark = [pytest.mark.peer("nanoidp"), pytest.mark.timeout(600)]


@pytest.fixture
def gateway(start_gateway: Callable[..., Gateway], nanoidp: NanoIdP) -> Gateway:
    """Start a gateway that logs in at nanoidp."""
    return start_gateway(ISSUER=nanoidp.issuer)


@pytest.mark.parametrize(
    ("user", "password"),
    [
        pytest.param("john", "doe", id="user"),
        pytest.param("jürgen", "p:ä ß%+&", id="user-outside-ascii"),
        pytest.param("service", "service-secret", id="client"),
    ],
)
def test_users_and_clients_log_in(gateway: Gateway, user: str, password: str) -> None:
    """Under BASIC_GRANT=auto users and clients alike reach the upstream as themselves."""
    assert claims(forwarded(gateway.get("/anything", basic(user, password))))["sub"] == user


def test_wrong_credentials_are_a_401(gateway: Gateway) -> None:
    """Wrong as a user and wrong as a client is wrong (RFC 6749 §5.2)."""
    answer = gateway.get("/anything", basic("john", "bad"))
    assert answer.status == 401
    assert (answer.header("WWW-Authenticate") or "").startswith("Basic ")


def test_a_wrong_secret_of_the_gateway_is_a_502(
    start_gateway: Callable[..., Gateway], nanoidp: NanoIdP
) -> None:
    """Nanoidp's `invalid_client` on the password grant is about the gateway, not the caller."""
    gateway = start_gateway(ISSUER=nanoidp.issuer, CLIENT_SECRET="bad")
    assert gateway.get("/anything", basic("john", "doe")).status == 502


@pytest.mark.parametrize(
    ("client_auth", "status"),
    [
        pytest.param("client_secret_post", 200, id="registered-method"),
        pytest.param("client_secret_basic", 502, id="other-method"),
    ],
)
def test_the_client_authenticates_by_the_configured_method(
    start_gateway: Callable[..., Gateway], nanoidp: NanoIdP, client_auth: str, status: int
) -> None:
    """Nanoidp takes one method per client, and CLIENT_AUTH says which (RFC 6749 §2.3.1)."""
    gateway = start_gateway(
        ISSUER=nanoidp.issuer,
        CLIENT_ID="kong-post",
        CLIENT_SECRET="kong-post-secret",
        CLIENT_AUTH=client_auth,
    )
    assert gateway.get("/anything", basic("john", "doe")).status == status


def test_a_rotated_key_costs_no_failed_request(gateway: Gateway, nanoidp: NanoIdP) -> None:
    """After a rotation the next login works, and the older token stays in use (K1)."""
    old = forwarded(gateway.get("/anything", basic("john", "doe")))
    kid = nanoidp.rotate()
    new = forwarded(gateway.get("/anything", basic("jürgen", "p:ä ß%+&")))
    assert jose_header(new)["kid"] == kid
    assert forwarded(gateway.get("/anything", basic("john", "doe"))) == old
