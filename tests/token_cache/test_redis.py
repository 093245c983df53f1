from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis

from gateway.token_cache.redis import KEY_PREFIX, RedisTokenCache
from gateway.token_cache.sealing import Opened, SealingKeys
from tests.token_cache.asking import look, put

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.token_cache.redis_server import RedisServer

NOW = 1_700_000_000.0
KEYS = SealingKeys([b"n" * 32])
MAKER = KEYS.deriver(
    issuer="https://sso.example", token_endpoint="t", client_id="gw", scope="openid", audience=""
)
ALICE = MAKER.key("password", "alice", "CANARY-secret")
BOB = MAKER.key("password", "bob", "secret")


@pytest.fixture
async def raw(shared_redis: RedisServer) -> AsyncIterator[Redis]:
    """Return a plain client of an empty server."""
    async with Redis.from_url(shared_redis.url, protocol=2) as client:
        await client.flushall()
        yield client


@pytest.fixture
async def cache(raw: Redis, shared_redis: RedisServer) -> AsyncIterator[RedisTokenCache]:
    """Return a cache on that server, given time enough for a busy machine."""
    cache = RedisTokenCache.connect(shared_redis.url, KEYS, timeout=5.0)
    yield cache
    await cache.aclose()


def name(key: bytes) -> str:
    """Return the key's name in Redis."""
    return KEY_PREFIX + key.hex()


async def test_found(cache: RedisTokenCache) -> None:
    """What was stored is found under its key, with its expiry, and under no other key."""
    await put(cache, ALICE, b"token", NOW + 60, NOW)
    assert await look(cache, [ALICE], NOW) == Opened(b"token", NOW + 60)
    assert await look(cache, [BOB], NOW) is None
    assert (cache.failures, cache.rejected) == (0, 0)
    assert await cache.ping() is True


async def test_no_keys_wanted(cache: RedisTokenCache) -> None:
    """Asking for nothing finds nothing and is a failure of nobody but Redis' grammar."""
    assert await look(cache, [], NOW) is None


async def test_shared(cache: RedisTokenCache, shared_redis: RedisServer) -> None:
    """What one gateway stores another one with the same secret finds."""
    other = RedisTokenCache.connect(shared_redis.url, KEYS, timeout=5.0)
    await put(cache, ALICE, b"token", NOW + 60, NOW)
    assert await look(other, [ALICE], NOW) == Opened(b"token", NOW + 60)
    await other.aclose()


async def test_rotation(cache: RedisTokenCache, shared_redis: RedisServer) -> None:
    """A3: during a rotation the older key is asked for in the same call and found."""
    keys = SealingKeys([b"r" * 32, b"n" * 32])
    maker = keys.deriver(
        issuer="https://sso.example",
        token_endpoint="t",
        client_id="gw",
        scope="openid",
        audience="",
    )
    pair = ("password", "alice", "CANARY-secret")
    during = RedisTokenCache.connect(shared_redis.url, keys, timeout=5.0)
    await put(cache, ALICE, b"token", NOW + 60, NOW)
    assert await look(during, [maker.key(*pair), *maker.older_keys(*pair)], NOW) == Opened(
        b"token", NOW + 60
    )
    await put(during, maker.key(*pair), b"newer", NOW + 60, NOW)
    found = await look(during, [maker.key(*pair), *maker.older_keys(*pair)], NOW)
    assert found == Opened(b"newer", NOW + 60)
    await during.aclose()


async def test_redis_forgets(cache: RedisTokenCache, raw: Redis) -> None:
    """A5: Redis is told when the value expires, to the millisecond."""
    await put(cache, ALICE, b"token", NOW + 60.5, NOW)
    assert 0 < await raw.pttl(name(ALICE)) <= 60_500


@pytest.mark.parametrize("life", [0.0, -1.0, 0.0004])
async def test_nothing_left_to_live(cache: RedisTokenCache, raw: Redis, life: float) -> None:
    """A5: what has expired, or would within a millisecond, is not stored."""
    await put(cache, ALICE, b"token", NOW + life, NOW)
    assert await raw.dbsize() == 0


async def test_redis_that_lost_its_expiries(cache: RedisTokenCache, raw: Redis) -> None:
    """A5: F13: a value that outlived its expiry in Redis is a miss."""
    await put(cache, ALICE, b"token", NOW + 60, NOW)
    await raw.persist(name(ALICE))
    assert await look(cache, [ALICE], NOW + 61) is None


