"""Callers that bring a refresh token, and send the same one all the time (RFC 6749 §6)."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import aiohttp
import pytest

from gateway.metrics import FLIGHTS_JOINED
from tests.fakes.answers import ANSWERS
from tests.fakes.caller import RawCaller, basic, request
from tests.fakes.waiting import until

FIELD = b"X-Refresh-Token"
METHOD = {
    "AUTH_METHODS": "password,client_credentials,refresh_token",
    "REFRESH_TOKEN_PARAM_NAME": "X-Refresh-Token",
}
EVERYWHERE = {
    "AUTH_METHODS": "bearer,password,refresh_token",
    "AUDIENCE_REQUIRED": "api",
    "BEARER_TOKEN_PARAM_TYPE": "header,query,body",
    "PASSWORD_PARAM_TYPE": "header,query,body",
    "REFRESH_TOKEN_PARAM_NAME": "refresh",
    "REFRESH_TOKEN_PARAM_TYPE": "header,query,body",
}
UNCACHED = {**METHOD, "CACHE_TTL_MAX": "0", "CACHE_TTL_NEG": "0"}
CHALLENGE = b'Bearer realm="bearergate", error="invalid_token"'
FORM = (b"Content-Type", b"application/x-www-form-urlencoded")
JSON = (b"Content-Type", b"application/json")
_JOINED = FLIGHTS_JOINED.labels("worker")


@pytest.fixture
async def provider(provider):
    """Return a provider that rotates, and where two people have logged in already."""
    provider.refresh_tokens = True
    provider.sessions = {"marys-first": "mary", "pauls-first": "paul"}
    return provider


def get(token="marys-first", path="/"):  # noqa: S107 - of a test provider
    """Write a request that carries a refresh token in its field."""
    return request("GET", path, [(FIELD, token.encode())])


def spent(provider):
    """Tell which refresh tokens the provider was sent, in order."""
    return [call.form.get("refresh_token") for call in provider.token_calls]


async def send(gateway, message, source=None):
    """Send one request on a connection of its own."""
    async with RawCaller(gateway.port, source=source) as caller:
        return await caller.send(message)


async def purge(gateway, query=""):
    """Purge and return what the admin port answers."""
    url = f"http://127.0.0.1:{gateway.admin_port}/cache{query}"
    async with aiohttp.ClientSession() as session, session.delete(url) as response:
        return await response.json()


async def test_redeemed_and_kept(start_gateway, call, provider, upstream, written):
    """A refresh token is redeemed once, by the gateway's own client, and its access token kept."""
    caller = await call(await start_gateway(**METHOD))

    statuses = [(await caller.send(get())).status for _ in range(3)]

    assert [200] * 3 == statuses
    (asked,) = provider.token_calls
    assert ("refresh_token", "gateway") == (asked.grant_type, asked.client_id)
    (token,) = {r.values(b"authorization")[0] for r in upstream.requests}
    assert token.startswith(b"Bearer eyJ")
    lines = [line for line in written() if "duration_ms" in line]
    assert ["provider", "memory", "memory"] == [line["cache"] for line in lines]
    assert {"refresh_token"} == {line["grant"] for line in lines}


async def test_users_are_told_apart(start_gateway, provider, upstream, written):
    """Two refresh tokens are two users: in the cache, in the log, and at the upstream."""
    gateway = await start_gateway(**METHOD, UPSTREAM_HEADERS="X-User=sub")

    answers = await asyncio.gather(
        *(send(gateway, get(token)) for token in ("marys-first", "pauls-first") * 10)
    )

    assert [200] * 20 == [answer.status for answer in answers]
    assert ["marys-first", "pauls-first"] == sorted(spent(provider))
    assert [b"mary"] * 10 + [b"paul"] * 10 == sorted(
        r.values(b"x-user")[0] for r in upstream.requests
    )
    assert 2 == len({line["user"] for line in written() if "duration_ms" in line})


async def test_users_do_not_wait_for_each_other(start_gateway, provider):
    """Two refresh tokens are redeemed at the same time: neither waits for the other's turn."""
    gateway = await start_gateway(**METHOD)
    provider.gate.clear()
    tasks = [
        asyncio.create_task(send(gateway, get(token))) for token in ("marys-first", "pauls-first")
    ]

    await provider.token_called(2)
    provider.gate.set()

    assert [200, 200] == [(await each).status for each in tasks]


@pytest.mark.parametrize("rotates", [True, False], ids=["rotating", "not-rotating"])
async def test_chain(start_gateway, call, provider, rotates):
    """T7: the caller's token stays good while the provider's changes, and none is sent twice."""
    provider.rotates = rotates
    caller = await call(await start_gateway(**UNCACHED))

    statuses = [(await caller.send(get())).status for _ in range(6)]

    assert [200] * 6 == statuses
    assert (6 if rotates else 1) == len(set(spent(provider)))
    assert 6 == len(provider.token_calls)


