"""``doctor`` against a real Keycloak: each mistake in a realm of its own, and the fix it names."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
import time

import pytest

from gateway.doctor import Asked, Severity, examine
from gateway.settings import load

from .keycloak import Admin

NUMBERS = itertools.count(1)
CLIENT = {
    "clientId": "gateway",
    "secret": "gateway-secret",
    "directAccessGrantsEnabled": True,
    "serviceAccountsEnabled": True,
    "protocolMappers": [
        {
            "name": "orders",
            "protocol": "openid-connect",
            "protocolMapper": "oidc-audience-mapper",
            "config": {"included.custom.audience": "orders", "access.token.claim": "true"},
        }
    ],
}
USER = {
    "username": "john",
    "enabled": True,
    "email": "john@example.org",
    "emailVerified": True,
    "firstName": "John",
    "lastName": "Doe",
    "credentials": [{"type": "password", "value": "CANARY-doe", "temporary": False}],
}
PROTECTED = {
    "bruteForceProtected": True,
    "failureFactor": 30,
    "quickLoginCheckMilliSeconds": 1000,
}


def make_realm(keycloak, *, realm=None, client=None, user=None, others=()):
    """Make a realm in which everything is right but these, and return its name."""
    name = f"doctor-{os.getpid()}-{next(NUMBERS)}"
    document = {"realm": name, "enabled": True, **PROTECTED, **(realm or {})}
    document |= {"clients": [CLIENT | (client or {}), *others], "users": [USER | (user or {})]}
    Admin(f"{keycloak.url}/admin/realms", keycloak.admin("master").access_token).call(
        "POST", "", document
    )
    return name


ORDERS = {"clientId": "orders", "enabled": True, "directAccessGrantsEnabled": False}
EXCHANGES = {"attributes": {"standard.token.exchange.enabled": "true"}}
EXCHANGE = {"TOKEN_EXCHANGE": "true", "TOKEN_EXCHANGE_AUDIENCE": "orders"}
NO_MAPPER = {**EXCHANGES, "protocolMappers": []}
ANY = {"AUDIENCE_REQUIRED": ""}


def environ_for(keycloak, realm, **more):
    """Return settings that are right for such a realm but for these."""
    return {
        "ISSUER": f"{keycloak.url}/realms/{realm}",
        "CLIENT_ID": "gateway",
        "CLIENT_SECRET": "gateway-secret",
        "UPSTREAM_URL": "http://127.0.0.1:1",
        "AUDIENCE_REQUIRED": "orders",
        "IDP_TIMEOUT": "60",
        **more,
    }


def findings_of(environ, *, skew=0.0, user="john", admin_token=""):
    """Return what ``doctor`` finds with its clock that many seconds ahead."""

    async def gather():
        asked = Asked(lambda: time.time() + skew, user, "CANARY-doe" if user else "", admin_token)
        return [finding async for _, finding in examine(load(None, dict(environ)), asked)]

    return asyncio.run(gather())


def bad(findings):
    """Return the findings that somebody has to do something about, as text."""
    return [(each.severity, each.what, each.fix) for each in findings if each.fix]


@pytest.fixture(scope="module")
def sound_realm(keycloak):
    """Make a realm in which everything is right."""
    return make_realm(keycloak)


def only_enc_keys(keycloak, realm):
    """Leave the realm no key that signs with a public algorithm."""
    admin = keycloak.admin(realm)
    for each in admin.call("GET", "/components?type=org.keycloak.keys.KeyProvider"):
        if each["providerId"] == "rsa-generated":
            admin.call("DELETE", f"/components/{each['id']}")


MISTAKES = [
    pytest.param(
        {"client": {"protocolMappers": []}}, {}, "claim aud", "audience mapper", id="audience"
    ),
    pytest.param(
        {"client": {"directAccessGrantsEnabled": False}},
        {},
        "may not use the password grant",
        "Direct access grants",
        id="direct-access",
    ),
    pytest.param({}, {"CLIENT_SECRET": "CANARY-wrong"}, "is refused", "CLIENT_SECRET", id="secret"),
    pytest.param(
        {
            "client": {
                "clientAuthenticatorType": "client-secret-jwt",
                "secret": "gateway-secret-of-32-bytes-at-least",
            }
        },
        {"CLIENT_SECRET": "gateway-secret-of-32-bytes-at-least"},
        "is refused",
        "CLIENT_AUTH=client_secret_jwt",
        id="client-auth",
    ),
    pytest.param(
        {"client": {"serviceAccountsEnabled": False}},
        {"AUTH_METHODS": "client_credentials"},
        "client credentials grant",
        "Service accounts roles",
        id="service-account",
    ),
    pytest.param(
        {"user": {"requiredActions": ["UPDATE_PASSWORD"]}},
        {},
        "something left to do",
        "Required user actions",
        id="not-set-up",
    ),
    pytest.param(
        {"realm": {"enabled": False}},
        {},
        "realm is disabled",
        "Realm settings > Enabled",
        id="disabled-realm",
    ),
    pytest.param(
        {"realm": {"attributes": {"frontendUrl": "https://sso.example"}}},
        {},
        "calls itself https://sso.example/realms/",
        "Set ISSUER=https://sso.example/realms/",
        id="issuer-host",
    ),
    pytest.param(
        {"realm": {"accessTokenLifespan": 5}},
        {},
        "live 5 seconds",
        "Access Token Lifespan",
        id="lifetime",
    ),
]


@pytest.mark.parametrize(("seed", "settings", "what", "fix"), MISTAKES)
def test_seeded_mistakes(keycloak, seed, settings, what, fix):
    """Each mistake of a realm is found, and the fix names where to undo it."""
    realm = make_realm(keycloak, **seed)

    found = bad(findings_of(environ_for(keycloak, realm, **settings)))

    failures = [each for each in found if each[0] is Severity.FAILURE]
    assert [each for each in failures if what in each[1] and fix in each[2]], found
    assert "CANARY" not in repr(found)


EXCHANGED = [
    pytest.param({}, EXCHANGE, "may not exchange tokens", "Standard token exchange", id="off"),
    pytest.param(
        {"client": EXCHANGES, "others": []},
        EXCHANGE,
        "no client orders",
        "correct TOKEN_EXCHANGE_AUDIENCE",
        id="unknown-audience",
    ),
    pytest.param(
        {"client": EXCHANGES, "others": [ORDERS | {"enabled": False}]},
        EXCHANGE,
        "is disabled",
        "Clients > orders > Enabled",
        id="disabled-audience",
    ),
    pytest.param(
        {"client": NO_MAPPER},
        {**EXCHANGE, **ANY},
        "gives this caller no token for orders",
        "an audience mapper",
        id="nothing-there",
    ),
    pytest.param(
        {"client": EXCHANGES},
        {**EXCHANGE, "TOKEN_EXCHANGE_SCOPES": "no-such"},
        "may not have TOKEN_EXCHANGE_SCOPES",
        "Client scopes",
        id="scope",
    ),
    pytest.param(
        {"client": EXCHANGES},
        {**EXCHANGE, "TOKEN_EXCHANGE_REQUESTED_TOKEN_TYPE": "jwt"},
        "TOKEN_EXCHANGE_REQUESTED_TOKEN_TYPE",
        "=access_token",
        id="token-type",
    ),
]


@pytest.mark.parametrize(("seed", "settings", "what", "fix"), EXCHANGED)
def test_token_exchange_that_fails(keycloak, seed, settings, what, fix):
    """What keeps Keycloak from exchanging a user's token is a failure, and the fix undoes it."""
    realm = make_realm(keycloak, **{"others": [ORDERS], **seed})

    found = bad(findings_of(environ_for(keycloak, realm, **settings)))

    failures = [each for each in found if each[0] is Severity.FAILURE]
    assert [each for each in failures if what in each[1] and fix in each[2]], found


