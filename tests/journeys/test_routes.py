"""Several routes behind one gateway: which one takes a request."""

from __future__ import annotations

import pytest

from tests.fakes.caller import basic, request

JOHN = basic("john", "doe")


async def test_paths_go_to_their_upstreams(start_routes, call, upstream, orders):
    """P10, P12: a path prefix takes its route, the target as it came; no route is 404."""
    text = "routes: [{name: a, paths: [/orders], upstream: ORDERS}, {name: b, paths: [/rest]}]"
    caller = await call(await start_routes(text))
    targets = ["/orders/1?x=/rest", "/rest/a%20b", "/else", "/orders"]

    answers = [await caller.send(request("GET", target, [JOHN])) for target in targets[:2]]
    other = await caller.send(request("GET", "/else", [JOHN]))

    assert [200, 200, 404] == [each.status for each in (*answers, other)]
    assert other.json()["error"] == "not_found"
    assert [b"/orders/1?x=/rest"] == [each.target for each in orders.requests]
    assert [b"/rest/a%20b"] == [each.target for each in upstream.requests]


async def test_no_route_asks_nobody(start_routes, call, provider, upstream):
    """P12: what no route takes is 404 before anybody's credentials are looked at."""
    caller = await call(await start_routes("routes: [{name: a, paths: [/a]}]"))

    answer = await caller.send(request("GET", "/b", [basic("john", "wrong")]))

    assert 404 == answer.status
    assert [] == provider.token_calls == upstream.requests


async def test_two_readings_of_a_path(start_routes, call, upstream):
    """P10: a path that decodes into the place of another route never reaches the public one."""
    text = "routes: [{name: admin, paths: [/admin]}, {name: all, auth_methods: []}]"
    gateway = await start_routes(text)
    targets = ["/%61dmin", "/admin;x=1", "//admin/users", "/adm%69n/%2e"]

    statuses = [(await (await call(gateway)).send(request("GET", each))).status for each in targets]

    assert [400] * 4 == statuses
    assert [] == upstream.requests


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        pytest.param("api.example", 401, id="exact"),
        pytest.param("API.example:80", 401, id="case-and-port"),
        pytest.param("x.open.example", 200, id="wildcard"),
        pytest.param("open.example", 404, id="not-below-the-wildcard"),
        pytest.param("api.example.evil", 404, id="other"),
    ],
)
async def test_hosts(start_routes, call, host, expected):
    """P14: the Host field chooses the route; X-Forwarded-Host does not."""
    text = """
        routes:
          - {name: api, hosts: [api.example]}
          - {name: open, hosts: ["*.open.example"], auth_methods: []}
    """
    caller = await call(await start_routes(text))
    fields = [("Host", host), ("X-Forwarded-Host", "x.open.example")]

    assert expected == (await caller.send(request("GET", "/", fields))).status


async def test_methods(start_routes, call, upstream):
    """P12: a route may be for some methods; another method is the next route's or nobody's."""
    text = (
        "routes: [{name: read, methods: [GET], auth_methods: []}, {name: write, methods: [POST]}]"
    )
    gateway = await start_routes(text)

    statuses = [
        (await (await call(gateway)).send(request(method, "/"))).status
        for method in ("GET", "POST", "DELETE")
    ]

    assert [200, 401, 404] == statuses
    assert ["GET"] == [each.method for each in upstream.requests]


async def test_public_route(start_routes, call, provider, upstream):
    """P3: a public route asks nobody, and what callers say about their identity is removed."""
    caller = await call(await start_routes("routes: [{name: open, auth_methods: []}]"))
    fields = [JOHN, ("X-Consumer-Id", "root"), ("X-Auth-Request-User", "root"), ("X-Keep", "1")]

    assert 200 == (await caller.send(request("GET", "/", fields))).status

    [seen] = upstream.requests
    assert [] == provider.token_calls
    assert [[], [], [], [b"1"]] == [
        seen.values(name)
        for name in (b"Authorization", b"X-Consumer-Id", b"X-Auth-Request-User", b"X-Keep")
    ]


async def test_gateway_of_public_routes_needs_no_provider(start_routes, call):
    """A gateway whose routes are all public starts without ISSUER and CLIENT_ID."""
    gateway = await start_routes("routes: [{name: a, auth_methods: []}]", ISSUER="", CLIENT_ID="")

    assert 200 == (await (await call(gateway)).send(request("GET", "/"))).status


@pytest.mark.parametrize(
    ("route", "target", "expected"),
    [
        pytest.param("paths: [/v1]", "/v1/a?b", b"/v1/a?b", id="as-it-came"),
        pytest.param("paths: [/v1], strip_path: true", "/v1/a?b", b"/a?b", id="stripped"),
        pytest.param("paths: [/v1], strip_path: true", "/v1", b"/", id="nothing-left"),
        pytest.param("paths: [/v1], strip_path: true", "/v1?b", b"/?b", id="only-a-query-left"),
        pytest.param("paths: [/v1, /v1/b], strip_path: true", "/v1/b/c", b"/c", id="the-longer"),
        pytest.param(
            "paths: [/v1], strip_path: true, upstream: ORDERS/api",
            "/v1/a",
            b"/api/a",
            id="prefixed",
        ),
    ],
)
async def test_strip_path(start_routes, call, upstream, orders, route, target, expected):
    """strip_path: the prefix that matched is left out, every other byte stays."""
    caller = await call(await start_routes(f"routes: [{{name: a, {route}}}]"))

    assert 200 == (await caller.send(request("GET", target, [JOHN]))).status
    assert [expected] == [each.target for each in (*upstream.requests, *orders.requests)]


async def test_stripped_path_without_its_credentials(start_routes, call, upstream):
    """C6: credentials of the query are gone from a stripped path too."""
    text = "routes: [{name: a, paths: [/v1], strip_path: true, password_param_type: query}]"
    caller = await call(await start_routes(text))
    target = "/v1/a?x=1&username=john&password=doe"

    assert 200 == (await caller.send(request("GET", target))).status
    assert [b"/a?x=1"] == [each.target for each in upstream.requests]


@pytest.mark.parametrize("preserve", [True, False])
async def test_preserve_host(start_routes, call, upstream, preserve):
    """preserve_host: the upstream gets the caller's Host, or by default its own."""
    caller = await call(await start_routes(f"routes: [{{name: a, preserve_host: {preserve}}}]"))

    assert (
        200 == (await caller.send(request("GET", "/", [JOHN, ("Host", "api.example:81")]))).status
    )

    [seen] = upstream.requests
    own = upstream.url.removeprefix("http://").encode()
    assert [[b"api.example:81" if preserve else own]] == [seen.values(b"Host")]
