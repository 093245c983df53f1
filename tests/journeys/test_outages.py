"""What works while the provider or its keys do not, and how it comes back by itself."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from gateway.metrics import MEMORY_MISS
from tests.fakes.answers import Answer
from tests.fakes.caller import basic, request
from tests.fakes.waiting import until, until_told

JOHN = basic("john", "doe")


async def readiness(gateway):
    """Ask the admin port whether the gateway is ready."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{gateway.admin_port}/readyz") as response,
    ):
        return response.status, await response.json()


async def test_starts_without_the_provider_and_recovers(start_gateway, call, provider, upstream):
    """K6: with the provider down the gateway starts, lets nobody in, and recovers by itself."""
    await provider.down()
    gateway = await start_gateway()
    caller = await call(gateway)

    status, document = await readiness(gateway)
    response = await caller.send(request("GET", "/", [JOHN]))

    assert (status, document["provider"]) == (503, "not discovered")
    assert (response.status, response.json()["error"]) == (503, "provider_unavailable")
    assert upstream.requests == []

    await provider.up()

    async def is_ready():
        return (await readiness(gateway))[0] == 200

    await until_told(is_ready)
    assert (await caller.send(request("GET", "/", [JOHN]))).status == 200


async def test_ready(gateway):
    """A gateway that has discovered its provider and loaded keys is ready."""
    expected = {
        "status": "ready",
        "provider": "discovered",
        "keys": "loaded",
        "cache": "in process",
    }

    assert (200, expected) == await readiness(gateway)


async def test_cached_tokens_outlive_the_provider(gateway, call, provider):
    """F1: while the provider is down, cached callers are served and new ones get 503."""
    caller = await call(gateway)
    await caller.send(request("GET", "/", [JOHN]))
    await provider.down()

    cached = await caller.send(request("GET", "/", [JOHN]))
    new = await caller.send(request("GET", "/", [basic("anna", "anna")]))

    assert (cached.status, new.status) == (200, 503)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(members={"issuer": "http://127.0.0.1:1"}), id="D1-other-issuer"),
        pytest.param(Answer(200, b"<html>", "text/html"), id="not-json"),
        pytest.param(Answer(404, b""), id="not-found"),
        pytest.param(Answer(302, b"", None, (("Location", "/jwks"),)), id="D4-redirect"),
        pytest.param(
            Answer(members={"token_endpoint": "http://sso.example/token"}), id="D2-http-endpoint"
        ),
    ],
)
async def test_discovery_document_that_cannot_be_believed(start_gateway, provider, answer):
    """D1, D2, D4: with a document that is not the issuer's own the gateway is not ready."""
    provider.answer_discovery(answer, times=None)

    assert (await readiness(await start_gateway()))[0] == 503


async def test_rotated_key(gateway, call, provider):
    """K1: a token by a new key costs one fetch of the key set and no failed request."""
    caller = await call(gateway)
    await caller.send(request("GET", "/", [JOHN]))
    provider.users["anna"] = "anna"
    provider.rotate()

    response = await caller.send(request("GET", "/", [basic("anna", "anna")]))
    cached = await caller.send(request("GET", "/", [JOHN]))

    assert (response.status, cached.status) == (200, 200)
    assert (provider.jwks_calls, len(provider.token_calls)) == (2, 2)


async def test_withdrawn_key_ends_cached_tokens(gateway, call, provider):
    """K4, A6: once its key is gone from the key set a cached token is not used any more."""
    caller = await call(gateway)
    await caller.send(request("GET", "/", [JOHN]))
    provider.users["anna"] = "anna"
    provider.rotate(keep_old=False)

    await caller.send(request("GET", "/", [basic("anna", "anna")]))
    response = await caller.send(request("GET", "/", [JOHN]))

    assert response.status == 200
    assert [each.form["username"] for each in provider.token_calls] == ["john", "anna", "john"]


