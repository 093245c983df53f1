"""Callers' own tokens and rules on claims, against Keycloak."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from .wire import basic, claims, forwarded

if TYPE_CHECKING:
    from collections.abc import Callable

    from .keycloak import Keycloak
    from .running_gateway import Gateway

pytestmark = pytest.mark.peer("keycloak")

BEARER = {"AUTH_METHODS": "password,bearer", "AUDIENCE_REQUIRED": "kong"}


def login(keycloak: Keycloak, user: str = "john", client: str = "kong") -> dict[str, Any]:
    """Return the token response of a login past the gateway."""
    password = {"john": "doe"}.get(user, user)
    form = {"grant_type": "password", "username": user, "password": password, "scope": "openid"}
    document: dict[str, Any] = keycloak.token(client, "kong-secret", **form).document()
    return document


def bearer(token: str) -> dict[str, str]:
    """Write the header field of a token."""
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("client", ["kong", "kong-es256"])
def test_callers_tokens(
    start_gateway: Callable[..., Gateway], keycloak: Keycloak, client: str
) -> None:
    """A token of any client of the realm is taken and sent on as it is."""
    gateway = start_gateway(ISSUER=keycloak.issuer, **BEARER)
    token = login(keycloak, client=client)["access_token"]

    answers = [gateway.get("/anything", bearer(token)) for _ in range(2)]

    assert [200, 200] == [answer.status for answer in answers]
    assert token == forwarded(answers[0])
    assert ["token", "memory"] == [gateway.cache_of(answer) for answer in answers]


def test_introspection(start_gateway: Callable[..., Gateway], keycloak: Keycloak) -> None:
    """A token is asked about once, and one whose session has ended is found out after a purge."""
    settings = {"AUTH_METHODS": "introspection", "AUDIENCE_REQUIRED": "kong"}
    gateway = start_gateway(
        ISSUER=keycloak.issuer, **settings, ROLES_REQUIRED="api-user", GROUPS_REQUIRED="staff"
    )
    token = login(keycloak)["access_token"]

    answers = [gateway.get("/anything", bearer(token)) for _ in range(2)]
    keycloak.admin().end_sessions("john")
    gateway.purge("john")
    after = gateway.get("/anything", bearer(token))

    assert [200, 200, 401] == [answer.status for answer in (*answers, after)]
    assert ["provider", "memory"] == [gateway.cache_of(answer) for answer in answers]


@pytest.mark.parametrize("name", ["id_token", "refresh_token"])
def test_other_tokens_are_asked_about(
    start_gateway: Callable[..., Gateway], keycloak: Keycloak, name: str
) -> None:
    """J17: Keycloak calls an ID token active, with a type of its own, and it is refused."""
    settings = {"AUTH_METHODS": "introspection", "INSECURE_ACCEPT_ANY_AUDIENCE": "true"}
    gateway = start_gateway(ISSUER=keycloak.issuer, **settings)

    assert 401 == gateway.get("/anything", bearer(login(keycloak)[name])).status


CLEARANCE = {
    "name": "clearance",
    "protocol": "openid-connect",
    "protocolMapper": "oidc-hardcoded-claim-mapper",
    "config": {
        "claim.name": "clearance",
        "claim.value": "3",
        "jsonType.label": "String",
        "access.token.claim": "false",
        "id.token.claim": "false",
        "userinfo.token.claim": "true",
    },
}


def test_user_info(start_gateway: Callable[..., Gateway], keycloak: Keycloak) -> None:
    """A claim that only the userinfo endpoint tells decides, for a pair and for a token."""
    admin = keycloak.admin()
    client = admin.call("GET", "/clients?clientId=kong")[0]["id"]
    mappers = f"/clients/{client}/protocol-mappers/models"
    admin.call("POST", mappers, CLEARANCE)
    settings = {"ISSUER": keycloak.issuer, **BEARER, "CLAIMS_REQUIRED": "clearance=3"}
    asking = start_gateway(**settings, SEARCH_USER_INFO="true")
    callers = (basic("john", "doe"), bearer(login(keycloak)["access_token"]))

    answers = [asking.get("/anything", headers).status for headers in callers * 2]
    silent = [start_gateway(**settings).get("/anything", headers).status for headers in callers]

    (made,) = [one["id"] for one in admin.call("GET", mappers) if one["name"] == "clearance"]
    admin.call("DELETE", f"{mappers}/{made}")
    assert [200] * 4 == answers
    assert [403] * 2 == silent


def test_token_without_openid(start_gateway: Callable[..., Gateway], keycloak: Keycloak) -> None:
    """Keycloak's userinfo endpoint refuses a token without the scope `openid`: 403."""
    form = {"grant_type": "password", "username": "john", "password": "doe"}
    token = keycloak.token("kong", "kong-secret", **form).document()["access_token"]
    gateway = start_gateway(ISSUER=keycloak.issuer, **BEARER, SEARCH_USER_INFO="true")

    assert 403 == gateway.get("/anything", bearer(token)).status