async def test_flushed(cache: RedisTokenCache, raw: Redis) -> None:
    """F12: after FLUSHALL everything is a miss and nothing a failure."""
    await put(cache, ALICE, b"token", NOW + 60, NOW)
    await raw.flushall()
    assert await look(cache, [ALICE], NOW) is None
    assert cache.failures == 0


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="empty"),
        pytest.param(KEYS.seal(ALICE, b"token", NOW + 60)[:-1], id="truncated"),
        pytest.param(KEYS.seal(BOB, b"token", NOW + 60), id="foreign"),
        pytest.param(SealingKeys([b"x" * 32]).seal(ALICE, b"t", NOW + 60), id="other-secret"),
        pytest.param(b"\x00" + KEYS.seal(ALICE, b"token", NOW + 60)[1:], id="older-format"),
        pytest.param(b"\xff\xfe garbage \r\n$-1\r\n", id="garbage"),
    ],
)
async def test_values_that_do_not_open(
    cache: RedisTokenCache, raw: Redis, value: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A4: A13: such a value is a miss, is counted, and is warned about once."""
    await raw.set(name(ALICE), value)
    assert await look(cache, [ALICE], NOW) is None
    assert await look(cache, [ALICE], NOW) is None
    assert (cache.failures, cache.rejected) == (0, 2)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    await put(cache, ALICE, b"token", NOW + 60, NOW)
    assert await look(cache, [ALICE], NOW) == Opened(b"token", NOW + 60)


async def test_value_of_another_type(cache: RedisTokenCache, raw: Redis) -> None:
    """A13: a list where a string should be is a miss, and the next store replaces it."""
    await raw.rpush(name(ALICE), "a", "b")
    assert await look(cache, [ALICE], NOW) is None
    await put(cache, ALICE, b"token", NOW + 60, NOW)
    assert await look(cache, [ALICE], NOW) == Opened(b"token", NOW + 60)


async def test_values_swapped(cache: RedisTokenCache, raw: Redis) -> None:
    """A4: A13: the value of bob under the key of alice opens for nobody."""
    await put(cache, BOB, b"token of bob", NOW + 60, NOW)
    await raw.rename(name(BOB), name(ALICE))
    assert await look(cache, [ALICE], NOW) is None
    assert cache.rejected == 1


async def test_what_redis_sees(cache: RedisTokenCache, raw: Redis, shared_redis) -> None:
    """A4: A13: keys and dump show HMACs under a prefix: no token, user name or password."""
    await put(cache, ALICE, b'{"access_token": "eyJhbGciOi"}', NOW + 60, NOW)
    await raw.config_set("rdbcompression", "no")
    await raw.save()
    dump = shared_redis.dump.read_bytes()
    assert await raw.keys("*") == [name(ALICE).encode()]
    assert name(ALICE).encode() in dump
    assert [word for word in (b"eyJ", b"alice", b"CANARY", b"access_token") if word in dump] == []


async def test_handshake(shared_redis: RedisServer, raw: Redis) -> None:
    """A first question costs a connection and nothing else: no HELLO, no CLIENT SETINFO."""
    cache = RedisTokenCache.connect(shared_redis.url, KEYS, timeout=5.0)
    seen = []
    async with raw.monitor() as monitor:
        await look(cache, [ALICE], NOW)
        async for command in monitor.listen():
            seen.append(command["command"].split()[0])
            if seen[-1] == "MGET":
                break
    await cache.aclose()
    assert seen == ["MGET"]


async def test_cancelled_calls(cache: RedisTokenCache, raw: Redis) -> None:
    """A13: F16: CVE-2023-28858: 10,000 look-ups cancelled at random points, no foreign value.

    And each of them ends as cancelled: the caller's leaving is not swallowed on the way.
    """
    names = [f"user{number}" for number in range(50)]
    keys = {user: MAKER.key("password", user, "secret") for user in names}
    for user, key in keys.items():
        await put(cache, key, user.encode(), NOW + 60, NOW)
    chance = random.Random(28858)  # noqa: S311 - a fixed schedule, not a secret
    cancelled = []
    while len(cancelled) < 10_000:
        chosen = chance.choices(names, k=60)
        tasks = [asyncio.create_task(look(cache, [keys[user]], NOW)) for user in chosen]
        leaving = {task: chance.randrange(4) for task in tasks[::2]}
        for moment in range(4):
            await asyncio.sleep(0)
            cancelled += [task for task in leaving if leaving[task] == moment and task.cancel()]
        await asyncio.gather(*tasks, return_exceptions=True)
        finished = {task: user for task, user in zip(tasks, chosen, strict=True) if task.done()}
        answers = [(t.result(), user) for t, user in finished.items() if not t.cancelled()]
        assert answers == [(Opened(user.encode(), NOW + 60), user) for _, user in answers]
    assert all(task.cancelled() for task in cancelled)
    assert (cache.failures, cache.rejected) == (0, 0)


async def test_more_askers_than_connections(cache: RedisTokenCache, raw: Redis) -> None:
    """R8: a thousand look-ups at once share the bounded pool and all are answered."""
    await put(cache, ALICE, b"token", NOW + 60, NOW)
    answers = await asyncio.gather(*(look(cache, [ALICE], NOW) for _ in range(1000)))
    assert answers == [Opened(b"token", NOW + 60)] * 1000
    assert (await raw.info("clients"))["connected_clients"] <= 33


async def test_unix_socket(shared_redis: RedisServer, raw: Redis) -> None:
    """A unix:// URL reaches the server through its socket file."""
    cache = RedisTokenCache.connect(f"unix://{shared_redis.socket}?db=1", KEYS, timeout=5.0)
    await put(cache, ALICE, b"token", NOW + 60, NOW)
    assert await look(cache, [ALICE], NOW) == Opened(b"token", NOW + 60)
    await cache.aclose()


async def test_repr_and_log(caplog: pytest.LogCaptureFixture) -> None:
    """L1: L2: the URL's password is in no repr and in no log line, at any level."""
    caplog.set_level(logging.DEBUG)
    cache = RedisTokenCache.connect("redis://user:CANARY@127.0.0.1:1/0", KEYS)
    await look(cache, [ALICE], NOW)
    await cache.aclose()
    assert "CANARY" not in repr(cache) + caplog.text
    assert cache.failures == 1