def test_token_exchange(keycloak):
    """A token that is exchanged is fine, of a user and of the client; so is what another gives."""
    realm = make_realm(keycloak, client=EXCHANGES, others=[ORDERS])
    environ = environ_for(keycloak, realm, **EXCHANGE)

    named, unnamed = (findings_of(environ, user=user) for user in ("john", ""))

    assert bad(named) == bad(unnamed) == []
    texts = [each.what for each in named]
    assert "the access token of password is exchanged for one for the upstream" in texts
    assert "the access token of client_credentials is exchanged for one for the upstream" in texts


@pytest.mark.parametrize(("client", "allowed"), [({}, False), (EXCHANGES, True)])
def test_token_exchange_without_a_token(keycloak, client, allowed):
    """Whether the client may exchange tokens shows without anybody's token."""
    realm = make_realm(keycloak, client=client, others=[ORDERS])
    environ = environ_for(keycloak, realm, **EXCHANGE, AUTH_METHODS="password")

    found = findings_of(environ, user="")

    assert allowed == ("with --user one is tried" in found[-1].what), found
    assert allowed == (found[-1].severity is Severity.FINE)


CLAIMS = [
    pytest.param(
        {"CLAIMS_REQUIRED": "department=sales"},
        "no claim department, of which CLAIMS_REQUIRED asks",
        "preferred_username",
        id="claims-required",
    ),
    pytest.param(
        {"CLAIMS_REQUIRED": "email=~*@example.com"},
        "the claim email of the access token of password lacks what CLAIMS_REQUIRED",
        "Correct the value",
        id="another-value",
    ),
    pytest.param(
        {"CLAIMS_FORBIDDEN": "email_verified"}, "CLAIMS_FORBIDDEN names", "kept out", id="forbidden"
    ),
    pytest.param(
        {"GROUPS_REQUIRED": "staff"},
        "no claim groups, of which GROUPS_REQUIRED asks: staff",
        "group membership mapper",
        id="groups",
    ),
    pytest.param(
        {"ROLES_CLAIM": "roles", "ROLES_REQUIRED": "admin"},
        "no claim roles, of which ROLES_REQUIRED asks: admin",
        "set ROLES_CLAIM. It has: acr, ",
        id="the-claim-is-elsewhere",
    ),
    pytest.param(
        {"SCOPES_REQUIRED": "orders:read"},
        "the claim scope of the access token of password lacks what SCOPES_REQUIRED",
        "SCOPES",
        id="scope",
    ),
    pytest.param(
        {"SEARCH_USER_INFO": "true", "SCOPES": "email"},
        "does not take the access token (403)",
        "Add openid to SCOPES",
        id="userinfo-without-openid",
    ),
    pytest.param(
        {"UPSTREAM_ID_TOKEN_HEADER": "X-Id", "SCOPES": "email"},
        "with the access token of password comes no ID token",
        "Add openid",
        id="no-id-token",
    ),
]


