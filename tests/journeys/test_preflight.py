"""CORS preflights: authenticated like the rest, or let through without credentials."""

from __future__ import annotations

import pytest

from tests.fakes.caller import basic, request

ORIGIN = ("Origin", "https://app.example")
METHOD = ("Access-Control-Request-Method", "PUT")
OPEN = {"RUN_ON_PREFLIGHT": "false"}
QUERIES = {
    "AUTH_METHODS": "password,client_credentials,bearer",
    "AUDIENCE_REQUIRED": "api",
    "PASSWORD_PARAM_TYPE": "query",
    "CLIENT_CREDENTIALS_PARAM_TYPE": "query",
    "BEARER_TOKEN_PARAM_TYPE": "query",
    "REFRESH_TOKEN_PARAM_TYPE": "query",
    "REFRESH_TOKEN_PARAM_NAME": "session",
}


async def test_authenticated_by_default(gateway, call, upstream):
    """Without the setting a preflight needs credentials like any request."""
    caller = await call(gateway)

    assert (await caller.send(request("OPTIONS", "/x", [ORIGIN, METHOD]))).status == 401
    assert [] == upstream.requests
    good = [ORIGIN, METHOD, basic("john", "doe")]
    assert (await caller.send(request("OPTIONS", "/x", good))).status == 200


async def test_let_through(start_gateway, call, provider, upstream):
    """With the setting a preflight goes on as it is, and nobody is asked who is calling."""
    caller = await call(await start_gateway(**OPEN))

    response = await caller.send(request("OPTIONS", "/x?a=1", [ORIGIN, METHOD]))

    (seen,) = upstream.requests
    assert (200, b"/x?a=1") == (response.status, seen.target)
    assert [[b"https://app.example"], [b"PUT"]] == [
        seen.values(name) for name in (b"origin", b"access-control-request-method")
    ]
    assert [] == provider.token_calls


@pytest.mark.parametrize(
    ("method", "fields", "body"),
    [
        pytest.param("OPTIONS", [], None, id="plain-options"),
        pytest.param("OPTIONS", [ORIGIN], None, id="no-method"),
        pytest.param("OPTIONS", [METHOD], None, id="no-origin"),
        pytest.param("OPTIONS", [ORIGIN, ORIGIN, METHOD], None, id="two-origins"),
        pytest.param("OPTIONS", [ORIGIN, METHOD, METHOD], None, id="two-methods"),
        pytest.param("OPTIONS", [ORIGIN, METHOD], b"x", id="with-a-body"),
        pytest.param("GET", [ORIGIN, METHOD], None, id="get"),
        pytest.param("POST", [ORIGIN, METHOD], b"", id="post"),
    ],
)
async def test_what_is_no_preflight(start_gateway, call, upstream, method, fields, body):
    """What is not exactly a preflight is authenticated, with the setting too."""
    caller = await call(await start_gateway(**OPEN))

    assert (await caller.send(request(method, "/x", fields, body))).status == 401
    assert [] == upstream.requests


@pytest.mark.parametrize(
    "field",
    [
        pytest.param(basic("john", "doe"), id="basic"),
        pytest.param(("Authorization", "Bearer CANARY"), id="bearer"),
        pytest.param(("Cookie", "session=CANARY"), id="cookie"),
        pytest.param(("Proxy-Authorization", "Basic CANARY"), id="proxy-authorization"),
        pytest.param(("X-Consumer-Username", "admin"), id="P3-identity"),
        pytest.param(("X-Authenticated-Userid", "admin"), id="P3-user"),
        pytest.param(("x-consumer-ID", "admin"), id="P3-other-case"),
        pytest.param(("Referer", "https://app.example/?access_token=CANARY"), id="C8-referer"),
    ],
)
async def test_nothing_about_the_caller(start_gateway, call, upstream, field):
    """P3, P4: identity and credentials do not go on with a preflight."""
    caller = await call(await start_gateway(**OPEN))

    assert (await caller.send(request("OPTIONS", "/", [ORIGIN, METHOD, field]))).status == 200
    (seen,) = upstream.requests
    assert [] == seen.values(field[0] if isinstance(field[0], bytes) else field[0].encode())


@pytest.mark.parametrize(
    ("sent", "arrived"),
    [
        pytest.param("/x?username=john&password=CANARY&a=1", b"/x?a=1", id="pair"),
        pytest.param("/x?client_secret=CANARY", b"/x", id="stray-secret"),
        pytest.param("/x?access_token=CANARY&access_token=CANARY&b", b"/x?b", id="token-twice"),
        pytest.param("/x?acc%65ss_token=CANARY", b"/x", id="C7-encoded-name"),
        pytest.param("/x?a&session=CANARY", b"/x?a", id="refresh-token"),
        pytest.param("/x?a=%20&&b", b"/x?a=%20&&b", id="C6-none"),
    ],
)
async def test_query_credentials(start_gateway, call, upstream, sent, arrived):
    """C6, C7: what carries credentials in queries is taken out of a preflight's, good or bad."""
    caller = await call(await start_gateway(**OPEN, **QUERIES))

    assert (await caller.send(request("OPTIONS", sent, [ORIGIN, METHOD]))).status == 200
    assert arrived == upstream.requests[0].target
