"""Routes with providers of their own."""

from __future__ import annotations

import aiohttp
import pytest

from gateway.settings import SettingsError
from tests.fakes.caller import basic, request
from tests.fakes.waiting import until
from tests.settings.environments import written

JOHN = basic("john", "doe")


PROVIDERS = """
    providers:
      partner: {issuer: PARTNER, client_id: gw, client_secret: CANARY-partner}
    routes:
      - {name: theirs, paths: [/partner], provider: partner, upstream: ORDERS}
      - {name: ours}
"""


async def test_providers(start_routes, call, provider, partner, upstream, orders):
    """D7: a route's credentials go to its provider alone, with that one's registration."""
    caller = await call(await start_routes(PROVIDERS))
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


async def test_results_never_cross_providers(start_routes, call, provider, partner):
    """A10: the same pair at two providers is two credentials, cached and refused apart."""
    partner.users["john"] = "other"
    caller = await call(await start_routes(PROVIDERS))

    statuses = [
        (await caller.send(request("GET", target, [JOHN]))).status
        for target in ("/", "/partner", "/")
    ]

    assert [200, 401, 200] == statuses
    assert [1, True] == [len(provider.token_calls), bool(partner.token_calls)]


async def test_token_of_another_provider(start_routes, call, provider, partner):
    """D7: what one provider answers in the name of another is refused, and nobody else's fault."""
    partner.claims = {"iss": provider.issuer}
    caller = await call(await start_routes(PROVIDERS))

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
async def test_nothing_else_chooses_the_route(start_routes, call, provider, partner, fields):
    """D6, P7: the route, and with it the provider, is chosen by method, Host and path alone."""
    caller = await call(await start_routes(PROVIDERS))

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


async def test_readiness_of_several_providers(start_routes, partner):
    """/readyz tells each provider; one that works is enough."""
    await partner.down()

    status, document = await admin(await start_routes(PROVIDERS), "/readyz")

    assert (200, "ready", "not discovered") == (status, document["status"], document["provider"])
    assert {
        "partner": {"provider": "not discovered", "keys": "not loaded"},
        "default": {"provider": "discovered", "keys": "loaded"},
    } == document["providers"]


async def test_provider_that_is_down_takes_no_other_route_along(start_routes, call, partner):
    """D7: a provider that is down is the 503 of its own routes, and its breaker is its own."""
    await partner.down()
    caller = await call(await start_routes(PROVIDERS))

    statuses = [
        (await caller.send(request("GET", target, [JOHN]))).status for target in ("/partner", "/")
    ]

    assert [503, 200] == statuses


@pytest.mark.parametrize(
    ("query", "purged"), [("", 2), ("?user=john", 2), ("?user=paula", 0)], ids=["all", "user", "no"]
)
async def test_purge_covers_every_provider(start_routes, call, provider, partner, query, purged):
    """DELETE /cache forgets what is kept of a user at every provider."""
    partner.users["john"] = "doe"
    gateway = await start_routes(PROVIDERS)
    caller = await call(gateway)
    for target in ("/", "/partner"):
        await caller.send(request("GET", target, [JOHN]))

    assert (200, {"purged": purged}) == await admin(gateway, f"/cache{query}", "DELETE")
    for target in ("/", "/partner"):
        await caller.send(request("GET", target, [JOHN]))

    asked_again = 2 if purged else 1
    assert [asked_again] * 2 == [len(provider.token_calls), len(partner.token_calls)]


async def test_sessions_end_where_they_began(start_routes, call, provider, partner):
    """REVOKE_ON_PURGE: a refresh token goes to the provider that gave it and to no other."""
    partner.users["john"] = "doe"
    provider.refresh_tokens = partner.refresh_tokens = True
    gateway = await start_routes(PROVIDERS, REVOKE_ON_PURGE="true")
    caller = await call(gateway)
    for target in ("/", "/partner"):
        await caller.send(request("GET", target, [JOHN]))

    await admin(gateway, "/cache?user=john", "DELETE")

    await until(lambda: provider.revoked and partner.revoked)
    assert [1, 1] == [len(provider.revoked), len(partner.revoked)]


async def test_logins_refused_at_one_provider_count_there_alone(start_routes, call, partner):
    """R2: a user locked out of one provider's routes is a stranger at the other."""
    caller = await call(
        await start_routes(PROVIDERS, FAILED_LOGINS_MAX="1", FAILED_LOGINS_SPACING="0")
    )
    wrong = [basic("john", f"wrong-{n}") for n in range(2)]

    refused = [(await caller.send(request("GET", "/partner", [each]))).status for each in wrong]

    assert [401, 429] == refused
    assert 200 == (await caller.send(request("GET", "/", [JOHN]))).status


async def test_timeout_of_a_provider(start_routes, call, provider, partner):
    """idp_timeout: a provider is waited for as long as it says, or as a route of it says."""
    text = PROVIDERS.replace("client_id: gw,", "client_id: gw, idp_timeout: 0.3,")
    partner.gate.clear()
    caller = await call(await start_routes(text, IDP_TIMEOUT="60"))

    answer = await caller.send(request("GET", "/partner", [basic("paula", "pass")]))
    other = await caller.send(request("GET", "/", [JOHN]))

    assert [504, 200] == [answer.status, other.status]