@pytest.mark.parametrize(("settings", "what", "fix"), CLAIMS)
def test_claims_that_are_not_there(keycloak, sound_realm, settings, what, fix):
    """A rule that a real token cannot satisfy is found, with what the token has instead."""
    found = bad(findings_of(environ_for(keycloak, sound_realm, **settings)))

    failures = [each for each in found if each[0] is Severity.FAILURE]
    assert [each for each in failures if what in each[1] and fix in each[2]], found


def test_claims_that_are_there(keycloak, sound_realm):
    """What token, ID token and userinfo have is fine."""
    settings = {
        "CLAIMS_REQUIRED": "email=john@example.org,azp=gateway",
        "CLAIMS_FORBIDDEN": "department",
        "SEARCH_USER_INFO": "true",
        "UPSTREAM_ID_TOKEN_HEADER": "X-Id",
        "AUTH_METHODS": "password",
    }
    found = findings_of(environ_for(keycloak, sound_realm, **settings))

    assert [] == bad(found)
    texts = "\n".join(each.what for each in found)
    assert "the userinfo endpoint takes the access token" in texts
    assert "the ID token of password verifies" in texts


OWN_AUDIENCE = {
    "name": "own",
    "protocol": "openid-connect",
    "protocolMapper": "oidc-audience-mapper",
    "config": {"included.client.audience": "gateway", "access.token.claim": "true"},
}


def test_introspection(keycloak, sound_realm):
    """Keycloak tells a client about tokens whose aud names it, and calls others not active."""
    both = [*CLIENT["protocolMappers"], OWN_AUDIENCE]
    told = make_realm(keycloak, client={"protocolMappers": both})
    settings = {"AUTH_METHODS": "password,introspection"}

    untold = bad(findings_of(environ_for(keycloak, sound_realm, **settings)))
    found = findings_of(environ_for(keycloak, told, **settings))

    assert [(Severity.FAILURE, True)] == [
        (each[0], "not active" in each[1] and "audience mapper for gateway" in each[2])
        for each in untold
    ]
    assert [] == bad(found)
    assert "the provider tells about the access token of password" in [each.what for each in found]


@pytest.mark.parametrize(
    ("methods", "user"),
    [
        pytest.param("password,introspection", "", id="nobody"),
        pytest.param("password,bearer,introspection", "john", id="JWTs-are-verified-here"),
    ],
)
def test_introspection_without_a_token(keycloak, sound_realm, methods, user):
    """Whether the client may ask shows without anybody's token too."""
    environ = environ_for(keycloak, sound_realm, AUTH_METHODS=methods)

    texts = [each.what for each in findings_of(environ, user=user) if not each.fix]

    assert "the client may ask about tokens" in texts


