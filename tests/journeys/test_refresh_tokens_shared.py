"""Refresh tokens on several gateways with one Redis: whoever is asked, one chain."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack

import pytest
import redis

from gateway.app import Gateway
from gateway.metrics import REDIS_MISS
from gateway.settings import load
from tests.fakes.caller import RawCaller, basic, request
from tests.fakes.waiting import until, until_told
from tests.journeys.refreshing import ask, served, spent, two_sessions, while_redis_answers
from tests.journeys.running import RunningGateway
from tests.token_cache.topologies import ask as ask_redis

METHOD = {
    "AUTH_METHODS": "password,refresh_token",
    "REFRESH_TOKEN_PARAM_NAME": "X-Refresh-Token",
    "CACHE_SECRET": "s" * 32,
    "IDP_TIMEOUT": "30",
}
UNCACHED = {**METHOD, "CACHE_TTL_MAX": "0"}
LOOKED = 'bearergate_cache_lookups_total{outcome="miss",tier="redis"}'


@pytest.fixture
async def provider(provider):
    """Return a provider that rotates, and where two people have logged in already."""
    return two_sessions(provider)


async def more(gateway, looked):
    """Tell whether it has looked into Redis again."""
    return await gateway.counted(LOOKED) > looked


@pytest.fixture
async def pair(start_gateway, start_redis):
    """Return a function that starts two gateways with one Redis."""

    async def start(**settings):
        url = start_redis().url
        return [await start_gateway(REDIS_URL=url, **settings) for _ in range(2)]

    return start


@while_redis_answers
async def test_one_redemption_for_all(pair, provider):
    """A10: a crowd on two replicas redeems a refresh token once, and so does who comes later."""
    gateways = await pair(**METHOD)

    statuses = await asyncio.gather(*(ask(gateways[n % 2]) for n in range(40)))

    assert [200] * 40 == statuses
    assert ["marys-first"] == spent(provider)


@while_redis_answers
async def test_chain_over_replicas(pair, provider):
    """T7: each replica goes on where the other stopped, and no refresh token is sent twice."""
    gateways = await pair(**UNCACHED)

    statuses = [await ask(gateways[n % 2]) for n in range(6)]
    statuses += await asyncio.gather(*(ask(gateways[n % 2]) for n in range(20)))

    assert [200] * 26 == statuses
    assert len(set(spent(provider))) == len(spent(provider))


@while_redis_answers
async def test_chains_of_two_clients(start_gateway, start_redis, provider):
    """D7: what one client's refresh token became is never sent by another client."""
    settings = UNCACHED | {"REDIS_URL": start_redis().url}
    assert 200 == await ask(await start_gateway(**settings))

    other = {"CLIENT_ID": "service", "CLIENT_SECRET": "service-secret"}
    assert 401 == await ask(await start_gateway(**settings | other))

    assert ["marys-first", "marys-first"] == spent(provider)


@pytest.mark.parametrize("user", ["?user=mary", ""], ids=["user", "everything"])
@while_redis_answers
async def test_purged_on_every_replica(pair, call, provider, user):
    """A7: a purge on one replica reaches the other's memory, and the chain goes on."""
    gateways = await pair(**METHOD)
    assert [200, 200] == [await ask(each) for each in gateways]
    async with RawCaller(gateways[0].admin_port) as admin:
        purged = (await admin.send(request("DELETE", f"/cache{user}"))).json()
    async with asyncio.timeout(20):
        while len(spent(provider)) == 1:
            assert 200 == await ask(gateways[1])

    assert {"purged": 1} == purged
    assert 2 == len(set(spent(provider))) == len(spent(provider))