async def test_chain_of_a_provider_that_leaves_the_token_out(start_gateway, call, provider):
    """RFC 6749 §6: without a new refresh token in the answer the one before goes on."""
    caller = await call(await start_gateway(**UNCACHED))
    await caller.send(get())
    provider.refresh_tokens = False
    (successor,) = provider.sessions.keys() - {"pauls-first"}

    statuses = [(await caller.send(get())).status for _ in range(2)]

    assert [200, 200] == statuses
    assert ["marys-first", successor, successor] == spent(provider)


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


@pytest.mark.parametrize("description", ["unknown", "revoked"])
async def test_refused(start_gateway, call, provider, upstream, description):
    """A refresh token the provider refuses is 401 `invalid_token`, remembered and sent nowhere."""
    caller = await call(await start_gateway(**METHOD, CACHE_TTL_NEG="30", CACHE_TTL_MAX="0"))
    if description == "revoked":
        assert 200 == (await caller.send(get())).status
        provider.sessions.clear()
    before = len(provider.token_calls), len(upstream.requests)
    token = "marys-first" if description == "revoked" else "invented"

    answers = [await caller.send(get(token)) for _ in range(3)]

    assert [(401, "invalid_token")] * 3 == [(a.status, a.json()["error"]) for a in answers]
    assert CHALLENGE in answers[0].values("www-authenticate")
    assert (before[0] + 1, before[1]) == (len(provider.token_calls), len(upstream.requests))


async def test_a_spent_token_is_not_tried_instead(start_gateway, call, provider):
    """T7: when the newest is refused, the caller's own, which was spent before, is not sent."""
    caller = await call(await start_gateway(**UNCACHED))
    await caller.send(get())
    provider.sessions.clear()

    assert [401, 401] == [(await caller.send(get())).status for _ in range(2)]
    first, second, third = spent(provider)
    assert "marys-first" == first
    assert second == third != first


async def test_no_credentials(start_gateway, call):
    """RFC 6750 §3: without credentials there is a challenge for each way."""
    caller = await call(await start_gateway(**METHOD))

    response = await caller.send(request("GET", "/"))

    assert [
        b'Bearer realm="bearergate"',
        b'Basic realm="bearergate", charset="UTF-8"',
    ] == response.values("www-authenticate")


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        pytest.param("internal_error_html", 503, id="unavailable"),
        pytest.param("keycloak_unknown_client", 502, id="gateway-refused"),
        pytest.param("unsupported_grant_type", 502, id="no-such-grant"),
        pytest.param("login_page", 502, id="nonsense"),
    ],
)
async def test_failures(start_gateway, call, provider, upstream, answer, status):
    """R6: an answer that says nothing about the token is nobody's 401, and nothing is repeated."""
    caller = await call(await start_gateway(**METHOD))
    provider.answer_next_token(ANSWERS[answer])

    response = await caller.send(get())

    assert status == response.status
    assert (["marys-first"], []) == (spent(provider), upstream.requests)
    assert 200 == (await caller.send(get())).status


async def test_a_lost_answer(start_gateway, call, provider, upstream):
    """R6: the provider rotated and nobody heard of it: the session is lost, and said to be."""
    caller = await call(await start_gateway(**METHOD))
    provider.answer_next_token(ANSWERS["connection_dropped"])

    assert 503 == (await caller.send(get())).status
    assert 401 == (await caller.send(get())).status
    assert (["marys-first"] * 2, []) == (spent(provider), upstream.requests)


async def test_a_crowd_gets_the_failure_too(start_gateway, provider):
    """R6: who waited for an answer that did not come is not the reason for a second try."""
    gateway = await start_gateway(**METHOD)
    provider.answer_next_token(ANSWERS["internal_error_html"])
    provider.gate.clear()
    before = _JOINED._value.get()
    waiting = [asyncio.create_task(send(gateway, get())) for _ in range(10)]
    await until(lambda: _JOINED._value.get() == before + 9)
    await provider.token_called(1)
    provider.gate.set()

    assert [503] * 10 == [(await each).status for each in waiting]
    assert ["marys-first"] == spent(provider)


async def test_a_crowd_is_one_redemption(start_gateway, provider):
    """A10: fifty first requests with one refresh token redeem it once."""
    gateway = await start_gateway(**METHOD)

    answers = await asyncio.gather(*(send(gateway, get()) for _ in range(50)))

    assert [200] * 50 == [each.status for each in answers]
    assert ["marys-first"] == spent(provider)


