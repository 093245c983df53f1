"""Redis in trouble behind a running gateway: nobody in memory notices, everybody is served."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from tests.fakes.caller import basic, request

JOHN, ANNA, EVE = (basic(name, name) for name in ("john", "anna", "eve"))
SECRET = "s" * 32


async def flush(client):
    """Forget everything (F12)."""
    await client.flushall()


async def require_password(client):
    """Ask for a password nobody was told (NOAUTH), and drop who is connected."""
    await client.config_set("requirepass", "another")
    await client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


async def fill_with_garbage(client):
    """Put foreign values and values of another type under the gateway's names."""
    for number, key in enumerate(await client.keys("bearergate:*")):
        await client.delete(key)
        await (client.set(key, b"garbage") if number % 2 else client.lpush(key, b"x"))


async def refuse_writes(client):
    """Take no more memory (OOM)."""
    await client.config_set("maxmemory", "1")
    await client.config_set("maxmemory-policy", "noeviction")


async def become_a_replica(client):
    """Refuse writes as a primary does after a failover (READONLY)."""
    await client.replicaof("127.0.0.1", "1")


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(flush, id="F12-flushall"),
        pytest.param(require_password, id="A13-noauth"),
        pytest.param(fill_with_garbage, id="A13-garbage"),
        pytest.param(refuse_writes, id="A13-oom"),
        pytest.param(become_a_replica, id="A13-readonly"),
    ],
)
async def test_fault(start_gateway, call, provider, start_redis, fault):
    """A13: cached callers cost no call, others are served by the provider, and nobody sees it."""
    provider.users = {name: name for name in ("john", "anna", "eve")}
    redis = start_redis()
    settings = {"REDIS_URL": redis.url, "CACHE_SECRET": SECRET}
    first = await call(await start_gateway(**settings))
    second = await call(await start_gateway(**settings))
    await first.send(request("GET", "/", [JOHN]))
    await first.send(request("GET", "/", [ANNA]))
    await second.send(request("GET", "/", [ANNA]))
    async with Redis(port=redis.port) as client:
        await fault(client)

    in_memory = [(await first.send(request("GET", "/", [JOHN]))).status for _ in range(20)]
    others = [
        (await caller.send(request("GET", "/", [pair]))).status
        for caller in (first, second)
        for pair in (JOHN, ANNA, EVE)
    ]

    assert in_memory == [200] * 20
    assert others == [200] * 6
    calls = [call.form["username"] for call in provider.token_calls]
    assert calls.count("anna") == 1
    assert calls.count("john") <= 2
    assert calls.count("eve") <= 2


async def test_recovery(start_gateway, call, provider, start_redis):
    """F9: a Redis that comes back is used again, without a restart of the gateway."""
    provider.users = {f"user{number}": "p" for number in range(40)}
    redis = start_redis()
    settings = {"REDIS_URL": redis.url, "CACHE_SECRET": SECRET}
    first = await call(await start_gateway(**settings))
    second = await call(await start_gateway(**settings))
    redis.stop()
    assert (await first.send(request("GET", "/", [basic("user0", "p")]))).status == 200
    redis.start()

    for name in list(provider.users)[1:]:
        calls = len(provider.token_calls)
        for caller in (first, second):
            assert (await caller.send(request("GET", "/", [basic(name, "p")]))).status == 200
        if len(provider.token_calls) == calls + 1:
            return
        await asyncio.sleep(0.2)
    raise AssertionError("Redis is not used again")
