"""Callers' tokens exchanged for those the upstream gets (RFC 8693)."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes.answers import HTML, LOGIN_PAGE, REMOVED, Answer, redirect, refusal
from tests.fakes.caller import RawCaller, basic, request
from tests.fakes.exchanging_provider import ExchangingProvider
from tests.fakes.waiting import until

JOHN = basic("john", "doe")
SERVICE = basic("service", "service-secret")
FOR_ORDERS = {"TOKEN_EXCHANGE": "true", "TOKEN_EXCHANGE_AUDIENCE": "orders"}
TOKENS = {
    **FOR_ORDERS,
    "AUTH_METHODS": "password,bearer,introspection",
    "AUDIENCE_REQUIRED": "api",
}
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
CHALLENGE = b'Bearer realm="bearergate", error="invalid_token"'


@pytest.fixture
async def provider():
    """Return a provider that exchanges tokens."""
    async with ExchangingProvider() as fake:
        yield fake


def bearer(token):
    """Write the field that carries a token."""
    return (b"Authorization", b"Bearer " + token.encode())


async def ask(caller, field, count=1, target="/"):
    """Send the same request so many times and return the answers."""
    return [await caller.send(request("GET", target, [field])) for _ in range(count)]


def sent_on(provider, upstream):
    """Return the claims of the tokens that reached the upstream."""
    fields = [value for each in upstream.requests for value in each.values(b"authorization")]
    return [provider.issued[value.decode().removeprefix("Bearer ")] for value in fields]


@pytest.mark.parametrize("kind", ["password", "client_credentials", "bearer", "introspection"])
async def test_the_upstream_gets_another_token(start_gateway, call, provider, upstream, kind):
    """X1: whoever shows it how, the upstream gets a token for the route's audience, asked once."""
    methods = {**TOKENS, "AUTH_METHODS": "password,client_credentials,bearer,introspection"}
    caller = await call(await start_gateway(**methods))
    provider.opaque = kind == "introspection"
    token = provider.mint("john", "app")
    field = {"password": JOHN, "client_credentials": SERVICE}.get(kind, bearer(token))

    answers = await ask(caller, field, 3)

    assert [200] * 3 == [answer.status for answer in answers]
    subject = "service" if kind == "client_credentials" else "john"
    assert [("orders", subject)] * 3 == [
        (said["aud"], said["sub"]) for said in sent_on(provider, upstream)
    ]
    [exchange] = provider.exchanges
    assert "api" == provider.issued[exchange.form["subject_token"]]["aud"]
    assert kind in {"password", "client_credentials"} or token == exchange.form["subject_token"]


async def test_what_is_asked(start_gateway, call, provider):
    """RFC 8693 §2.1: each setting is its parameter, and the gateway asks as its own client."""
    caller = await call(
        await start_gateway(
            **FOR_ORDERS,
            TOKEN_EXCHANGE_SCOPES="orders.read,orders.write",
            TOKEN_EXCHANGE_RESOURCE="https://orders.example/v1?x=%2F",
            TOKEN_EXCHANGE_REQUESTED_TOKEN_TYPE="jwt",
            TOKEN_POST_ARGS="tenant=a",
            AUDIENCE="api",
        )
    )

    [answer] = await ask(caller, JOHN)

    assert answer.status == 200
    [exchange] = provider.exchanges
    assert (provider.client_id, "client_secret_basic") == (exchange.client_id, exchange.auth_method)
    assert exchange.form.pop("subject_token") in provider.issued
    assert {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token_type": ACCESS_TOKEN,
        "requested_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "audience": "orders",
        "scope": "orders.read orders.write",
        "resource": "https://orders.example/v1?x=%2F",
    } == exchange.form


async def test_off(start_gateway, call, provider, upstream):
    """Without the setting nothing is exchanged, whatever audience is named."""
    caller = await call(await start_gateway(TOKEN_EXCHANGE_AUDIENCE="orders"))

    assert [200] == [answer.status for answer in await ask(caller, JOHN)]
    assert [] == provider.exchanges
    assert ["api"] == [said["aud"] for said in sent_on(provider, upstream)]


