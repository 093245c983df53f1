"""Several routes behind one gateway: which one takes a request, and with which settings."""

from __future__ import annotations

import aiohttp
import pytest

from gateway.settings import SettingsError
from tests.fakes.caller import basic, request
from tests.fakes.provider import FakeProvider
from tests.fakes.upstream import RecordingUpstream
from tests.fakes.upstream_answers import silence
from tests.fakes.waiting import until
from tests.settings.environments import written

JOHN = basic("john", "doe")


@pytest.fixture
async def orders():
    """Return another upstream."""
    async with RecordingUpstream() as fake:
        yield fake


@pytest.fixture
async def partner():
    """Return another provider, with another user and another registration of the gateway."""
    async with FakeProvider(client_id="gw", client_secret="CANARY-partner") as fake:
        fake.users = {"paula": "pass"}
        yield fake


@pytest.fixture
def start(start_gateway, tmp_path, upstream, orders, partner):
    """Return a function that starts a gateway with this file and other settings."""

    async def start(text, **settings):
        text = text.replace("ORDERS", orders.url).replace("PARTNER", partner.issuer)
        return await start_gateway(written(tmp_path, text), **settings)

    return start


async def test_paths_go_to_their_upstreams(start, call, upstream, orders):
    """P10, P12: a path prefix takes its route, the target as it came; no route is 404."""
    text = "routes: [{name: a, paths: [/orders], upstream: ORDERS}, {name: b, paths: [/rest]}]"
    caller = await call(await start(text))
    targets = ["/orders/1?x=/rest", "/rest/a%20b", "/else", "/orders"]

    answers = [await caller.send(request("GET", target, [JOHN])) for target in targets[:2]]
    other = await caller.send(request("GET", "/else", [JOHN]))

    assert [200, 200, 404] == [each.status for each in (*answers, other)]
    assert other.json()["error"] == "not_found"
    assert [b"/orders/1?x=/rest"] == [each.target for each in orders.requests]
    assert [b"/rest/a%20b"] == [each.target for each in upstream.requests]


async def test_no_route_asks_nobody(start, call, provider, upstream):
    """P12: what no route takes is 404 before anybody's credentials are looked at."""
    caller = await call(await start("routes: [{name: a, paths: [/a]}]"))

    answer = await caller.send(request("GET", "/b", [basic("john", "wrong")]))

    assert 404 == answer.status
    assert [] == provider.token_calls == upstream.requests


async def test_two_readings_of_a_path(start, call, upstream):
    """P10: a path that decodes into the place of another route never reaches the public one."""
    text = "routes: [{name: admin, paths: [/admin]}, {name: all, auth_methods: []}]"
    gateway = await start(text)
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
async def test_hosts(start, call, host, expected):
    """P14: the Host field chooses the route; X-Forwarded-Host does not."""
    text = """
        routes:
          - {name: api, hosts: [api.example]}
          - {name: open, hosts: ["*.open.example"], auth_methods: []}
    """
    caller = await call(await start(text))
    fields = [("Host", host), ("X-Forwarded-Host", "x.open.example")]

    assert expected == (await caller.send(request("GET", "/", fields))).status


async def test_methods(start, call, upstream):
    """P12: a route may be for some methods; another method is the next route's or nobody's."""
    text = (
        "routes: [{name: read, methods: [GET], auth_methods: []}, {name: write, methods: [POST]}]"
    )
    gateway = await start(text)

    statuses = [
        (await (await call(gateway)).send(request(method, "/"))).status
        for method in ("GET", "POST", "DELETE")
    ]

    assert [200, 401, 404] == statuses
    assert ["GET"] == [each.method for each in upstream.requests]