async def test_routes_share_a_chain(start_gateway, provider, upstream, tmp_path):
    """Routes that keep tokens for other times spend one chain, one after the other."""
    config = tmp_path / "routes.yaml"
    routes = "".join(
        f"- {{name: r{n}, paths: [/r{n}], upstream: '{upstream.url}', cache_ttl_max: {n}}}\n"
        for n in (0, 100, 200)
    )
    config.write_text(f"routes:\n{routes}")
    gateway = await start_gateway(config, **METHOD)

    answers = await asyncio.gather(*(send(gateway, get(path=f"/r{n}")) for n in (0, 100, 200) * 10))

    assert [200] * 30 == [each.status for each in answers]
    assert 3 <= len(spent(provider)) == len(set(spent(provider)))


@pytest.mark.parametrize("name", ["sub-of-mary", "mary@example.com", "MARY@example.com"])
async def test_purged_by_verified_names(start_gateway, call, provider, name):
    """A7: a purge by any name of the token reaches it, and the chain goes on from where it was."""
    provider.claims = {"sub": "sub-of-mary", "preferred_username": "mary@example.com"}
    gateway = await start_gateway(**METHOD, REVOKE_ON_PURGE="true")
    caller = await call(gateway)
    await caller.send(get())

    assert {"purged": 0} == await purge(gateway, "?user=somebody")
    assert 200 == (await caller.send(get())).status
    assert ["marys-first"] == spent(provider)
    assert {"purged": 1} == await purge(gateway, f"?user={quote(name)}")

    assert 200 == (await caller.send(get())).status
    assert 2 == len(spent(provider)) == len(set(spent(provider)))


@pytest.mark.parametrize("shared", [True, False], ids=["redis", "memory"])
async def test_the_callers_session_is_not_ended(start_gateway, call, provider, start_redis, shared):
    """T7: REVOKE_ON_PURGE ends sessions that the gateway began, and this is the caller's."""
    redis = {"REDIS_URL": start_redis().url, "CACHE_SECRET": "s" * 32} if shared else {}
    gateway = await start_gateway(**METHOD, **redis, REVOKE_ON_PURGE="true")
    caller = await call(gateway)
    await caller.send(get())
    await caller.send(request("GET", "/", [basic("john", "doe")]))

    assert {"purged": 2} == await purge(gateway)

    assert 1 == len(provider.revoked)
    assert 200 == (await caller.send(get())).status


async def test_a_token_that_does_not_verify(start_gateway, call, provider, upstream):
    """What the provider rotated to is kept before its access token is looked at."""
    caller = await call(await start_gateway(**METHOD))
    provider.access_token = provider.mint("mary", "another-client")

    assert 502 == (await caller.send(get())).status
    provider.access_token = None

    assert 200 == (await caller.send(get())).status
    assert 2 == len(spent(provider)) == len(set(spent(provider)))
    assert 1 == len(upstream.requests)


async def test_a_crowd_of_tokens_removes_no_chain(start_gateway, call, provider):
    """R8: other callers' tokens push a token out of the cache, and never a chain."""
    caller = await call(await start_gateway(**METHOD, CACHE_MAX_ENTRIES="1"))
    provider.users = {f"user{n}": "p" for n in range(5)}
    provider.refresh_tokens = True

    for _ in range(3):
        assert 200 == (await caller.send(get())).status
        for name in provider.users:
            await caller.send(request("GET", "/", [basic(name, "p")]))

    redeemed = [each for each in spent(provider) if each is not None]
    assert 3 == len(redeemed) == len(set(redeemed))


async def test_id_token(start_gateway, call, provider, upstream):
    """T9: the ID token that comes for a refresh token is verified, kept and told like a login's."""
    provider.id_claims = {}
    caller = await call(await start_gateway(**METHOD, UPSTREAM_ID_TOKEN_HEADER="X-Who"))

    assert [200, 200] == [(await caller.send(get())).status for _ in range(2)]

    first, second = [each.values(b"x-who") for each in upstream.requests]
    assert first == second
    assert first[0].startswith(b"eyJ")
    provider.id_claims = {"aud": "somebody-else"}
    assert 502 == (await caller.send(get("pauls-first"))).status


async def test_withdrawn_key(start_gateway, call, provider):
    """K4: an access token whose key was withdrawn is not sent on; the chain gives another one."""
    caller = await call(await start_gateway(**METHOD))
    await caller.send(get())
    provider.rotate(keep_old=False)
    assert 200 == (await caller.send(get("pauls-first"))).status  # by the new key: it is fetched

    assert 200 == (await caller.send(get())).status
    assert 3 == len(set(spent(provider))) == len(spent(provider))


