"""The gateway as a process against oidc-provider, whose access tokens are `at+jwt` (RFC 9068)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .wire import basic, claims, forwarded, jose_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from .running_gateway import Gateway

pytestmark = [pytest.mark.peer("oidc-provider"), pytest.mark.timeout(600)]

SERVICE = {"CLIENT_ID": "service", "CLIENT_SECRET": "service-secret"}


@pytest.mark.parametrize(
    ("client_id", "pair", "algorithm"),
    [
        pytest.param("kong", ("john", "doe"), "RS256", id="user-RS256"),
        pytest.param("kong-es256", ("john", "doe"), "ES256", id="user-ES256"),
        pytest.param("kong", ("service", "service-secret"), "RS256", id="client-RS256"),
        pytest.param("kong", ("service-es256", "service-secret"), "ES256", id="client-ES256"),
        pytest.param("kong", ("jürgen", "p:ä ß%+&"), "RS256", id="user-outside-ascii"),
    ],
)
def test_tokens_of_type_at_jwt_verify(
    start_gateway: Callable[..., Gateway],
    oidc_provider: str,
    client_id: str,
    pair: tuple[str, str],
    algorithm: str,
) -> None:
    """RS256 and ES256 tokens of type at+jwt are verified and forwarded (RFC 9068 §4, J17)."""
    gateway = start_gateway(ISSUER=oidc_provider, CLIENT_ID=client_id)
    token = forwarded(gateway.get("/anything", basic(*pair)))
    assert jose_header(token)["typ"] == "at+jwt"
    assert jose_header(token)["alg"] == algorithm
    assert claims(token)["sub"] == pair[0]


@pytest.mark.parametrize(
    ("audience", "status"),
    [
        pytest.param("urn:gateway", 200, id="its-audience"),
        pytest.param("urn:other", 403, id="another-audience"),
    ],
)
def test_the_audience_is_required(
    start_gateway: Callable[..., Gateway], oidc_provider: str, audience: str, status: int
) -> None:
    """A token whose `aud` is another resource's is refused on every request (J15, J23)."""
    gateway = start_gateway(ISSUER=oidc_provider, AUDIENCE_REQUIRED=audience)
    assert gateway.get("/anything", basic("john", "doe")).status == status
    assert gateway.get("/anything", basic("john", "doe")).status == status


@pytest.mark.parametrize(
    ("settings", "password", "status"),
    [
        pytest.param({}, "doe", 200, id="good"),
        pytest.param({}, "bad", 401, id="caller-refused"),
        pytest.param({"CLIENT_SECRET": "bad"}, "doe", 502, id="gateway-refused"),
        pytest.param(SERVICE, "doe", 502, id="grant-not-allowed"),
    ],
)
def test_who_is_refused_decides_the_status(
    start_gateway: Callable[..., Gateway],
    oidc_provider: str,
    settings: dict[str, str],
    password: str,
    status: int,
) -> None:
    """A wrong caller is a 401; a wrong gateway is a 502 (RFC 6749 §5.2)."""
    gateway = start_gateway(ISSUER=oidc_provider, **settings)
    assert gateway.get("/anything", basic("john", password)).status == status
