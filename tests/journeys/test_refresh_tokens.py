"""Callers that bring a refresh token, and send the same one all the time (RFC 6749 §6)."""

from __future__ import annotations

import asyncio

import pytest

from gateway.metrics import FLIGHTS_JOINED
from tests.fakes.answers import ANSWERS
from tests.fakes.caller import RawCaller, basic, request
from tests.fakes.waiting import until
from tests.journeys.refreshing import (
    CHALLENGE,
    METHOD,
    UNCACHED,
    get,
    send,
    spent,
    two_sessions,
)

_JOINED = FLIGHTS_JOINED.labels("worker")


@pytest.fixture
async def provider(provider):
    """Return a provider that rotates, and where two people have logged in already."""
    return two_sessions(provider)


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


async def test_chain_kept_for_so_long(start_gateway, call, provider):
    """A chain nobody uses for REFRESH_TOKEN_KEPT is forgotten; then the caller's own is sent."""
    caller = await call(await start_gateway(**UNCACHED, REFRESH_TOKEN_KEPT="1"))
    await caller.send(get())
    await asyncio.sleep(1.1)  # the time itself

    assert 401 == (await caller.send(get())).status
    assert ["marys-first"] * 2 == spent(provider)


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
