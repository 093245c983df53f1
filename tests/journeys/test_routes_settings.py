"""Settings of a route, and which value wins."""

from __future__ import annotations

import aiohttp
import pytest

from tests.fakes.caller import basic, request
from tests.fakes.upstream_answers import silence

JOHN = basic("john", "doe")


async def admin(gateway, path, method="GET"):
    """Return the answer of the admin port."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://127.0.0.1:{gateway.admin_port}{path}") as response,
    ):
        return response.status, await response.json()


SETTINGS = [
    pytest.param("scopes_required: [read]", {}, 403, id="scopes_required"),
    pytest.param("roles_required: [read]", {"realm_access": {"roles": ["read"]}}, 200, id="roles"),
    pytest.param("audience_required: [api]", {"aud": "other"}, 403, id="audience_required"),
    pytest.param("claims_required: {dep: sales}", {"dep": "hr"}, 403, id="claims_required"),
    pytest.param("claims_required: {dep: sales}", {"dep": "sales"}, 200, id="claims_met"),
    pytest.param("claims_forbidden: {act: []}", {"act": "x"}, 403, id="claims_forbidden"),
    pytest.param("auth_methods: [client_credentials]", {}, 401, id="auth_methods"),
    pytest.param("basic_grant: client_credentials", {}, 401, id="basic_grant"),
    pytest.param("client_credentials_ids: [jo*]", {}, 401, id="client_credentials_ids"),
    pytest.param("password_param_type: [body]", {}, 401, id="password_param_type"),
]


@pytest.mark.parametrize(("setting", "claims", "expected"), SETTINGS)
async def test_settings_of_a_route(start_routes, call, provider, setting, claims, expected):
    """J23: a setting of a route holds for it alone, on the first request and on the cached one."""
    provider.claims = claims
    text = f"routes: [{{name: a, paths: [/a], {setting}}}, {{name: b}}]"
    caller = await call(await start_routes(text))

    statuses = [
        (await caller.send(request("GET", target, [JOHN]))).status
        for target in ("/b", "/a", "/a", "/b")
    ]

    assert [200, expected, expected, 200] == statuses


async def test_route_undoes_a_rule(start_routes, call):
    """A route may say that a rule of the gateway does not hold for it; others keep it."""
    text = "routes: [{name: a, paths: [/a], scopes_required: []}, {name: b}]"
    caller = await call(await start_routes(text, SCOPES_REQUIRED="admin"))

    statuses = [(await caller.send(request("GET", each, [JOHN]))).status for each in ("/a", "/b")]

    assert [200, 403] == statuses


async def test_one_login_for_routes_that_ask_alike(start_routes, call, provider):
    """A10: routes that differ in rules and places share tokens; other scopes are other tokens."""
    text = """
        routes:
          - {name: a, paths: [/a], auth_methods: [password, client_credentials]}
          - {name: b, paths: [/b], strip_path: true, roles_required: []}
          - {name: c, paths: [/c], scopes: openid email}
          - {name: d, paths: [/d], audience: api}
          - {name: e, paths: [/e], token_post_args: [resource=x]}
          - {name: f, paths: [/f], cache_ttl_max: 5}
          - {name: g, paths: [/g], leeway: 1}
    """
    caller = await call(await start_routes(text))
    calls = []
    for name in "abcdefgabcdefg":
        assert 200 == (await caller.send(request("GET", f"/{name}", [JOHN]))).status
        calls.append(len(provider.token_calls))

    assert [1, 1, 2, 3, 4, 5, 6] + [6] * 7 == calls
    assert [each.form["scope"] for each in provider.token_calls][:2] == ["openid", "openid email"]


async def test_cache_of_a_route(start_routes, call, provider):
    """cache_ttl_max: a route may keep nothing, while another keeps what it gets."""
    text = "routes: [{name: a, paths: [/a], cache_ttl_max: 0}, {name: b}]"
    caller = await call(await start_routes(text))

    for target in ("/a", "/a", "/b", "/b"):
        assert 200 == (await caller.send(request("GET", target, [JOHN]))).status

    assert 3 == len(provider.token_calls)


async def test_timeout_of_a_route(start_routes, call, upstream):
    """upstream_timeout: a route waits for its upstream as long as it says."""
    text = "routes: [{name: a, paths: [/a], upstream_timeout: 0.2}, {name: b}]"
    upstream.answer_next(silence(b""))
    caller = await call(await start_routes(text, UPSTREAM_TIMEOUT="60"))

    assert 504 == (await caller.send(request("GET", "/a", [JOHN]))).status


async def test_which_value_wins(start_routes, call):
    """The environment wins over the file for the gateway; what a route says of itself holds."""
    text = """
        scopes_required: [openid]
        routes: [{name: a, paths: [/a], scopes_required: [openid]}, {name: b}]
    """
    caller = await call(await start_routes(text, SCOPES_REQUIRED="admin"))

    statuses = [(await caller.send(request("GET", each, [JOHN]))).status for each in ("/a", "/b")]

    assert [200, 403] == statuses