async def test_unknown_keys_are_fetched_for_once(gateway, call, provider):
    """K2: tokens that name a key nobody publishes are 502, and cause one fetch together."""
    provider.header = {"kid": "nobody-publishes-this"}
    caller = await call(gateway)

    statuses = [(await caller.send(request("GET", "/", [JOHN]))).status for _ in range(5)]

    assert statuses == [502] * 5
    assert provider.jwks_calls == 2


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(500, b""), id="500"),
        pytest.param(Answer(200, b"{"), id="garbage"),
        pytest.param(Answer(200, b'{"keys":[]}'), id="empty-set"),
        pytest.param(Answer(200, b" " * (513 * 1024)), id="K7-too-large"),
    ],
)
async def test_bad_key_set_does_not_replace_a_good_one(gateway, call, provider, answer):
    """K3: when the refetch fails the old keys stay in use and the new token is 503."""
    caller = await call(gateway)
    await caller.send(request("GET", "/", [JOHN]))
    provider.users["anna"] = "anna"
    old = provider.key
    provider.rotate()
    provider.answer_jwks(answer, times=None)

    unknown = await caller.send(request("GET", "/", [basic("anna", "anna")]))
    cached = await caller.send(request("GET", "/", [JOHN]))
    provider.key = old
    known = await caller.send(request("GET", "/", [basic("anna", "anna")]))

    assert (unknown.status, cached.status, known.status) == (503, 200, 200)


async def test_a_crowd_costs_one_login(gateway, call, provider):
    """A10: concurrent first requests with one credential share one call to the provider."""
    provider.gate.clear()
    callers = [await call(gateway) for _ in range(50)]
    waiting = [asyncio.create_task(caller.send(request("GET", "/", [JOHN]))) for caller in callers]
    await provider.token_called(1)
    provider.gate.set()

    statuses = {response.status for response in await asyncio.gather(*waiting)}

    assert {200} == statuses
    assert len(provider.token_calls) == 1


async def test_a_crowd_never_shares_across_credentials(gateway, call, provider, upstream):
    """A10: flights started in the same tick with different credentials never mix."""
    provider.users = {f"user{n}": f"password{n}" for n in range(30)}
    provider.gate.clear()
    waiting = [
        asyncio.create_task((await call(gateway)).send(request("GET", f"/{name}", [pair])))
        for name, pair in [(n, basic(n, p)) for n, p in provider.users.items()]
    ]
    await provider.token_called(len(waiting))
    provider.gate.set()
    await asyncio.gather(*waiting)

    tokens = {seen.target: seen.values(b"authorization")[0] for seen in upstream.requests}

    assert len(set(tokens.values())) == 30


async def test_a_caller_that_leaves_does_not_end_the_flight(gateway, call, provider):
    """A10: the login goes on for the others when the caller that began it hangs up."""
    provider.gate.clear()
    leaver, follower = await call(gateway), await call(gateway)
    await leaver.write(request("GET", "/", [JOHN]))
    await provider.token_called(1)
    waiting = asyncio.create_task(follower.send(request("GET", "/", [JOHN])))
    await asyncio.sleep(0)
    leaver.reset()
    await asyncio.sleep(0.05)
    provider.gate.set()

    assert (await waiting).status == 200
    assert len(provider.token_calls) == 1


async def test_calls_beyond_the_queue_are_refused_at_once(start_gateway, call, provider):
    """T5: no more than IDP_MAX_CONCURRENCY calls are under way; beyond the queue it is 503."""
    gateway = await start_gateway(IDP_MAX_CONCURRENCY="2", IDP_MAX_QUEUE="1", IDP_TIMEOUT="60")
    provider.users = {f"user{n}": "p" for n in range(4)}
    provider.gate.clear()
    waiting, misses = [], MEMORY_MISS._value.get()
    for number in range(3):
        caller = await call(gateway)
        await caller.write(request("GET", "/", [basic(f"user{number}", "p")]))
        waiting.append(caller)
    await provider.token_called(2)
    await until(lambda: MEMORY_MISS._value.get() == misses + 3)
    await asyncio.sleep(0.2)  # for the third to stand in line

    refused = await (await call(gateway)).send(request("GET", "/", [basic("user3", "p")]))
    provider.gate.set()

    assert refused.status == 503
    assert [(await caller.read()).status for caller in waiting] == [200, 200, 200]
    await until(lambda: len(provider.token_calls) == 3)