@while_redis_answers
async def test_purged_while_it_is_redeemed(start_gateway, start_redis, provider):
    """A7: what a redemption begun before a purge brings is not kept, and it stays the only one."""
    server = start_redis()
    gateways = [await start_gateway(REDIS_URL=server.url, **METHOD) for _ in range(2)]
    provider.gate.clear()
    first = asyncio.create_task(ask(gateways[0]))
    await provider.token_called(1)
    async with RawCaller(gateways[0].admin_port) as admin:
        await admin.send(request("DELETE", "/cache?user=mary"))
    before = REDIS_MISS._value.get()
    second = asyncio.create_task(ask(gateways[1]))
    await until(lambda: REDIS_MISS._value.get() > before)
    await asyncio.sleep(0.2)  # for what it must not do: take a lease of its own
    assert 1 == len(ask_redis(server, "KEYS", "bearergate:2:f:*:lease"))
    assert ["marys-first"] == spent(provider)
    provider.gate.set()

    assert [200, 200] == [await first, await second]
    assert 2 == len(set(spent(provider))) == len(spent(provider))


@pytest.mark.parametrize("silent", ["stopped", "hanging"])
async def test_redis_silent(start_gateway, start_redis, provider, silent):
    """With a Redis that says nothing a refresh token is 503 and not spent; pairs go on."""
    server = start_redis()
    gateway = await start_gateway(REDIS_URL=server.url, **UNCACHED)
    await until_told(lambda: served(gateway), within=60)
    before = spent(provider)
    server.stop() if silent == "stopped" else server.pause()

    statuses = [await ask(gateway) for _ in range(3)]

    assert [503] * 3 == statuses
    assert before == spent(provider)
    assert 200 == await ask(gateway, request("GET", "/", [basic("john", "doe")]))
    if silent == "hanging":
        server.resume()
        await until_told(lambda: served(gateway), within=60)
        sent = [each for each in spent(provider) if each]
        assert len(before) < len(sent) == len(set(sent))


async def test_cached_without_redis(start_gateway, start_redis, provider):
    """A13: whose access token is in memory notices nothing of a Redis that is gone."""
    server = start_redis()
    gateway = await start_gateway(REDIS_URL=server.url, **METHOD)
    await until_told(lambda: served(gateway), within=60)
    server.stop()

    assert [200, 200] == [await ask(gateway) for _ in range(2)]
    assert ["marys-first"] == spent(provider)


async def test_what_redis_did_not_take(start_gateway, start_redis, provider):
    """Redis hangs while the provider answers: the new refresh token is stored when it is back."""
    server = start_redis()
    gateways = [await start_gateway(REDIS_URL=server.url, **UNCACHED) for _ in range(2)]
    for each in gateways:  # with a connection to Redis from now on
        await until_told(lambda gateway=each: served(gateway), within=60)
    before = len(spent(provider))
    provider.gate.clear()
    first = asyncio.create_task(ask(gateways[0]))
    await provider.token_called(before + 1)
    server.pause()
    held = provider.sessions.copy()
    provider.gate.set()
    await until(lambda: provider.sessions != held)
    server.resume()

    assert 200 == await first
    await until_told(lambda: served(gateways[1]), within=60)
    assert before + 2 == len(set(spent(provider))) == len(spent(provider))


@while_redis_answers
async def test_secrets_are_rotated(start_gateway, start_redis, provider):
    """A9: a chain is found under the old CACHE_SECRET, and from then on under the new one."""
    url, old, new = start_redis().url, "o" * 32, "n" * 32
    settings = UNCACHED | {"REDIS_URL": url}
    for secret in (old, f"{old},{new}", f"{new},{old}", new):
        assert 200 == await ask(await start_gateway(**settings | {"CACHE_SECRET": secret}))

    assert 4 == len(set(spent(provider))) == len(spent(provider))


@while_redis_answers
async def test_secrets_are_rotated_at_once(start_gateway, start_redis, provider):
    """A9: replicas that have both secrets, in whatever order, take turns with a chain."""
    url, old, new = start_redis().url, "o" * 32, "n" * 32
    gateways = [
        await start_gateway(**UNCACHED | {"REDIS_URL": url, "CACHE_SECRET": secret})
        for secret in (f"{old},{new}", f"{new},{old}")
    ]

    statuses = await asyncio.gather(*(ask(gateways[n % 2]) for n in range(20)))

    assert [200] * 20 == statuses
    assert len(set(spent(provider))) == len(spent(provider))