@pytest.mark.parametrize("name", ["id_token", "refresh_token"])
def test_other_tokens(start_gateway: Callable[..., Gateway], keycloak: Keycloak, name: str) -> None:
    """J17: the other tokens of the same answer are refused, whatever their audience."""
    settings = {"AUTH_METHODS": "bearer", "INSECURE_ACCEPT_ANY_AUDIENCE": "true"}
    gateway = start_gateway(ISSUER=keycloak.issuer, **settings)

    answer = gateway.get("/anything", bearer(login(keycloak)[name]))

    assert 401 == answer.status
    assert 'error="invalid_token"' in (answer.header("WWW-Authenticate") or "")


@pytest.mark.parametrize(
    ("rules", "john", "anna"),
    [
        pytest.param({"ROLES_REQUIRED": "api-admin"}, 403, 200, id="realm-role"),
        pytest.param({"ROLES_REQUIRED": "api-user"}, 200, 200, id="composite-role"),
        pytest.param(
            {"ROLES_CLAIM": "resource_access.kong.roles", "ROLES_REQUIRED": "writer"},
            403,
            200,
            id="client-role",
        ),
        pytest.param({"GROUPS_REQUIRED": "staff"}, 200, 403, id="group"),
        pytest.param({"CLAIMS_REQUIRED": "groups=~ad*,azp=kong"}, 403, 200, id="claims"),
        pytest.param({"CLAIMS_FORBIDDEN": "groups=staff"}, 403, 200, id="forbidden-value"),
    ],
)
def test_rules(
    start_gateway: Callable[..., Gateway],
    keycloak: Keycloak,
    rules: dict[str, str],
    john: int,
    anna: int,
) -> None:
    """J23: a rule decides alike for a pair and for a token, the first time and the second."""
    gateway = start_gateway(ISSUER=keycloak.issuer, **BEARER, **rules)
    tokens = {user: login(keycloak, user)["access_token"] for user in ("john", "anna")}
    assert claims(tokens["john"])["preferred_username"] == "john"
    for user, password, status in (("john", "doe", john), ("anna", "anna", anna)):
        for headers in (bearer(tokens[user]), basic(user, password)) * 2:
            assert status == gateway.get("/anything", headers).status


def test_told_to_the_upstream(start_gateway: Callable[..., Gateway], keycloak: Keycloak) -> None:
    """P3, P4: what Keycloak says of a user arrives in fields, and nothing the caller says of it."""
    fields = "X-User=preferred_username,X-Groups=groups,X-Roles=realm_access,X-Email=email"
    gateway = start_gateway(
        ISSUER=keycloak.issuer,
        UPSTREAM_HEADERS=f"{fields},X-None=no.such",
        AUTHENTICATED_HEADERS="true",
        CREDENTIAL_CLAIM="azp",
        AUTHENTICATED_GROUPS_CLAIM="groups",
    )
    forged = {"X-Groups": "admins", "X-None": "forged", "x-authenticated-groups": "admins"}
    answer = gateway.get("/anything", basic("john", "doe") | forged)

    said = claims(forwarded(answer))
    told = {name.lower(): value for name, value in answer.document()["headers"].items()}
    assert "john" == told["x-user"]
    assert ", ".join(said["groups"]) == told["x-groups"] == told["x-authenticated-groups"]
    assert said["realm_access"] == json.loads(base64.b64decode(told["x-roles"]))
    assert said.get("email") == told.get("x-email")
    assert ("kong", said["sub"]) == (
        told["x-credential-identifier"],
        told["x-authenticated-userid"],
    )
    assert said["scope"] == told["x-authenticated-scope"]
    assert "x-none" not in told


@pytest.mark.parametrize("client", ["kong", "kong-es256"])
def test_id_token(start_gateway: Callable[..., Gateway], keycloak: Keycloak, client: str) -> None:
    """T9: Keycloak's ID token verifies and arrives, for users, and for clients that ask for it."""
    gateway = start_gateway(
        ISSUER=keycloak.issuer,
        CLIENT_ID=client,
        UPSTREAM_ID_TOKEN_HEADER="X-Who",
        CLIENT_CREDENTIALS_SCOPES="openid",
        CLIENT_CREDENTIALS_IDS="service",
    )
    pairs = (basic("john", "doe"), basic("service", "service-secret"))
    answers = [gateway.get("/anything", {**pair, "x-who": "CANARY"}) for pair in pairs * 2]

    assert [200] * 4 == [answer.status for answer in answers]
    assert ["provider"] * 2 + ["memory"] * 2 == [gateway.cache_of(each) for each in answers]
    sent = [answer.document()["headers"]["X-Who"] for answer in answers]
    assert sent[:2] == sent[2:]
    assert [("ID", client), ("ID", "service")] == [
        (claims(each)["typ"], claims(each)["aud"]) for each in sent[:2]
    ]
