"""The gateway as a process against a real Keycloak."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from .wire import basic, claims, forwarded, jose_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from .keycloak import Keycloak
    from .running_gateway import Gateway

pytestmark = [pytest.mark.peer("keycloak"), pytest.mark.timeout(600)]

PASSWORDS = {"john": "doe", "anna": "anna", "norole": "norole"}
JOHN = basic("john", PASSWORDS["john"])


@pytest.fixture
def gateway(start_gateway: Callable[..., Gateway], keycloak: Keycloak) -> Gateway:
    """Start a gateway with the settings of the README: only what is required."""
    return start_gateway(ISSUER=keycloak.issuer)


def test_a_user_name_and_password_become_a_token_of_that_user(gateway: Gateway) -> None:
    """A Basic pair of a user reaches the upstream as a token for that user (RFC 6749 §4.3)."""
    token = claims(forwarded(gateway.get("/anything", JOHN)))
    assert token["preferred_username"] == "john"
    assert token["azp"] == "kong"
    assert "openid" in token["scope"].split()


def test_a_client_id_and_secret_become_a_token_of_that_client(gateway: Gateway) -> None:
    """Under BASIC_GRANT=auto a pair that is no user's is tried as a client (RFC 6749 §4.4)."""
    answer = gateway.get("/anything", basic("service", "service-secret"))
    assert claims(forwarded(answer))["azp"] == "service"
    assert gateway.access_line(answer)["grant"] == "client_credentials"


def test_a_configured_client_pattern_skips_the_password_grant(
    start_gateway: Callable[..., Gateway], keycloak: Keycloak
) -> None:
    """A user id that matches CLIENT_CREDENTIALS_IDS is a client at once: john is refused."""
    gateway = start_gateway(ISSUER=keycloak.issuer, CLIENT_CREDENTIALS_IDS="serv*,john")
    assert gateway.get("/anything", basic("service", "service-secret")).status == 200
    assert gateway.get("/anything", JOHN).status == 401


@pytest.mark.parametrize(
    ("grant", "pair", "status"),
    [
        pytest.param("password", ("john", "doe"), 200, id="password-user"),
        pytest.param("password", ("service", "service-secret"), 401, id="password-client"),
        pytest.param("client_credentials", ("service", "service-secret"), 200, id="client-client"),
        pytest.param("client_credentials", ("john", "doe"), 401, id="client-user"),
    ],
)
def test_one_enabled_method_decides_the_grant(
    start_gateway: Callable[..., Gateway],
    keycloak: Keycloak,
    grant: str,
    pair: tuple[str, str],
    status: int,
) -> None:
    """With BASIC_GRANT set, a pair of the other kind is refused."""
    gateway = start_gateway(ISSUER=keycloak.issuer, BASIC_GRANT=grant)
    assert gateway.get("/anything", basic(*pair)).status == status


def test_a_name_and_password_outside_ascii_arrive(gateway: Gateway) -> None:
    """UTF-8 in both halves of the pair reaches Keycloak unharmed (RFC 7617 §2.1, T1)."""
    token = claims(forwarded(gateway.get("/anything", basic("jürgen", "p:ä ß%+&"))))
    assert token["preferred_username"] == "jürgen"


@pytest.mark.parametrize(
    ("user", "password"),
    [
        pytest.param("john", "bad", id="wrong-password"),
        pytest.param("nobody", "doe", id="unknown-user"),
        pytest.param("disabled", "disabled", id="disabled-user"),
        pytest.param("mustchange", "mustchange", id="required-action"),
        pytest.param("incomplete", "incomplete", id="not-fully-set-up"),
        pytest.param("service", "bad", id="wrong-client-secret"),
        pytest.param("disabled-client", "disabled-client-secret", id="disabled-client"),
        pytest.param("no-service-account", "no-service-account-secret", id="client-without-grant"),
    ],
)
def test_refused_credentials_are_a_401_with_a_challenge(
    gateway: Gateway, user: str, password: str
) -> None:
    """Whatever reason Keycloak has, the caller sees one and the same 401 (RFC 9110 §15.5.2)."""
    answer = gateway.get("/anything", basic(user, password))
    assert answer.status == 401
    assert answer.document()["error"] == "invalid_credentials"
    challenge = answer.header("WWW-Authenticate") or ""
    assert challenge.startswith("Basic realm=")
    assert 'charset="UTF-8"' in challenge
    assert answer.header("Cache-Control") == "no-store"


def test_no_credentials_are_a_401_without_asking_keycloak(gateway: Gateway) -> None:
    """A request without credentials is told how to authenticate (RFC 7235 §3.1)."""
    answer = gateway.get("/anything")
    assert answer.status == 401
    assert answer.document()["error"] == "missing_credentials"