async def test_chain_kept_for_so_long(start_gateway, call, provider):
    """A chain nobody uses for REFRESH_TOKEN_KEPT is forgotten; then the caller's own is sent."""
    caller = await call(await start_gateway(**UNCACHED, REFRESH_TOKEN_KEPT="1"))
    await caller.send(get())
    await asyncio.sleep(1.1)  # the time itself

    assert 401 == (await caller.send(get())).status
    assert ["marys-first"] * 2 == spent(provider)


async def test_invented_tokens(start_gateway, provider):
    """R4: refresh tokens the provider refused count for the address, like opaque tokens."""
    gateway = await start_gateway(**METHOD, FAILED_LOGINS_MAX="1", FAILED_LOGINS_WINDOW="600")
    assert 200 == (await send(gateway, get())).status

    answers = [await send(gateway, get(f"invented-{n}")) for n in range(25)]

    assert [401] * 20 + [429] * 5 == [each.status for each in answers]
    assert 1 + 20 == len(provider.token_calls)
    assert 200 == (await send(gateway, get())).status
    assert 429 == (await send(gateway, get("pauls-first"))).status
    assert 200 == (await send(gateway, get("pauls-first"), "127.0.0.2")).status


async def test_denied_by_a_rule(start_gateway, call, provider, upstream):
    """J15, J23: rules are asked about the redeemed token's claims, cached or not."""
    caller = await call(await start_gateway(**METHOD, AUDIENCE_REQUIRED="other"))

    statuses = [(await caller.send(get())).status for _ in range(2)]

    assert [403, 403] == statuses
    assert ([], 1) == (upstream.requests, len(provider.token_calls))


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"scope": "orders"}, id="scope"),
        pytest.param({"scope": "orders", "level": "2"}, id="forbidden"),
        pytest.param({"scope": "other"}, id="other-scope"),
        pytest.param({"scope": ["orders"], "aud": ["api"]}, id="lists"),
        pytest.param({"realm_access": {"roles": ["admin"]}}, id="role"),
    ],
)
async def test_same_decision_without_the_cache(start_gateway, call, provider, claims):
    """J23: the decision with a warm cache is that without one, and that about a password."""
    rules = {"SCOPES_REQUIRED": "orders", "CLAIMS_FORBIDDEN": "level=2"}
    cached = await call(await start_gateway(**METHOD, **rules))
    uncached = await call(await start_gateway(**UNCACHED, **rules))
    provider.claims = claims

    warm = [(await cached.send(get())).status for _ in range(2)]
    cold = [(await uncached.send(get("pauls-first"))).status for _ in range(2)]
    pair = (await cached.send(request("GET", "/", [basic("john", "doe")]))).status

    assert {pair} == {*warm, *cold}


async def test_no_secret_in_any_line(start_gateway, provider, written):
    """L1: neither the caller's token nor what came of it is in a line, an answer or a metric."""
    gateway = await start_gateway(**EVERYWHERE, LOG_LEVEL="debug", CACHE_TTL_MAX="0")
    provider.sessions["CANARY-first"] = "mary"
    messages = [
        request("GET", "/", [("refresh", "CANARY-first")]),
        request("GET", "/?refresh=CANARY-first"),
        request("POST", "/", [FORM], b"refresh=CANARY-first"),
        request("POST", "/", [JSON], b'{"refresh":"CANARY-first"'),
        request("GET", "/?refresh=CANARY-first", [("refresh", "CANARY-first")]),
        request("GET", "/", [("refresh", "CANARY-invented")]),
    ]
    answers = [await send(gateway, message) for message in messages]
    async with RawCaller(gateway.admin_port) as admin:
        metrics = (await admin.send(request("GET", "/metrics"))).body.decode()
    texts = [repr(written()), metrics, *(repr((a.headers, a.body)) for a in answers[3:])]

    assert [200, 200, 200, 400, 400, 401] == [each.status for each in answers]
    secrets = {"CANARY", *provider.sessions, *(each for each in spent(provider) if each)}
    assert [] == [secret for secret in secrets for text in texts if secret in text]
    assert 'grant="refresh_token"' in metrics


async def test_a_caller_that_left(start_gateway, provider):
    """A redemption whose caller has left goes on, and its chain with it."""
    gateway = await start_gateway(**UNCACHED)
    provider.gate.clear()
    async with RawCaller(gateway.port) as caller:
        await caller.write(get())
        await provider.token_called(1)
    provider.gate.set()
    await until(lambda: "marys-first" not in provider.sessions)

    assert 200 == (await send(gateway, get())).status
    assert 2 == len(spent(provider)) == len(set(spent(provider)))