def test_routes_with_other_rules(keycloak, sound_realm, tmp_path):
    """Routes that log in in the same way cost one login; their rules are judged each."""
    admin = keycloak.admin(sound_realm)
    admin.call("PUT", "/events/config", {"eventsEnabled": True})
    file = tmp_path / "gateway.yaml"
    file.write_text(
        "routes:\n"
        "- {name: a, paths: [/a], groups_required: [staff]}\n"
        "- {name: b, paths: [/b], claims_required: [azp=gateway]}\n"
        "- {name: c, paths: [/c], auth_methods: []}\n"
    )
    file.chmod(0o600)
    environ = environ_for(keycloak, sound_realm, AUTH_METHODS="password")

    async def gather():
        asked = Asked(time.time, "john", "CANARY-doe")
        return [each async for each in examine(load(file, dict(environ)), asked)]

    found = asyncio.run(gather())

    logins = admin.call("GET", "/events?type=LOGIN")
    admin.call("PUT", "/events/config", {"eventsEnabled": False})
    admin.call("DELETE", "/events")
    assert 1 == len(logins)
    assert {"default", "default (a)", "default (b)"} == {about for about, _ in found}
    assert [("default (a)", Severity.FAILURE)] == [
        (about, each.severity) for about, each in found if each.fix
    ]


def test_nothing_is_wrong_with_a_sound_realm(keycloak, sound_realm):
    """Where everything is right nothing is to be done, also with an administrator's token."""
    token = keycloak.admin("master").access_token

    found = findings_of(environ_for(keycloak, sound_realm), admin_token=token)

    assert bad(found) == []
    assert "the clocks agree" in [each.what for each in found]
    assert "the realm locks later than the gateway holds back" in [each.what for each in found]


@pytest.mark.parametrize(
    ("skew", "side"),
    [pytest.param(90.0, "ahead of", id="ahead"), pytest.param(-90.0, "behind", id="behind")],
)
def test_clock_skew(keycloak, sound_realm, skew, side):
    """A clock that is off by more than LEEWAY is found from when a token was made."""
    found = bad(findings_of(environ_for(keycloak, sound_realm), skew=skew))

    assert [each for each in found if side in each[1] and "NTP" in each[2]], found


def test_only_encryption_keys(keycloak):
    """A key set without a key that may verify is found, with the kind of key to add."""
    realm = make_realm(keycloak)
    only_enc_keys(keycloak, realm)

    found = bad(findings_of(environ_for(keycloak, realm), user=""))

    assert [each for each in found if "key set" in each[1] and "use SIG" in each[2]], found


@pytest.mark.parametrize(
    ("seed", "settings", "what", "fix"),
    [
        pytest.param(
            {"failureFactor": 3}, {}, "after 3 failures", "FAILED_LOGINS_MAX below 3", id="few"
        ),
        pytest.param(
            {"quickLoginCheckMilliSeconds": 5000},
            {},
            "within 5 seconds",
            "FAILED_LOGINS_SPACING above 5",
            id="quick",
        ),
        pytest.param(
            {"bruteForceProtected": False}, {}, "nothing against guessing", "Switch on", id="off"
        ),
        pytest.param(
            {"permanentLockout": True}, {}, "until somebody unlocks", "temporary", id="for-ever"
        ),
    ],
)
def test_guessing(keycloak, seed, settings, what, fix):
    """With an administrator's token the realm's guard is compared with the gateway's."""
    realm = make_realm(keycloak, realm=seed)
    token = keycloak.admin("master").access_token

    found = bad(findings_of(environ_for(keycloak, realm, **settings), admin_token=token))

    assert [each for each in found if what in each[1] and fix in each[2]], found


def test_guessing_without_a_token(keycloak, sound_realm):
    """Without that token logins closer together than Keycloak's default are a failure."""
    found = bad(findings_of(environ_for(keycloak, sound_realm, FAILED_LOGINS_SPACING="0.5")))

    assert [each for each in found if "FAILED_LOGINS_SPACING above 1" in each[2]], found


def test_the_command(keycloak, sound_realm):
    """The command reads the password from its input and ends with 0, or with 1 for a failure."""
    environ = {**os.environ, **environ_for(keycloak, sound_realm)}
    command = [sys.executable, "-m", "gateway", "doctor", "--user", "john", "--json"]

    done = subprocess.run(
        command, env=environ, input="CANARY-doe\n", capture_output=True, text=True, check=False
    )
    failed = subprocess.run(
        command, env=environ, input="CANARY-no\n", capture_output=True, text=True, check=False
    )

    assert (done.returncode, failed.returncode) == (0, 1), done.stderr
    assert all(each["severity"] == "fine" for each in json.loads(done.stdout))
    assert "CANARY" not in done.stdout + done.stderr + failed.stdout + failed.stderr