@while_redis_answers
async def test_nothing_readable_in_redis(start_gateway, start_redis, provider):
    """L1, A4: neither the caller's refresh token nor its successor is in Redis in clear."""
    server = start_redis()
    gateway = await start_gateway(REDIS_URL=server.url, **METHOD)
    assert 200 == await ask(gateway)

    with redis.Redis("127.0.0.1", server.port) as client:
        names = list(client.scan_iter(b"*"))
        values = [client.dump(name) for name in names]
        (chain,) = [name for name in names if name.startswith(b"bearergate:2:r:")]
        left = client.pttl(chain)
    secrets = [token.encode() for token in ("marys-first", *provider.sessions)]
    assert [] == [each for each in secrets for text in (*names, *values) if each in text]
    assert 1_209_000_000 < left <= 1_209_600_000


@while_redis_answers
async def test_kept_from_its_last_use(start_gateway, start_redis, provider):
    """A chain that does not move is kept from its last use too."""
    server = start_redis()
    gateway = await start_gateway(REDIS_URL=server.url, **UNCACHED)
    assert 200 == await ask(gateway)
    (chain,) = ask_redis(server, "KEYS", "bearergate:2:r:*")
    ask_redis(server, "PEXPIRE", chain, 60_000)
    provider.refresh_tokens = False

    assert 200 == await ask(gateway)

    assert 1_209_000_000 < ask_redis(server, "PTTL", chain) <= 1_209_600_000


@while_redis_answers
async def test_a_gateway_that_stops(start_redis, provider, upstream):
    """A drain waits for the provider's answer, so that another replica can go on with the chain."""
    environ = {
        **UNCACHED,
        "ISSUER": provider.issuer,
        "CLIENT_ID": provider.client_id,
        "CLIENT_SECRET": provider.client_secret,
        "UPSTREAM_URL": upstream.url,
        "REDIS_URL": start_redis().url,
        "HOST": "127.0.0.1",
        "PORT": "0",
        "ADMIN_PORT": "0",
        "SHUTDOWN_GRACE": "0",
    }
    loaded = load(None, dict(environ))
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(Gateway(loaded.settings, loaded.routes))
        provider.gate.clear()
        asked = asyncio.create_task(ask(first))
        await provider.token_called(1)
        closing = asyncio.create_task(stack.aclose())
        assert 0 == await asked  # its connection is cut
        await asyncio.sleep(0.2)  # for what it must not do: give the answer up
        provider.gate.set()
        await closing

    async with Gateway(loaded.settings, loaded.routes) as second:
        assert 200 == await ask(second)
    assert 2 == len(set(spent(provider))) == len(spent(provider))


async def test_a_replica_that_is_killed(start_redis, provider, upstream):
    """R6: who waited for a replica that died is 503 and sends nothing; its next request does."""
    settings = {
        **UNCACHED,
        "ISSUER": provider.issuer,
        "CLIENT_ID": provider.client_id,
        "CLIENT_SECRET": provider.client_secret,
        "UPSTREAM_URL": upstream.url,
        "REDIS_URL": start_redis().url,
    }
    async with RunningGateway(**settings) as leader, RunningGateway(**settings) as other:
        for each in (leader, other):  # with a connection to Redis from now on
            await until_told(lambda gateway=each: served(gateway), within=60)
        before, looked = len(spent(provider)), await other.counted(LOOKED)
        provider.gate.clear()
        first = asyncio.create_task(ask(leader))
        await provider.token_called(before + 1)
        waiting = asyncio.create_task(ask(other))
        await until_told(lambda: more(other, looked), within=60)  # then it asks for the lease
        leader.signal(signal.SIGKILL)
        await leader.exited()
        await first

        assert 503 == await waiting
        assert before + 1 == len(spent(provider))
        held = provider.sessions.copy()
        provider.gate.set()
        await until(lambda: provider.sessions != held)
        assert 401 == await ask(other)