async def test_public_route(start, call, provider, upstream):
    """P3: a public route asks nobody, and what callers say about their identity is removed."""
    caller = await call(await start("routes: [{name: open, auth_methods: []}]"))
    fields = [JOHN, ("X-Consumer-Id", "root"), ("X-Auth-Request-User", "root"), ("X-Keep", "1")]

    assert 200 == (await caller.send(request("GET", "/", fields))).status

    [seen] = upstream.requests
    assert [] == provider.token_calls
    assert [[], [], [], [b"1"]] == [
        seen.values(name)
        for name in (b"Authorization", b"X-Consumer-Id", b"X-Auth-Request-User", b"X-Keep")
    ]


async def test_gateway_of_public_routes_needs_no_provider(start, call):
    """A gateway whose routes are all public starts without ISSUER and CLIENT_ID."""
    gateway = await start("routes: [{name: a, auth_methods: []}]", ISSUER="", CLIENT_ID="")

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
async def test_strip_path(start, call, upstream, orders, route, target, expected):
    """strip_path: the prefix that matched is left out, every other byte stays."""
    caller = await call(await start(f"routes: [{{name: a, {route}}}]"))

    assert 200 == (await caller.send(request("GET", target, [JOHN]))).status
    assert [expected] == [each.target for each in (*upstream.requests, *orders.requests)]


async def test_stripped_path_without_its_credentials(start, call, upstream):
    """C6: credentials of the query are gone from a stripped path too."""
    text = "routes: [{name: a, paths: [/v1], strip_path: true, password_param_type: query}]"
    caller = await call(await start(text))
    target = "/v1/a?x=1&username=john&password=doe"

    assert 200 == (await caller.send(request("GET", target))).status
    assert [b"/a?x=1"] == [each.target for each in upstream.requests]


@pytest.mark.parametrize("preserve", [True, False])
async def test_preserve_host(start, call, upstream, preserve):
    """preserve_host: the upstream gets the caller's Host, or by default its own."""
    caller = await call(await start(f"routes: [{{name: a, preserve_host: {preserve}}}]"))

    assert (
        200 == (await caller.send(request("GET", "/", [JOHN, ("Host", "api.example:81")]))).status
    )

    [seen] = upstream.requests
    own = upstream.url.removeprefix("http://").encode()
    assert [[b"api.example:81" if preserve else own]] == [seen.values(b"Host")]


PROVIDERS = """
    providers:
      partner: {issuer: PARTNER, client_id: gw, client_secret: CANARY-partner}
    routes:
      - {name: theirs, paths: [/partner], provider: partner, upstream: ORDERS}
      - {name: ours}
"""


async def test_providers(start, call, provider, partner, upstream, orders):
    """D7: a route's credentials go to its provider alone, with that one's registration."""
    caller = await call(await start(PROVIDERS))
    paula = basic("paula", "pass")

    answers = [
        (await caller.send(request("GET", target, [credentials]))).status
        for target in ("/partner", "/")
        for credentials in (paula, JOHN)
    ]

    assert [200, 401, 401, 200] == answers
    called = [{each.client_id for each in fake.token_calls} for fake in (provider, partner)]
    assert [{"gateway"}, {"gw"}] == [each - {"john", "paula"} for each in called]
    assert [1, 1] == [len(orders.requests), len(upstream.requests)]


async def test_results_never_cross_providers(start, call, provider, partner):
    """A10: the same pair at two providers is two credentials, cached and refused apart."""
    partner.users["john"] = "other"
    caller = await call(await start(PROVIDERS))

    statuses = [
        (await caller.send(request("GET", target, [JOHN]))).status
        for target in ("/", "/partner", "/")
    ]

    assert [200, 401, 200] == statuses
    assert [1, True] == [len(provider.token_calls), bool(partner.token_calls)]


