"""Redis behind Sentinel: the primary by its name, through failovers (A13, F14)."""

from __future__ import annotations

import asyncio

import pytest

from gateway.token_cache.redis import RedisTokenCache
from gateway.token_cache.sealing import Opened, SealingKeys
from tests.peers.children import free_port
from tests.token_cache.asking import look, put
from tests.token_cache.topologies import MASTER, Sentinels, ask, require_redis

NOW = 1_700_000_000.0
KEYS = SealingKeys([b"n" * 32])
ALICE, BOB = b"a" * 32, b"b" * 32
PAUSE = 0.1


def connect(url: str) -> RedisTokenCache:
    """Return a cache that is asked again soon after a failure."""
    return RedisTokenCache.connect(url, KEYS, timeout=1.0, pause=PAUSE)


async def until_stored(cache: RedisTokenCache) -> Opened:
    """Store and look up until there is an answer."""
    async with asyncio.timeout(30):
        while True:
            await put(cache, BOB, b"again", NOW + 60, NOW)
            if (found := await look(cache, [BOB], NOW)) is not None:
                return found
            await asyncio.sleep(PAUSE)


async def test_primary_by_name(sentinels: Sentinels) -> None:
    """The sentinels are asked where the primary is, and what is stored is stored there."""
    cache = connect(sentinels.url)
    await put(cache, ALICE, b"token", NOW + 60, NOW)
    assert await look(cache, [ALICE], NOW) == Opened(b"token", NOW + 60)
    assert ask(sentinels.primary, "DBSIZE") == 1
    await cache.aclose()


@pytest.mark.parametrize("fault", ["stop", "pause"])
async def test_failover(sentinels: Sentinels, fault: str) -> None:
    """A13: F14: after the primary is killed or hangs, writes and reads go to the promoted one."""
    cache = connect(sentinels.url)
    await put(cache, ALICE, b"token", NOW + 60, NOW)
    busy = [asyncio.create_task(look(cache, [ALICE], NOW)) for _ in range(16)]
    await asyncio.gather(*busy)
    getattr(sentinels.primary, fault)()
    await look(cache, [ALICE], NOW)
    await asyncio.to_thread(sentinels.wait_for_failover)
    assert await until_stored(cache) == Opened(b"again", NOW + 60)
    assert ask(sentinels.replica, "DBSIZE") >= 1
    await cache.aclose()


async def test_demoted(sentinels: Sentinels) -> None:
    """A13: READONLY: who still talks to the old primary asks the sentinels again."""
    cache = connect(sentinels.url)
    await put(cache, ALICE, b"token", NOW + 60, NOW)
    ask(sentinels.sentinels[0], "SENTINEL", "FAILOVER", MASTER)
    await asyncio.to_thread(sentinels.wait_for_failover)
    ask(sentinels.primary, "REPLICAOF", "127.0.0.1", sentinels.replica.port)  # sooner than they
    assert await until_stored(cache) == Opened(b"again", NOW + 60)
    assert ask(sentinels.replica, "DBSIZE") >= 1
    await cache.aclose()


async def test_a_sentinel_that_hangs(sentinels: Sentinels) -> None:
    """One sentinel that hangs and one that is gone do not hide what the third knows."""
    sentinels.sentinels[0].pause()
    sentinels.sentinels[1].stop()
    cache = connect(sentinels.url)
    await put(cache, ALICE, b"token", NOW + 60, NOW)
    assert await look(cache, [ALICE], NOW) == Opened(b"token", NOW + 60)
    assert cache.failures == 0
    await cache.aclose()


async def test_no_sentinel_knows(sentinels: Sentinels) -> None:
    """A13: a name the sentinels do not know, or no sentinel at all, is a miss."""
    for url in (
        sentinels.url.replace(MASTER, "other"),
        f"redis+sentinel://127.0.0.1:{free_port()}/{MASTER}",
    ):
        cache = connect(url)
        assert await look(cache, [ALICE], NOW) is None
        assert await cache.ping() is False
        await cache.aclose()


async def test_passwords(tmp_path, topology) -> None:
    """User and password of the URL are for Redis, those in the options for the sentinels."""
    require_redis()
    guarded = topology(
        Sentinels(
            tmp_path,
            "requirepass right",
            "masterauth right",
            "user gateway on >own ~bearergate:* &* +@all",
            sentinel_options=(f"sentinel auth-pass {MASTER} right", "requirepass theirs"),
        )
    )
    for server in (guarded.primary, guarded.replica, *guarded.sentinels):
        server.start()
    url = guarded.url.replace("//", "//gateway:own@") + "?sentinel_password=theirs"
    cache = connect(url)
    assert await until_stored(cache) == Opened(b"again", NOW + 60)
    await cache.aclose()
    wrong = connect(url.replace("theirs", "wrong"))
    assert await look(wrong, [ALICE], NOW) is None
    await wrong.aclose()