async def test_per_route(start_gateway, call, provider, upstream, tmp_path):
    """X4: what is asked for one route is not sent on another; the login is the same for all."""
    config = tmp_path / "gateway.yaml"
    config.write_text(
        "token_exchange: true\n"
        "routes:\n"
        "  - {name: orders, paths: [/orders], token_exchange_audience: orders}\n"
        "  - {name: again, paths: [/again], token_exchange_audience: orders}\n"
        "  - {name: stock, paths: [/stock], token_exchange_audience: stock}\n"
        "  - {name: open, paths: [/open], auth_methods: []}\n"
        "  - {name: rest, token_exchange: false}\n"
    )
    caller = await call(await start_gateway(config))

    for target in ("/orders", "/again", "/stock", "/rest"):
        assert [200] == [answer.status for answer in await ask(caller, JOHN, target=target)]
    public = await caller.send(request("GET", "/open"))

    assert public.status == 200
    auds = [said["aud"] for said in sent_on(provider, upstream)]
    assert ["orders", "orders", "stock", "api"] == auds
    assert 5 == len(upstream.requests)
    assert ["orders", "stock"] == [each.form["audience"] for each in provider.exchanges]
    assert 3 == len(provider.token_calls)


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        pytest.param({}, 200, id="good"),
        pytest.param({"aud": ["stock", "orders"]}, 200, id="one-of-several"),
        pytest.param({"aud": "api"}, 502, id="X2-another-audience"),
        pytest.param({"aud": ["orders.example"]}, 502, id="X2-similar-audience"),
        pytest.param({"aud": REMOVED}, 502, id="X2-no-audience"),
        pytest.param({"sub": "anna"}, 502, id="X2-another-subject"),
        pytest.param({"iss": "https://other.example"}, 502, id="J14-issuer"),
        pytest.param({"azp": "app"}, 502, id="J16-another-client"),
        pytest.param({"exp": 1}, 502, id="J18-expired"),
        pytest.param({"nbf": 9_999_999_999}, 502, id="J19-not-yet"),
        pytest.param({"typ": "ID"}, 502, id="J17-id-token"),
    ],
)
async def test_the_exchanged_token_is_verified(
    start_gateway, call, provider, upstream, claims, status
):
    """X2: an exchanged token that is not what was asked for goes nowhere, and is not kept."""
    provider.exchanged_claims = claims
    caller = await call(await start_gateway(**FOR_ORDERS))

    [answer] = await ask(caller, JOHN)

    assert status == answer.status
    assert (1 if status == 200 else 0) == len(upstream.requests)
    provider.exchanged_claims = {}
    assert [200] == [answer.status for answer in await ask(caller, JOHN)]


async def test_by_an_unknown_key(start_gateway, call, provider, upstream):
    """J1, J21: an exchanged token by nobody's key goes nowhere."""
    caller = await call(await start_gateway(**FOR_ORDERS))
    async with ExchangingProvider() as other:
        forged = other.key.sign({**provider.issued.get("", {}), "iss": provider.issuer})
        provider.exchanged_members = {"access_token": forged}

        assert [502] == [answer.status for answer in await ask(caller, JOHN)]
    assert [] == upstream.requests


async def test_an_opaque_token_is_asked_about(start_gateway, call, provider, upstream):
    """X2: of an opaque one the provider has to say that it is for the audience."""
    provider.opaque_exchanged = True
    caller = await call(await start_gateway(**FOR_ORDERS))
    assert [200, 200] == [answer.status for answer in await ask(caller, JOHN, 2)]
    provider.about = {"aud": "api"}

    assert [502] == [answer.status for answer in await ask(caller, SERVICE)]
    assert 2 == len(provider.asked)
    assert 2 == len(upstream.requests)


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"issued_token_type": ACCESS_TOKEN.replace("access", "id")}, id="id-token"),
        pytest.param(
            {"issued_token_type": ACCESS_TOKEN.replace("access", "refresh")}, id="refresh"
        ),
        pytest.param({"issued_token_type": None}, id="untold"),
        pytest.param({"token_type": "N_A"}, id="no-access-token"),
        pytest.param({"token_type": "DPoP"}, id="bound-to-a-key"),
    ],
)
async def test_another_kind_of_token(start_gateway, call, provider, upstream, members):
    """X2, RFC 8693 §2.2.1: only what the answer calls an access token is sent on."""
    provider.exchanged_members = members
    caller = await call(await start_gateway(**FOR_ORDERS))

    assert [502] == [answer.status for answer in await ask(caller, JOHN)]
    assert [] == upstream.requests


