"""Token sets shared through Redis: sealed, verified again by each gateway, and never needed."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.fakes.caller import basic, request

JOHN = basic("john", "doe")
SERVICE = basic("service", "service-secret")
OLD, NEW = "o" * 32, "n" * 32


@pytest.fixture
def redis(start_redis):
    """Return a Redis of the test's own."""
    return start_redis()


async def stored(redis):
    """Return everything Redis holds, keys and values."""
    from redis.asyncio import Redis  # noqa: PLC0415 - the fixture has its name

    client = Redis.from_url(redis.url)
    keys = await client.keys("*")
    values = [await client.dump(key) for key in keys]
    await client.aclose()
    return keys + values


@pytest.mark.parametrize(
    "pair", [pytest.param(JOHN, id="user"), pytest.param(SERVICE, id="client")]
)
async def test_one_login_for_two_gateways(start_gateway, call, provider, redis, written, pair):
    """What one gateway was told, another with the same CACHE_SECRET need not ask again."""
    settings = {"REDIS_URL": redis.url, "CACHE_SECRET": NEW}
    first = await call(await start_gateway(**settings))
    second = await call(await start_gateway(**settings))

    await first.send(request("GET", "/", [pair]))
    calls = len(provider.token_calls)
    responses = [await second.send(request("GET", "/", [pair])) for _ in range(2)]

    assert [response.status for response in responses] == [200, 200]
    assert calls == len(provider.token_calls)
    lines = [line for line in written() if line["logger"] == "gateway.access"]
    assert [line["cache"] for line in lines] == ["provider", "redis", "memory"]
    assert len({line["grant"] for line in lines}) == 1


async def test_redis_holds_nothing_readable(start_gateway, call, provider, redis):
    """A4: neither keys nor values show a user, a password or a token."""
    caller = await call(await start_gateway(REDIS_URL=redis.url, CACHE_SECRET=NEW))
    await caller.send(request("GET", "/", [JOHN]))

    dump = b"\n".join(await stored(redis))

    assert dump
    assert [word for word in (b"john", b"doe", b"eyJ", b"access_token") if word in dump] == []


async def test_other_secret_other_cache(start_gateway, call, provider, redis):
    """A2, A3: with another CACHE_SECRET what is stored is a miss, never an error."""
    for secret in (OLD, NEW):
        caller = await call(await start_gateway(REDIS_URL=redis.url, CACHE_SECRET=secret))
        assert (await caller.send(request("GET", "/", [JOHN]))).status == 200

    assert len(provider.token_calls) == 2


async def test_secret_rotation(start_gateway, call, provider, redis):
    """A3: with `new,old` what was stored under the old secret is still found."""
    before = await call(await start_gateway(REDIS_URL=redis.url, CACHE_SECRET=OLD))
    during = await call(await start_gateway(REDIS_URL=redis.url, CACHE_SECRET=f"{NEW},{OLD}"))

    await before.send(request("GET", "/", [JOHN]))
    response = await during.send(request("GET", "/", [JOHN]))

    assert response.status == 200
    assert len(provider.token_calls) == 1


async def test_stored_token_is_verified_again(start_gateway, call, provider, redis):
    """A6: a stored token by a key the provider withdrew is a miss for the next gateway."""
    settings = {"REDIS_URL": redis.url, "CACHE_SECRET": NEW}
    await (await call(await start_gateway(**settings))).send(request("GET", "/", [JOHN]))
    provider.rotate(keep_old=False)

    response = await (await call(await start_gateway(**settings))).send(request("GET", "/", [JOHN]))

    assert response.status == 200
    assert len(provider.token_calls) == 2


@pytest.mark.parametrize("fault", ["stop", "pause"])
async def test_redis_is_never_the_reason(start_gateway, call, provider, redis, fault):
    """A13: with Redis gone or hanging, callers are served by the provider and from memory."""
    gateway = await start_gateway(REDIS_URL=redis.url, CACHE_SECRET=NEW)
    caller = await call(gateway)
    getattr(redis, fault)()

    statuses = [(await caller.send(request("GET", "/", [JOHN]))).status for _ in range(3)]

    assert statuses == [200, 200, 200]
    assert len(provider.token_calls) == 1


async def test_readiness_tells_about_redis(start_gateway, redis):
    """A gateway whose Redis is gone says so and stays ready: it works without."""
    gateway = await start_gateway(REDIS_URL=redis.url, CACHE_SECRET=NEW)
    url = f"http://127.0.0.1:{gateway.admin_port}/readyz"

    async with aiohttp.ClientSession() as session:
        async with session.get(url) as response:
            before = response.status, (await response.json())["cache"]
        redis.stop()
        async with session.get(url) as response:
            after = response.status, (await response.json())["cache"]

    assert (before, after) == ((200, "reachable"), (200, "not reachable"))


async def test_passing_it_on_does_not_prolong_it(start_gateway, call, provider, redis):
    """A5, A7: CACHE_TTL_MAX counts from the login, however many gateways read it from Redis."""
    settings = {"REDIS_URL": redis.url, "CACHE_SECRET": NEW, "CACHE_TTL_MAX": "4"}
    first, second = [await call(await start_gateway(**settings)) for _ in range(2)]
    await first.send(request("GET", "/", [JOHN]))
    await asyncio.sleep(1.5)
    await second.send(request("GET", "/", [JOHN]))
    assert len(provider.token_calls) == 1
    await asyncio.sleep(2.7)

    await second.send(request("GET", "/", [JOHN]))

    assert len(provider.token_calls) == 2