async def test_token_of_another_provider(start, call, provider, partner):
    """D7: what one provider answers in the name of another is refused, and nobody else's fault."""
    partner.claims = {"iss": provider.issuer}
    caller = await call(await start(PROVIDERS))

    statuses = [
        (await caller.send(request("GET", target, [credentials]))).status
        for target, credentials in (("/partner", basic("paula", "pass")), ("/", JOHN))
    ]

    assert [502, 200] == statuses


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([("X-Forwarded-Host", "partner.example")], id="forwarded-host"),
        pytest.param([("X-Original-URL", "/partner")], id="original-url"),
        pytest.param([("X-Rewrite-URL", "/partner")], id="rewrite-url"),
        pytest.param([("X-HTTP-Method-Override", "GET")], id="method-override"),
    ],
)
async def test_nothing_else_chooses_the_route(start, call, provider, partner, fields):
    """D6, P7: the route, and with it the provider, is chosen by method, Host and path alone."""
    caller = await call(await start(PROVIDERS))

    assert 200 == (await caller.send(request("GET", "/?/partner", [JOHN, *fields]))).status
    assert [1, 0] == [len(provider.token_calls), len(partner.token_calls)]


async def test_default_registration_is_not_shown_to_another_provider(
    start_gateway, tmp_path, partner
):
    """D7: a provider of the file takes nothing over from CLIENT_ID and CLIENT_SECRET."""
    text = f"""
        providers: {{partner: {{issuer: "{partner.issuer}", client_id: gw}}}}
        routes: [{{name: a, provider: partner}}]
    """
    with pytest.raises(
        SettingsError, match=r"providers\.partner\.client_secret \(line 2\): it is req"
    ):
        await start_gateway(written(tmp_path, text))
    assert [] == partner.token_calls


async def admin(gateway, path, method="GET"):
    """Return the answer of the admin port."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://127.0.0.1:{gateway.admin_port}{path}") as response,
    ):
        return response.status, await response.json()


async def test_readiness_of_several_providers(start, partner):
    """/readyz tells each provider; one that works is enough."""
    await partner.down()

    status, document = await admin(await start(PROVIDERS), "/readyz")

    assert (200, "ready", "not discovered") == (status, document["status"], document["provider"])
    assert {
        "partner": {"provider": "not discovered", "keys": "not loaded"},
        "default": {"provider": "discovered", "keys": "loaded"},
    } == document["providers"]


async def test_provider_that_is_down_takes_no_other_route_along(start, call, partner):
    """D7: a provider that is down is the 503 of its own routes, and its breaker is its own."""
    await partner.down()
    caller = await call(await start(PROVIDERS))

    statuses = [
        (await caller.send(request("GET", target, [JOHN]))).status for target in ("/partner", "/")
    ]

    assert [503, 200] == statuses


@pytest.mark.parametrize(
    ("query", "purged"), [("", 2), ("?user=john", 2), ("?user=paula", 0)], ids=["all", "user", "no"]
)
async def test_purge_covers_every_provider(start, call, provider, partner, query, purged):
    """DELETE /cache forgets what is kept of a user at every provider."""
    partner.users["john"] = "doe"
    gateway = await start(PROVIDERS)
    caller = await call(gateway)
    for target in ("/", "/partner"):
        await caller.send(request("GET", target, [JOHN]))

    assert (200, {"purged": purged}) == await admin(gateway, f"/cache{query}", "DELETE")
    for target in ("/", "/partner"):
        await caller.send(request("GET", target, [JOHN]))

    asked_again = 2 if purged else 1
    assert [asked_again] * 2 == [len(provider.token_calls), len(partner.token_calls)]


async def test_sessions_end_where_they_began(start, call, provider, partner):
    """REVOKE_ON_PURGE: a refresh token goes to the provider that gave it and to no other."""
    partner.users["john"] = "doe"
    provider.refresh_tokens = partner.refresh_tokens = True
    gateway = await start(PROVIDERS, REVOKE_ON_PURGE="true")
    caller = await call(gateway)
    for target in ("/", "/partner"):
        await caller.send(request("GET", target, [JOHN]))

    await admin(gateway, "/cache?user=john", "DELETE")

    await until(lambda: provider.revoked and partner.revoked)
    assert [1, 1] == [len(provider.revoked), len(partner.revoked)]


async def test_logins_refused_at_one_provider_count_there_alone(start, call, partner):
    """R2: a user locked out of one provider's routes is a stranger at the other."""
    caller = await call(await start(PROVIDERS, FAILED_LOGINS_MAX="1", FAILED_LOGINS_SPACING="0"))
    wrong = [basic("john", f"wrong-{n}") for n in range(2)]

    refused = [(await caller.send(request("GET", "/partner", [each]))).status for each in wrong]

    assert [401, 429] == refused
    assert 200 == (await caller.send(request("GET", "/", [JOHN]))).status


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
async def test_settings_of_a_route(start, call, provider, setting, claims, expected):
    """J23: a setting of a route holds for it alone, on the first request and on the cached one."""
    provider.claims = claims
    text = f"routes: [{{name: a, paths: [/a], {setting}}}, {{name: b}}]"
    caller = await call(await start(text))

    statuses = [
        (await caller.send(request("GET", target, [JOHN]))).status
        for target in ("/b", "/a", "/a", "/b")
    ]

    assert [200, expected, expected, 200] == statuses


