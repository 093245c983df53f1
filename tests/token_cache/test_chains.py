"""The newest refresh token of each chain: in memory, in Redis, and while Redis is in trouble."""

from __future__ import annotations

import logging
import time

import pytest
import redis

from gateway.errors import ProviderUnavailableError
from gateway.token_cache.chains import PREFIX, TRIES, RefreshChains, Successor
from gateway.token_cache.link import Link
from gateway.token_cache.memory import MemoryCache
from gateway.token_cache.sealing import SealingKeys
from tests.token_cache.topologies import ask

KEY, OLDER = b"k" * 32, b"o" * 32
FIRST, SECOND = Successor(1, "first"), Successor(2, "second")


@pytest.fixture
async def chains():
    """Return a function that opens chains, with the Redis at this URL if there is one."""
    links = []

    def start(url="", *, sleep=None, secrets=(b"s" * 32,), entries=10):
        link = Link.connect(url, timeout=5.0, pause=0.0) if url else None
        links.extend(filter(None, [link]))
        slept = {} if sleep is None else {"sleep": sleep}
        return RefreshChains(MemoryCache(entries, 1000), link, SealingKeys(secrets), **slept)

    yield start
    for link in links:
        await link.aclose()


@pytest.fixture
def now():
    """Return the time of day."""
    return time.time()


async def test_newest_of_several_keys(chains, now):
    """Of what is kept under the keys of several secrets the newest counts."""
    kept = chains()
    await kept.store(OLDER, SECOND, now + 60, now)
    await kept.store(KEY, FIRST, now + 60, now)

    assert SECOND == await kept.find((KEY, OLDER), now)
    assert FIRST == await kept.find((KEY,), now)
    assert await kept.find((b"x" * 32,), now) is None


async def test_ends(chains, shared_redis, now):
    """A chain ends when it was not used for as long as it is kept, in memory and in Redis."""
    kept = chains(shared_redis.url)
    await kept.store(KEY, FIRST, now + 60, now)

    assert FIRST == await kept.find((KEY,), now + 59.9)
    assert await kept.find((KEY,), now + 60) is None


async def test_other_replica(chains, shared_redis, now):
    """What one replica stores the others find, whatever they knew before."""
    one, other = chains(shared_redis.url), chains(shared_redis.url)
    await one.store(KEY, FIRST, now + 60, now)
    await other.store(KEY, SECOND, now + 60, now)

    assert [SECOND, SECOND] == [await each.find((KEY,), now) for each in (one, other)]


async def test_bounded(chains, now):
    """R8: there are so many chains, and the least recently used goes first."""
    kept = chains(entries=2)
    for key in (b"1", b"2", b"3"):
        await kept.store(key, FIRST, now + 60, now)

    assert [None, FIRST, FIRST] == [await kept.find((key,), now) for key in (b"1", b"2", b"3")]


async def test_redis_gone(chains, start_redis, now):
    """Without an answer of Redis it is not known which one is newest, though one is in memory."""
    server = start_redis()
    kept = chains(server.url)
    await kept.store(KEY, FIRST, now + 60, now)
    server.stop()

    with pytest.raises(ProviderUnavailableError):
        await kept.find((KEY,), now)


async def test_stored_when_redis_is_back(chains, start_redis, now):
    """A Redis that does not take it is tried again, and the other replicas find it then."""
    server = start_redis()
    server.stop()
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 3:
            server.start()

    await chains(server.url, sleep=sleep).store(KEY, FIRST, now + 60, now)

    assert 3 <= len(pauses) < TRIES
    assert FIRST == await chains(server.url).find((KEY,), now)


async def test_never_stored(chains, start_redis, now, caplog):
    """What Redis did not take is the newest here all the same, and the log says what it costs."""
    server = start_redis()

    async def sleep(_):
        pass

    kept = chains(server.url, sleep=sleep)
    await kept.store(KEY, FIRST, now + 60, now)
    ask(server, "CONFIG", "SET", "maxmemory-policy", "noeviction")
    ask(server, "CONFIG", "SET", "maxmemory", "1")
    with caplog.at_level(logging.ERROR):
        await kept.store(KEY, SECOND, now + 60, now)
    ask(server, "CONFIG", "SET", "maxmemory", "0")

    assert SECOND == await kept.find((KEY,), now)
    assert FIRST == await chains(server.url).find((KEY,), now)
    assert ["Redis did not take a refresh token"] == [
        record.getMessage().partition(":")[0] for record in caplog.records
        if record.levelno == logging.ERROR
    ]  # fmt: skip
    assert "second" not in caplog.text


@pytest.mark.parametrize("value", [b"garbage", b"", b"\x01" * 80])
async def test_foreign_values(chains, shared_redis, now, value):
    """A9: what does not open is not there."""
    ask(shared_redis, "SET", PREFIX + KEY.hex(), value)

    assert await chains(shared_redis.url).find((KEY,), now) is None


async def test_sealed(chains, shared_redis, now):
    """A4: a value opens under its own key and secret only."""
    kept = chains(shared_redis.url)
    await kept.store(KEY, FIRST, now + 60, now)
    with redis.Redis("127.0.0.1", shared_redis.port) as client:
        sealed = client.get(PREFIX + KEY.hex())
        client.set(PREFIX + OLDER.hex(), sealed)

    assert b"first" not in sealed
    assert await chains(shared_redis.url).find((OLDER,), now) is None
    assert await chains(shared_redis.url, secrets=(b"x" * 32,)).find((KEY,), now) is None
    assert FIRST == await chains(shared_redis.url, secrets=(b"x" * 32, b"s" * 32)).find((KEY,), now)


def test_not_shown():
    """L1: the refresh token is not in the representation."""
    assert "first" not in repr(FIRST)
    assert Successor.read(FIRST.write()) == FIRST