@pytest.mark.parametrize(
    ("client_id", "client_secret"),
    [
        pytest.param("kong", "bad", id="wrong-secret"),
        pytest.param("unheard-of", "kong-secret", id="unknown-client"),
        pytest.param("service", "service-secret", id="grant-not-allowed"),
    ],
)
def test_a_gateway_that_keycloak_refuses_is_a_502(
    start_gateway: Callable[..., Gateway],
    keycloak: Keycloak,
    client_id: str,
    client_secret: str,
) -> None:
    """A refusal of the gateway's own registration is not the caller's fault: 502, no challenge."""
    gateway = start_gateway(
        ISSUER=keycloak.issuer, CLIENT_ID=client_id, CLIENT_SECRET=client_secret
    )
    answer = gateway.get("/anything", JOHN)
    assert answer.status == 502
    assert answer.document()["error"] == "provider_error"
    assert answer.header("WWW-Authenticate") is None


def test_client_secret_post_is_accepted_by_keycloak(
    start_gateway: Callable[..., Gateway], keycloak: Keycloak
) -> None:
    """With CLIENT_AUTH=client_secret_post the secret travels in the body (RFC 6749 §2.3.1)."""
    gateway = start_gateway(
        ISSUER=keycloak.issuer,
        CLIENT_ID="kong-post",
        CLIENT_SECRET="kong-post-secret",
        CLIENT_AUTH="client_secret_post",
    )
    assert claims(forwarded(gateway.get("/anything", JOHN)))["azp"] == "kong-post"


def test_an_id_and_secret_that_need_encoding_authenticate(
    start_gateway: Callable[..., Gateway], keycloak: Keycloak
) -> None:
    """Id and secret are form-encoded before base64, so `:` and `%` work (RFC 6749 §2.3.1, T1)."""
    gateway = start_gateway(ISSUER=keycloak.issuer, CLIENT_CREDENTIALS_PARAM_TYPE="query")
    target = "/anything?client_id=service%3A1&client_secret=s%25%3A%2B%26+%C3%A9"
    answer = gateway.get(target)
    assert claims(forwarded(answer))["azp"] == "service:1"
    assert answer.document()["args"] == {}


def test_an_es256_token_of_type_at_jwt_verifies(
    start_gateway: Callable[..., Gateway], keycloak: Keycloak
) -> None:
    """A key that Keycloak makes only when it is first needed is fetched then (K1, J17)."""
    gateway = start_gateway(ISSUER=keycloak.issuer, CLIENT_ID="kong-es256")
    header = jose_header(forwarded(gateway.get("/anything", JOHN)))
    assert header["alg"] == "ES256"
    assert header["typ"] == "at+jwt"


def test_a_second_request_is_answered_from_memory(gateway: Gateway) -> None:
    """The same pair again costs no call to Keycloak: the same token, found in memory."""
    first, second = gateway.get("/anything", JOHN), gateway.get("/anything", JOHN)
    assert forwarded(first) == forwarded(second)
    assert gateway.cache_of(first) != "memory"
    assert gateway.cache_of(second) == "memory"


def test_a_five_second_token_is_renewed_before_it_expires(
    start_gateway: Callable[..., Gateway], keycloak: Keycloak
) -> None:
    """A token in use is replaced in the background, without a login (A5, A12)."""
    gateway = start_gateway(ISSUER=keycloak.short_issuer, CACHE_MARGIN="1")
    first, second = gateway.get("/anything", JOHN), gateway.get("/anything", JOHN)
    assert gateway.cache_of(second) == "memory"
    expires_at = claims(forwarded(first))["exp"]
    time.sleep(max(0.0, expires_at - time.time()))
    third = gateway.get("/anything", JOHN)
    assert gateway.cache_of(third) == "memory"
    assert claims(forwarded(third))["exp"] > expires_at
    assert claims(forwarded(third))["sid"] == claims(forwarded(first))["sid"]
    assert forwarded(second) == forwarded(first)


def test_an_idle_five_second_token_is_not_used_past_its_expiry(
    start_gateway: Callable[..., Gateway], keycloak: Keycloak
) -> None:
    """Nobody used the renewed token: it expires, and the next request logs in again (A5)."""
    gateway = start_gateway(ISSUER=keycloak.short_issuer, CACHE_MARGIN="1")
    first = gateway.get("/anything", basic("anna", "anna"))
    time.sleep(10)
    second = gateway.get("/anything", basic("anna", "anna"))
    assert gateway.cache_of(second) == "provider"
    assert claims(forwarded(second))["sid"] != claims(forwarded(first))["sid"]


def test_a_token_that_lives_shorter_than_the_margin_is_used_once(
    start_gateway: Callable[..., Gateway], keycloak: Keycloak
) -> None:
    """With the default margin a 5-second token is forwarded and not cached (A5)."""
    gateway = start_gateway(ISSUER=keycloak.short_issuer)
    first, second = gateway.get("/anything", JOHN), gateway.get("/anything", JOHN)
    assert forwarded(first) != forwarded(second)