@pytest.mark.parametrize(
    ("error", "of_pair", "of_token"),
    [
        pytest.param("invalid_request", 403, 403, id="unacceptable-subject"),
        pytest.param("access_denied", 403, 403, id="denied"),
        pytest.param("invalid_grant", 403, 401, id="token-no-longer-good"),
        pytest.param("invalid_token", 403, 401, id="token-not-good"),
        pytest.param("invalid_target", 502, 502, id="unknown-target"),
        pytest.param("invalid_scope", 502, 502, id="scope"),
        pytest.param("invalid_client", 502, 502, id="client"),
        pytest.param("unauthorized_client", 502, 502, id="client-may-not"),
        pytest.param("unsupported_grant_type", 502, 502, id="no-token-exchange"),
        pytest.param("not_in_the_registry", 502, 502, id="unknown-error"),
    ],
)
async def test_refusals(start_gateway, call, provider, upstream, written, error, of_pair, of_token):
    """X5: RFC 8693 §2.2.2: blame for the subject token is the caller's, all other is ours."""
    provider.refused = {"john": error}
    caller = await call(await start_gateway(**TOKENS, CACHE_TTL_NEG="30"))
    token = provider.mint("john", "app")

    for field, status in ((JOHN, of_pair), (bearer(token), of_token)):
        before = len(provider.exchanges)
        answers = await ask(caller, field, 2)
        assert [status] * 2 == [answer.status for answer in answers]
        asked = 2 if status == 502 else 1  # only a refused subject is remembered
        assert asked == len(provider.exchanges) - before
        assert (CHALLENGE in answers[1].values("www-authenticate")) is (status == 401)
    assert [] == upstream.requests
    causes = [line["cause"] for line in written() if error in str(line.get("cause"))]
    assert len(causes) >= 2


async def test_a_refusal_is_forgotten(start_gateway, call, provider):
    """X5: without `CACHE_TTL_NEG` a refused subject is asked about again."""
    provider.refused = {"john": "invalid_request"}
    caller = await call(await start_gateway(**FOR_ORDERS, CACHE_TTL_NEG="0"))
    assert [403] == [answer.status for answer in await ask(caller, JOHN)]
    provider.refused = {}

    assert [200] == [answer.status for answer in await ask(caller, JOHN)]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        pytest.param(Answer(503), 503, id="unavailable"),
        pytest.param(Answer(drop="before"), 503, id="dropped"),
        pytest.param(Answer(delay=30), 504, id="late"),
        pytest.param(Answer(200, LOGIN_PAGE, HTML), 502, id="login-page"),
        pytest.param(Answer(members={"x": "x" * 300_000}), 502, id="too-large"),
        pytest.param(redirect("https://attacker.example/"), 502, id="D4-redirect"),
        pytest.param(Answer(members={"access_token": REMOVED}), 502, id="no-token"),
        pytest.param(refusal(401, "invalid_client"), 502, id="client-refused"),
    ],
)
async def test_failures(start_gateway, call, provider, upstream, answer, status):
    """X1: without an exchanged token nothing is sent on, and nothing is remembered."""
    late = {"IDP_TIMEOUT": "2"} if answer.delay else {}
    caller = await call(await start_gateway(**FOR_ORDERS, **late))
    provider.exchange_answers = [answer]

    [told] = await ask(caller, JOHN)

    assert status == told.status
    assert [] == upstream.requests
    if not answer.delay:
        assert [200] == [answer.status for answer in await ask(caller, JOHN)]


async def test_an_open_breaker(start_gateway, call, provider, upstream):
    """X1: exchanges count for the breaker, and none is tried while it is open."""
    caller = await call(await start_gateway(**FOR_ORDERS))
    await ask(caller, JOHN)
    provider.exchange_answers = [Answer(429, b"", None, (("Retry-After", "5"),))]

    answers = await ask(caller, SERVICE, 2)

    assert [503, 503] == [answer.status for answer in answers]
    assert 2 == len(provider.exchanges)
    assert len(upstream.requests) == 1
    assert [200] == [answer.status for answer in await ask(caller, JOHN)]  # known already


@pytest.mark.parametrize(
    ("rules", "status"),
    [
        pytest.param({"AUDIENCE_REQUIRED": "api"}, 200, id="of-the-callers-token"),
        pytest.param({"AUDIENCE_REQUIRED": "orders"}, 403, id="of-the-exchanged-one"),
        pytest.param({"CLAIMS_FORBIDDEN": "aud=api"}, 403, id="forbidden"),
    ],
)
async def test_rules(start_gateway, call, provider, rules, status):
    """X3, J23: rules are about the caller's own token, and who breaks one costs no exchange."""
    caller = await call(await start_gateway(**FOR_ORDERS, **rules))

    assert [status] * 2 == [answer.status for answer in await ask(caller, JOHN, 2)]
    assert (1 if status == 200 else 0) == len(provider.exchanges)


async def test_a_crowd_asks_once(start_gateway, provider, upstream):
    """A10: whoever comes with a token while it is exchanged waits for that exchange."""
    gateway = await start_gateway(**TOKENS)
    token = provider.mint("john", "app")
    provider.gate.clear()

    async def one():
        async with RawCaller(gateway.port) as caller:
            return (await caller.send(request("GET", "/", [bearer(token)]))).status

    crowd = [asyncio.create_task(one()) for _ in range(20)]
    await until(lambda: provider.exchanges)
    provider.gate.set()

    assert [200] * 20 == await asyncio.gather(*crowd)
    assert 1 == len(provider.exchanges)


