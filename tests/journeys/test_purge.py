"""DELETE /cache: what was cached is asked for again, on every replica."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.fakes.caller import basic, request

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