def test_a_new_signing_key_costs_no_failed_request(gateway: Gateway, keycloak: Keycloak) -> None:
    """When Keycloak signs with a key never seen, the next login works at once (K1)."""
    old = jose_header(forwarded(gateway.get("/anything", JOHN)))["kid"]
    keycloak.admin().rotate_keys()
    new = jose_header(forwarded(gateway.get("/anything", basic("anna", "anna"))))["kid"]
    assert new != old
    assert jose_header(forwarded(gateway.get("/anything", JOHN)))["kid"] == old


def test_a_withdrawn_signing_key_ends_the_tokens_it_signed(
    gateway: Gateway, keycloak: Keycloak
) -> None:
    """Once the key set lacks a key, a cached token it signed is not forwarded again (K4, A6)."""
    old = jose_header(forwarded(gateway.get("/anything", JOHN)))["kid"]
    keycloak.admin().rotate_keys(keep_old=False)
    assert gateway.get("/anything", basic("anna", "anna")).status == 200
    assert jose_header(forwarded(gateway.get("/anything", JOHN)))["kid"] != old


def test_a_changed_password_ends_the_old_one_within_the_ceiling(
    start_gateway: Callable[..., Gateway], keycloak: Keycloak
) -> None:
    """After CACHE_TTL_MAX the old password is refused and the new one works (A7)."""
    gateway = start_gateway(ISSUER=keycloak.issuer, CACHE_TTL_MAX="2")
    admin = keycloak.admin()
    try:
        assert gateway.get("/anything", basic("norole", "norole")).status == 200
        admin.set_password("norole", "another")
        time.sleep(2.1)
        assert gateway.get("/anything", basic("norole", "norole")).status == 401
        assert gateway.get("/anything", basic("norole", "another")).status == 200
    finally:
        admin.set_password("norole", "norole")


def test_a_disabled_user_is_refused_within_the_ceiling(
    start_gateway: Callable[..., Gateway], keycloak: Keycloak
) -> None:
    """After CACHE_TTL_MAX a user who was disabled meanwhile is refused (A7)."""
    gateway = start_gateway(ISSUER=keycloak.issuer, CACHE_TTL_MAX="2")
    admin = keycloak.admin()
    try:
        assert gateway.get("/anything", basic("norole", "norole")).status == 200
        admin.set_enabled("norole", enabled=False)
        time.sleep(2.1)
        assert gateway.get("/anything", basic("norole", "norole")).status == 401
    finally:
        admin.set_enabled("norole", enabled=True)


@pytest.mark.parametrize(
    ("requirement", "user", "status"),
    [
        pytest.param({"ROLES_REQUIRED": "api-user"}, "john", 200, id="has-role"),
        pytest.param({"ROLES_REQUIRED": "api-user"}, "norole", 403, id="lacks-role"),
        pytest.param({"GROUPS_REQUIRED": "admins"}, "anna", 200, id="in-group"),
        pytest.param({"GROUPS_REQUIRED": "admins"}, "john", 403, id="not-in-group"),
        pytest.param({"AUDIENCE_REQUIRED": "kong"}, "john", 200, id="audience"),
        pytest.param({"AUDIENCE_REQUIRED": "orders"}, "john", 403, id="other-audience"),
        pytest.param({"SCOPES_REQUIRED": "openid"}, "john", 200, id="scope"),
        pytest.param({"SCOPES_REQUIRED": "orders.read"}, "john", 403, id="lacks-scope"),
    ],
)
def test_requirements_are_read_from_keycloaks_claims(
    start_gateway: Callable[..., Gateway],
    keycloak: Keycloak,
    requirement: dict[str, str],
    user: str,
    status: int,
) -> None:
    """Roles, groups, audience and scope stand where the default claim settings look (J15, J23)."""
    gateway = start_gateway(ISSUER=keycloak.issuer, **requirement)
    pair = basic(user, PASSWORDS[user])
    assert [gateway.get("/anything", pair).status for _ in range(2)] == [status, status]


def test_no_password_and_no_token_reach_the_log(gateway: Gateway) -> None:
    """The log of good and refused logins holds neither password, secret nor token."""
    token = forwarded(gateway.get("/anything", JOHN))
    gateway.get("/anything", basic("john", "a-wrong-password"))
    gateway.access_line(gateway.get("/anything", basic("service", "service-secret")))
    log = gateway.child.output()
    for secret in (
        token,
        "a-wrong-password",
        "service-secret",
        "kong-secret",
        "eyJ",
        "am9objpkb2U",
    ):
        assert secret not in log