@pytest.mark.parametrize(
    ("settings", "lifetime", "expires_in"),
    [
        pytest.param({"CACHE_TTL_MAX": "0"}, 300, 300, id="X4-ttl-max"),
        pytest.param({}, 5, 300, id="X4-exp-within-the-margin"),
        pytest.param({}, 300, 5, id="X4-expires-in"),
    ],
)
async def test_not_kept(start_gateway, call, provider, settings, lifetime, expires_in):
    """X4: nothing is kept longer than the exchanged token may be used."""
    caller = await call(await start_gateway(**TOKENS, **settings))
    token = provider.mint("john", "app")
    provider.lifetime, provider.expires_in = lifetime, expires_in

    assert [200, 200] == [answer.status for answer in await ask(caller, bearer(token), 2)]
    assert 2 == len(provider.exchanges)


async def test_no_longer_than_the_callers_token(start_gateway, call, provider):
    """X4: what an expired token was exchanged for is not used, however long that one lives."""
    caller = await call(await start_gateway(**TOKENS))
    provider.lifetime = -1  # within the leeway
    token = provider.mint("john", "app")
    provider.lifetime = 300

    assert [200, 200] == [answer.status for answer in await ask(caller, bearer(token), 2)]
    assert 2 == len(provider.exchanges)


@pytest.mark.parametrize(
    ("query", "again"),
    [
        pytest.param("", 1, id="everything"),
        pytest.param("?user=john", 1, id="one-user"),
        pytest.param("?user=anna", 0, id="another-user"),
    ],
)
async def test_purge(start_gateway, call, provider, query, again):
    """A7: a purge drops what a user's tokens were exchanged for, refusals as well."""
    gateway = await start_gateway(**TOKENS, CACHE_TTL_NEG="30")
    caller = await call(gateway)
    good, refused = (provider.mint("john", "app") for _ in range(2))
    await ask(caller, bearer(good))
    provider.refused = {"john": "invalid_request"}
    await ask(caller, bearer(refused))
    provider.refused = {}
    async with RawCaller(gateway.admin_port) as admin:
        await admin.send(request("DELETE", f"/cache{query}"))

    before = len(provider.exchanges)
    answers = [*await ask(caller, bearer(good)), *await ask(caller, bearer(refused))]

    assert 2 * again == len(provider.exchanges) - before
    assert [200, 200 if again else 403] == [answer.status for answer in answers]


async def test_purged_meanwhile(start_gateway, provider):
    """A7: what an exchange begun before a purge gives is used once and not kept."""
    gateway = await start_gateway(**TOKENS)
    token = provider.mint("john", "app")
    provider.gate.clear()
    async with RawCaller(gateway.port) as caller, RawCaller(gateway.admin_port) as admin:
        await caller.write(request("GET", "/", [bearer(token)]), size=9999)
        await until(lambda: provider.exchanges)
        await admin.send(request("DELETE", "/cache?user=john"))
        provider.gate.set()
        assert (await caller.read()).status == 200
        assert [200] == [answer.status for answer in await ask(caller, bearer(token))]

    assert 2 == len(provider.exchanges)


async def test_logs(start_gateway, call, provider, written):
    """X4: the access line says whether the provider was asked; L1: no token is in any line."""
    caller = await call(await start_gateway(**TOKENS))
    token = provider.mint("john", "app")

    await ask(caller, bearer(token), 2)

    lines = written()
    told = [line["cache"] for line in lines if line.get("grant") == "bearer"]
    assert ["provider", "memory"] == told
    assert not any(one in str(lines) for one in provider.issued)


async def test_counted(start_gateway, call):
    """The calls are counted under a grant of their own."""
    gateway = await start_gateway(**FOR_ORDERS)
    await ask(await call(gateway), JOHN)
    async with RawCaller(gateway.admin_port) as admin:
        page = (await admin.send(request("GET", "/metrics"))).body

    assert b'grant="token-exchange",outcome="ok"' in page


async def test_told_with_the_exchanged_token(start_gateway, call, provider, upstream):
    """X1: with fields about the caller too, the token is the exchanged one, the claims theirs."""
    settings = {"UPSTREAM_HEADERS": "X-User=sub,X-For=aud", **TOKENS}
    caller = await call(await start_gateway(**settings))

    answers = await ask(caller, JOHN, 2)

    assert [200] * 2 == [answer.status for answer in answers]
    assert ["orders"] * 2 == [said["aud"] for said in sent_on(provider, upstream)]
    for seen in upstream.requests:
        assert [[b"john"], [b"api"]] == [seen.values(b"x-user"), seen.values(b"x-for")]
