"""A client id and secret go in; which grant a Basic pair means is settled by configuration."""

from __future__ import annotations

import pytest

from tests.fakes.answers import ANSWERS
from tests.fakes.caller import basic, request

JOHN = basic("john", "doe")
SERVICE = basic("service", "service-secret")


def grants(provider):
    """Tell the grants the provider was asked for."""
    return [each.grant_type for each in provider.token_calls]


async def test_the_callers_pair_is_the_client(start_gateway, call, provider, upstream):
    """With client_credentials the caller's pair authenticates, not the gateway's own client."""
    caller = await call(await start_gateway(AUTH_METHODS="client_credentials", CLIENT_ID=""))

    response = await caller.send(request("GET", "/", [SERVICE]))

    assert response.status == 200
    (sent,) = provider.token_calls
    assert (sent.client_id, sent.client_secret) == ("service", "service-secret")
    assert sent.form == {"grant_type": "client_credentials"}
    assert upstream.requests[0].values(b"authorization")[0].startswith(b"Bearer ey")


@pytest.mark.parametrize(
    ("settings", "pair", "expected"),
    [
        pytest.param({}, JOHN, ["password"], id="auto-a-user"),
        pytest.param({}, SERVICE, ["password", "client_credentials"], id="auto-a-client"),
        pytest.param(
            {"CLIENT_CREDENTIALS_IDS": "svc-*,serv*"},
            SERVICE,
            ["client_credentials"],
            id="auto-a-listed-client",
        ),
        pytest.param(
            {"BASIC_GRANT": "client_credentials"}, SERVICE, ["client_credentials"], id="client"
        ),
        pytest.param({"BASIC_GRANT": "password"}, JOHN, ["password"], id="user"),
        pytest.param({"AUTH_METHODS": "password"}, JOHN, ["password"], id="only-password"),
        pytest.param(
            {"PASSWORD_PARAM_TYPE": "body", "BASIC_GRANT": "password"},
            SERVICE,
            ["client_credentials"],
            id="only-clients-in-the-header",
        ),
    ],
)
async def test_basic_grant(start_gateway, call, provider, settings, pair, expected):
    """B13: configuration decides what a Basic pair is tried as, and nothing else does."""
    caller = await call(await start_gateway(**settings))

    response = await caller.send(request("GET", "/", [pair]))

    assert response.status == 200
    assert expected == grants(provider)


async def test_auto_remembers_what_worked(gateway, call, provider):
    """Under auto a client pays the second call once per cache life, not once per request."""
    caller = await call(gateway)

    for _ in range(3):
        await caller.send(request("GET", "/", [SERVICE]))

    assert grants(provider) == ["password", "client_credentials"]


async def test_auto_remembers_what_failed(gateway, call, provider):
    """A8: a pair that neither grant takes is asked about once, then refused from memory."""
    caller = await call(gateway)

    statuses = [
        (await caller.send(request("GET", "/", [basic("nobody", "wrong")]))).status
        for _ in range(3)
    ]

    assert statuses == [401, 401, 401]
    assert grants(provider) == ["password", "client_credentials"]


async def test_auto_tries_a_client_only_after_invalid_grant(gateway, call, provider):
    """B13: any answer but invalid_grant ends the matter; no second grant is tried."""
    caller = await call(gateway)
    provider.answer_next_token(ANSWERS["keycloak_wrong_client_secret"])

    response = await caller.send(request("GET", "/", [SERVICE]))

    assert response.status == 502
    assert grants(provider) == ["password"]


async def test_refusals_can_be_asked_every_time(start_gateway, call, provider):
    """CACHE_TTL_NEG=0 remembers no refusal."""
    caller = await call(await start_gateway(CACHE_TTL_NEG="0", AUTH_METHODS="password"))

    for _ in range(2):
        await caller.send(request("GET", "/", [basic("john", "wrong")]))

    assert len(provider.token_calls) == 2


async def test_a_wrong_password_does_not_touch_the_right_one(gateway, call, provider):
    """A8, A9: a refused password neither blocks nor evicts the same user's good one."""
    caller = await call(gateway)

    statuses = [
        (await caller.send(request("GET", "/", [basic("john", password)]))).status
        for password in ("wrong", "doe", "wrong", "doe")
    ]

    assert statuses == [401, 200, 401, 200]
    assert len(provider.token_calls) == 3


async def test_token_request_content(start_gateway, call, provider):
    """SCOPES, AUDIENCE and TOKEN_POST_ARGS are sent; each client authentication as configured."""
    caller = await call(
        await start_gateway(
            SCOPES="openid profile",
            CLIENT_CREDENTIALS_SCOPES="orders",
            AUDIENCE="https://api.example/",
            TOKEN_POST_ARGS="tenant=a&b,empty=",
            CLIENT_AUTH="client_secret_post",
            CLIENT_CREDENTIALS_IDS="service",
        )
    )

    await caller.send(request("GET", "/", [JOHN]))
    await caller.send(request("GET", "/", [SERVICE]))

    by_password, by_client = provider.token_calls
    common = {"audience": "https://api.example/", "tenant": "a&b", "empty": ""}
    assert (by_password.auth_method, by_client.auth_method) == ("client_secret_post",) * 2
    assert {"scope": "openid profile", **common}.items() <= by_password.form.items()
    assert {"scope": "orders", **common}.items() <= by_client.form.items()
