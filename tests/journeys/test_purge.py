"""DELETE /cache: what was cached is asked for again, on every replica."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.fakes.caller import basic, request
from tests.journeys.refreshing import while_redis_answers

JOHN = basic("john", "doe")
SERVICE = basic("service", "service-secret")
SECRET = "n" * 32


async def purge(gateway, query=""):
    """Purge and return what the admin port answers."""
    url = f"http://127.0.0.1:{gateway.admin_port}/cache{query}"
    async with aiohttp.ClientSession() as session, session.delete(url) as response:
        return response.status, await response.json()


@pytest.mark.parametrize(
    ("query", "again"),
    [
        pytest.param("", ["john", "service"], id="everything"),
        pytest.param("?user=john", ["john"], id="one user"),
        pytest.param("?user=nobody", [], id="a user who is not there"),
    ],
)
async def test_in_memory(start_gateway, call, provider, query, again):
    """A7: after a purge the next request of who was purged is a login again."""
    gateway = await start_gateway()
    caller = await call(gateway)
    for pair in (JOHN, SERVICE):
        await caller.send(request("GET", "/", [pair]))
    before = len(provider.token_calls)

    answer = await purge(gateway, query)
    for pair in (JOHN, SERVICE):
        assert (await caller.send(request("GET", "/", [pair]))).status == 200

    assert answer == (200, {"purged": len(again)})
    assert len(provider.token_calls) - before >= len(again)
    assert (len(provider.token_calls) == before) is (again == [])


@pytest.mark.parametrize("query", ["", "?user=JOHN"])
@while_redis_answers
async def test_on_every_replica(start_gateway, call, provider, start_redis, query):
    """A7: a purge on one replica reaches Redis and the memory of the others."""
    settings = {"REDIS_URL": start_redis().url, "CACHE_SECRET": SECRET}
    first, second = [await start_gateway(**settings) for _ in range(2)]
    callers = [await call(gateway) for gateway in (first, second)]
    for caller in callers:
        await caller.send(request("GET", "/", [JOHN]))
    assert len(provider.token_calls) == 1

    answer = await purge(first, query)
    async with asyncio.timeout(20):
        while len(provider.token_calls) == 1:
            assert (await callers[1].send(request("GET", "/", [JOHN]))).status == 200

    assert answer == (200, {"purged": 1})


async def test_redis_gone(start_gateway, call, provider, start_redis):
    """A13: without its Redis the gateway purges itself and says that it may not be enough."""
    redis = start_redis()
    gateway = await start_gateway(REDIS_URL=redis.url, CACHE_SECRET=SECRET)
    caller = await call(gateway)
    await caller.send(request("GET", "/", [JOHN]))
    redis.stop()

    status, document = await purge(gateway)
    assert (await caller.send(request("GET", "/", [JOHN]))).status == 200

    assert (status, document["purged"], document["error"]) == (503, 1, "cache_unavailable")
    assert len(provider.token_calls) == 2


@pytest.fixture
async def pair(start_gateway, start_redis):
    """Return two gateways that share a Redis."""
    settings = {"REDIS_URL": start_redis().url, "CACHE_SECRET": SECRET}
    return [await start_gateway(**settings) for _ in range(2)]


def logins(provider):
    """Return who was logged in at the provider, clients by their id, in order."""
    return [
        call.form.get("username", call.client_id)
        for call in provider.token_calls
        if call.form.get("username") != "service"
    ]


async def ask_until_logged_in(caller, provider, count):
    """Send John's requests until the provider has seen so many logins."""
    async with asyncio.timeout(20):
        while len(logins(provider)) < count:
            assert (await caller.send(request("GET", "/", [JOHN]))).status == 200


@pytest.mark.parametrize(
    ("query", "purged", "again"),
    [
        pytest.param("?user=john", 1, ["john"], id="one-user"),
        pytest.param("", 2, ["john", "service"], id="everything"),
    ],
)
@while_redis_answers
async def test_who_is_purged_on_both_replicas(pair, call, provider, query, purged, again):
    """A7: after a purge on one replica both ask again for who was purged, and for nobody else."""
    callers = [await call(gateway) for gateway in pair]
    for caller in callers:
        for each in (JOHN, SERVICE):
            assert (await caller.send(request("GET", "/", [each]))).status == 200
    before = len(logins(provider))

    answer = await purge(pair[0], query)
    await ask_until_logged_in(callers[1], provider, before + 1)
    for caller in callers:
        for each in (JOHN, SERVICE):
            assert (await caller.send(request("GET", "/", [each]))).status == 200

    assert answer == (200, {"purged": purged})
    assert sorted(logins(provider)[before:]) == again


@pytest.mark.parametrize("query", ["", "?user=john"], ids=["everything", "one-user"])
@pytest.mark.parametrize("asked", [0, 1], ids=["on-the-other", "where-it-began"])
@while_redis_answers
async def test_a_login_begun_before_leaves_nothing(pair, call, provider, query, asked):
    """A7: a login under way on one replica while another purges serves its caller and no more."""
    provider.gate.clear()
    begun = asyncio.create_task((await call(pair[1])).send(request("GET", "/", [JOHN])))
    await provider.token_called(1)

    answer = await purge(pair[0], query)
    provider.gate.set()

    assert (await begun).status == 200
    assert answer == (200, {"purged": 0})
    await ask_until_logged_in(await call(pair[asked]), provider, 2)


async def test_a_wrong_password_may_be_right_after_a_purge(gateway, call, provider):
    """A8, A7: a purge forgets refusals too: a password set a moment ago works at once."""
    caller = await call(gateway)
    changed = basic("john", "changed")
    assert (await caller.send(request("GET", "/", [changed]))).status == 401
    provider.users["john"] = "changed"
    assert (await caller.send(request("GET", "/", [changed]))).status == 401

    await purge(gateway, "?user=john")

    assert (await caller.send(request("GET", "/", [changed]))).status == 200


@pytest.mark.parametrize(
    ("method", "query", "status"),
    [
        pytest.param("DELETE", "?usr=john", 400, id="misspelled"),
        pytest.param("DELETE", "?user=john&all=1", 400, id="one-more"),
        pytest.param("DELETE", "?user=", 400, id="nobody"),
        pytest.param("GET", "", 405, id="get"),
        pytest.param("POST", "?user=john", 405, id="post"),
    ],
)
async def test_what_is_no_purge(gateway, call, provider, method, query, status):
    """A7: what is not clear is refused and purges nothing."""
    caller = await call(gateway)
    await caller.send(request("GET", "/", [JOHN]))
    url = f"http://127.0.0.1:{gateway.admin_port}/cache{query}"

    async with aiohttp.ClientSession() as session, session.request(method, url) as response:
        assert status == response.status
    assert (await caller.send(request("GET", "/", [JOHN]))).status == 200

    assert logins(provider) == ["john"]