async def test_route_undoes_a_rule(start, call):
    """A route may say that a rule of the gateway does not hold for it; others keep it."""
    text = "routes: [{name: a, paths: [/a], scopes_required: []}, {name: b}]"
    caller = await call(await start(text, SCOPES_REQUIRED="admin"))

    statuses = [(await caller.send(request("GET", each, [JOHN]))).status for each in ("/a", "/b")]

    assert [200, 403] == statuses


async def test_one_login_for_routes_that_ask_alike(start, call, provider):
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
    caller = await call(await start(text))
    calls = []
    for name in "abcdefgabcdefg":
        assert 200 == (await caller.send(request("GET", f"/{name}", [JOHN]))).status
        calls.append(len(provider.token_calls))

    assert [1, 1, 2, 3, 4, 5, 6] + [6] * 7 == calls
    assert [each.form["scope"] for each in provider.token_calls][:2] == ["openid", "openid email"]


async def test_cache_of_a_route(start, call, provider):
    """cache_ttl_max: a route may keep nothing, while another keeps what it gets."""
    text = "routes: [{name: a, paths: [/a], cache_ttl_max: 0}, {name: b}]"
    caller = await call(await start(text))

    for target in ("/a", "/a", "/b", "/b"):
        assert 200 == (await caller.send(request("GET", target, [JOHN]))).status

    assert 3 == len(provider.token_calls)


async def test_timeout_of_a_route(start, call, upstream):
    """upstream_timeout: a route waits for its upstream as long as it says."""
    text = "routes: [{name: a, paths: [/a], upstream_timeout: 0.2}, {name: b}]"
    upstream.answer_next(silence(b""))
    caller = await call(await start(text, UPSTREAM_TIMEOUT="60"))

    assert 504 == (await caller.send(request("GET", "/a", [JOHN]))).status


async def test_timeout_of_a_provider(start, call, provider, partner):
    """idp_timeout: a provider is waited for as long as it says, or as a route of it says."""
    text = PROVIDERS.replace("client_id: gw,", "client_id: gw, idp_timeout: 0.3,")
    partner.gate.clear()
    caller = await call(await start(text, IDP_TIMEOUT="60"))

    answer = await caller.send(request("GET", "/partner", [basic("paula", "pass")]))
    other = await caller.send(request("GET", "/", [JOHN]))

    assert [504, 200] == [answer.status, other.status]


async def test_which_value_wins(start, call):
    """The environment wins over the file for the gateway; what a route says of itself holds."""
    text = """
        scopes_required: [openid]
        routes: [{name: a, paths: [/a], scopes_required: [openid]}, {name: b}]
    """
    caller = await call(await start(text, SCOPES_REQUIRED="admin"))

    statuses = [(await caller.send(request("GET", each, [JOHN]))).status for each in ("/a", "/b")]

    assert [200, 403] == statuses
