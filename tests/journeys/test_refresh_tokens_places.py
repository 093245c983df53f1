"""Where a refresh token is looked for, and that it is never sent on."""

from __future__ import annotations

import pytest

from tests.fakes.caller import basic, request
from tests.journeys.refreshing import (
    EVERYWHERE,
    FIELD,
    FORM,
    JSON,
    METHOD,
    get,
    spent,
    two_sessions,
)


@pytest.fixture
async def provider(provider):
    """Return a provider that rotates, and where two people have logged in already."""
    return two_sessions(provider)


@pytest.mark.parametrize("hide", ["true", "false"])
@pytest.mark.parametrize(
    ("message", "target", "body"),
    [
        pytest.param(
            request("GET", "/x?a=1", [("refresh", "marys-first")]), b"/x?a=1", b"", id="header"
        ),
        pytest.param(request("GET", "/x?a=1&refresh=marys-first&b"), b"/x?a=1&b", b"", id="query"),
        pytest.param(
            request("POST", "/x", [FORM], b"a=1&refresh=marys-first"), b"/x", b"a=1", id="form"
        ),
        pytest.param(
            request("POST", "/x", [JSON], b'{"refresh":"marys-first", "a":1}'),
            b"/x",
            b'{ "a":1}',
            id="json",
        ),
    ],
)
async def test_places(start_gateway, call, provider, upstream, message, target, body, hide):
    """C6: it is found in each place and never sent on, whatever HIDE_CREDENTIALS says."""
    caller = await call(await start_gateway(**EVERYWHERE, HIDE_CREDENTIALS=hide))

    response = await caller.send(message)

    (seen,) = upstream.requests
    assert 200 == response.status
    assert (target, body) == (seen.target, seen.body)
    assert [] == seen.values(b"refresh")
    assert ["marys-first"] == spent(provider)


async def test_never_sent_on_by_other_routes(start_gateway, call, upstream, tmp_path):
    """P3: the field is taken out in every spelling on every route, on public ones too."""
    config = tmp_path / "routes.yaml"
    config.write_text(
        "routes:\n"
        f"- {{name: open, paths: [/open], upstream: '{upstream.url}', auth_methods: []}}\n"
        f"- {{name: rest, upstream: '{upstream.url}', auth_methods: [refresh_token],\n"
        "   refresh_token_param_name: X-Refresh-Token}\n"
    )
    caller = await call(await start_gateway(config))

    fields = [(FIELD, b"marys-first"), (b"x-refresh-Token", b"marys-first")]
    response = await caller.send(request("GET", "/open", fields))

    assert 200 == response.status
    assert "marys-first" not in repr(upstream.requests[0].headers)


@pytest.mark.parametrize(
    ("message", "status"),
    [
        pytest.param(request("GET", "/", [("refresh", "marys-first")]), 200, id="good"),
        pytest.param(
            request("GET", "/", [("refresh", "marys-first")] * 2), 400, id="B9-two-fields"
        ),
        pytest.param(
            request("GET", "/?refresh=marys-first", [("refresh", "marys-first")]),
            400,
            id="B9-field-and-query",
        ),
        pytest.param(request("GET", "/?refresh=a&refresh=b"), 400, id="C3-twice-in-the-query"),
        pytest.param(
            request("GET", "/", [("refresh", "marys-first"), basic("john", "doe")]),
            400,
            id="B9-beside-a-pair",
        ),
        pytest.param(
            request("GET", "/?username=john&password=doe", [("refresh", "marys-first")]),
            400,
            id="B9-beside-a-pair-in-the-query",
        ),
        pytest.param(
            request("GET", "/", [("refresh", "marys-first"), (b"Authorization", b"Bearer a.b.c")]),
            400,
            id="B9-beside-a-bearer-token",
        ),
        pytest.param(
            request("POST", "/?refresh=marys-first", [FORM], b"access_token=a.b.c"),
            400,
            id="B9-beside-a-bearer-token-in-the-body",
        ),
        pytest.param(request("GET", "/", [("refresh", "")]), 401, id="empty"),
        pytest.param(request("GET", "/", [("refresh", "a, b")]), 401, id="list"),
        pytest.param(request("GET", "/", [("refresh", "x" * 16_385)]), 401, id="too-long"),
    ],
)
async def test_two_readings(start_gateway, call, provider, upstream, message, status):
    """Beside any other credentials a refresh token is refused, and no credential is used."""
    caller = await call(await start_gateway(**EVERYWHERE))

    response = await caller.send(message)

    assert status == response.status
    assert (1 if status == 200 else 0) == len(upstream.requests) == len(provider.token_calls)


async def test_pairs_go_on(start_gateway, call, provider):
    """Pairs and refresh tokens are taken side by side, each in a request of its own."""
    caller = await call(await start_gateway(**EVERYWHERE))

    for message in (
        request("GET", "/", [basic("john", "doe")]),
        request("GET", "/", [("refresh", "marys-first")]),
        request("GET", "/?username=john&password=doe"),
    ):
        assert 200 == (await caller.send(message)).status
    assert {"password", "refresh_token"} == {each.grant_type for each in provider.token_calls}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param(METHOD | {"AUTH_METHODS": "password"}, get(), id="method"),
        pytest.param(METHOD, request("GET", "/?X-Refresh-Token=marys-first"), id="C1-query"),
        pytest.param(
            METHOD, request("POST", "/", [FORM], b"X-Refresh-Token=marys-first"), id="C1-body"
        ),
        pytest.param(METHOD | {"REFRESH_TOKEN_PARAM_TYPE": "body"}, get(), id="C1-header"),
        pytest.param(METHOD | {"REFRESH_TOKEN_PARAM_NAME": "X-Other"}, get(), id="name"),
    ],
)
async def test_looked_for_where_it_is_said(
    start_gateway, call, provider, upstream, settings, message
):
    """Without the method, and elsewhere, a good refresh token is no credentials."""
    caller = await call(await start_gateway(**settings))

    response = await caller.send(message)

    assert (401, "missing_credentials") == (response.status, response.json()["error"])
    assert [] == provider.token_calls == upstream.requests


async def test_no_credentials(start_gateway, call):
    """RFC 6750 §3: without credentials there is a challenge for each way."""
    caller = await call(await start_gateway(**METHOD))

    response = await caller.send(request("GET", "/"))

    assert [
        b'Bearer realm="bearergate"',
        b'Basic realm="bearergate", charset="UTF-8"',
    ] == response.values("www-authenticate")
