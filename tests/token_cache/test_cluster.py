"""A Redis Cluster: keys by slot, redirections, nodes that die and hang (A13)."""

from __future__ import annotations

import asyncio
import logging

import pytest
from redis.crc import key_slot

from gateway.token_cache.ledger import PurgeLedger
from gateway.token_cache.link import READING, Command, Link
from gateway.token_cache.redis import EPOCH, RedisTokenCache, name_of
from gateway.token_cache.sealing import Opened, SealingKeys
from tests.peers.children import free_port
from tests.token_cache.asking import look, put
from tests.token_cache.topologies import RedisCluster, ask, until

NOW = 1_700_000_000.0
KEYS = SealingKeys([b"n" * 32])
PAUSE = 0.1
MANY = [bytes([n]) * 32 for n in range(60)]


def connect(url: str, timeout: float = 2.0) -> RedisTokenCache:
    """Return a cache that is asked again soon after a failure."""
    return RedisTokenCache.connect(url, KEYS, timeout=timeout, pause=PAUSE)


def slot(key: bytes) -> int:
    """Return the slot of a stored key."""
    return key_slot(name_of(key).encode())


def of_third(number: int) -> list[bytes]:
    """Return keys whose slots are in this third of all."""
    return [key for key in MANY if slot(key) * 3 // 16384 == number]


async def until_served(cache: RedisTokenCache, key: bytes) -> Opened:
    """Store and look up until there is an answer."""
    async with asyncio.timeout(30):
        while True:
            await put(cache, key, b"again", NOW + 60, NOW)
            if (found := await look(cache, [key], NOW)) is not None:
                return found
            await asyncio.sleep(PAUSE)


async def test_keys_of_many_slots(cluster: RedisCluster) -> None:
    """Each key is kept by the node that has its slot, and all nodes have some."""
    cache = connect(cluster.url)
    owner = (b"o" * 32,)
    for key in MANY:
        ticket = (await cache.find([key], NOW, PurgeLedger().ticket(owner))).ticket
        await cache.store(key, key, NOW + 60, NOW, ticket)
    assert [await look(cache, [key], NOW, ticket) for key in MANY] == [
        Opened(key, NOW + 60) for key in MANY
    ]
    assert [ask(server, "DBSIZE") for server in cluster.servers].count(0) == 0
    assert (cache.failures, cache.rejected) == (0, 0)
    assert await cache.ping() is True
    await cache.aclose()


async def test_two_keys_of_one_credential(cluster: RedisCluster) -> None:
    """A3: while secrets are rotated, keys of different slots are asked for together."""
    cache = connect(cluster.url)
    newer, older = of_third(0)[0], of_third(2)[0]
    await put(cache, older, b"token", NOW + 60, NOW)
    assert await look(cache, [newer, older], NOW) == Opened(b"token", NOW + 60)
    await cache.aclose()


async def test_many_at_once(cluster: RedisCluster) -> None:
    """R8: several hundred look-ups at once share the bounded connections of three nodes."""
    cache = connect(cluster.url, timeout=10.0)
    await put(cache, MANY[0], b"token", NOW + 60, NOW)
    answers = await asyncio.gather(*(look(cache, [MANY[0]], NOW) for _ in range(300)))
    assert answers == [Opened(b"token", NOW + 60)] * 300
    await cache.aclose()


async def test_moved_slot(fragile_cluster) -> None:
    """A13: MOVED: a slot that went to another node is followed there and asked there next time."""
    running = fragile_cluster()
    cache = connect(running.url)
    key = of_third(0)[0]
    await put(cache, key, b"token", NOW + 60, NOW)
    first, second, third = running.servers
    new_home = ask(second, "CLUSTER", "MYID")
    number = slot(key)
    ask(second, "CLUSTER", "SETSLOT", number, "IMPORTING", ask(first, "CLUSTER", "MYID"))
    ask(first, "CLUSTER", "SETSLOT", number, "MIGRATING", new_home)
    ask(first, "MIGRATE", "127.0.0.1", second.port, name_of(key), 0, 5000)
    # ASK: the slot is on its way and the key is gone from here.
    assert await look(cache, [key], NOW) is None
    for server in (second, first, third):
        ask(server, "CLUSTER", "SETSLOT", number, "NODE", new_home)
    assert await look(cache, [key], NOW) == Opened(b"token", NOW + 60)
    assert await until_served(cache, key) == Opened(b"again", NOW + 60)
    assert cache.failures == 0
    await cache.aclose()


async def test_cluster_down(fragile_cluster, caplog: pytest.LogCaptureFixture) -> None:
    """A13: CLUSTERDOWN: with a third of the slots gone look-ups are misses, until it is back."""
    running = fragile_cluster()
    cache = connect(running.url)
    key = of_third(1)[0]
    await put(cache, key, b"token", NOW + 60, NOW)
    running.servers[0].stop()
    until(lambda: "state:fail" in ask(running.servers[1], "CLUSTER", "INFO"), "it is down")
    for _ in range(5):
        assert await look(cache, [key], NOW) is None
        await asyncio.sleep(PAUSE)
    running.servers[0].start()
    assert await until_served(cache, key) == Opened(b"again", NOW + 60)
    assert {record.levelno for record in caplog.records} <= {logging.INFO, logging.WARNING}
    await cache.aclose()


@pytest.mark.parametrize("fault", ["stop", "pause"])
async def test_failover(fragile_cluster, fault: str) -> None:
    """A13: F14: a primary that dies or hangs is replaced; the other slots are served meanwhile."""
    running = fragile_cluster("cluster-require-full-coverage no", replicas=1)
    cache = connect(running.url, timeout=0.5)
    hit, spared = MANY[0], next(key for key in MANY if slot(key) // 5461 != slot(MANY[0]) // 5461)
    await put(cache, hit, b"token", NOW + 60, NOW)
    await put(cache, spared, b"token", NOW + 60, NOW)
    victim = owner_of(running, slot(hit))
    getattr(victim, fault)()
    assert await look(cache, [hit], NOW) is None
    assert await until_served(cache, hit) == Opened(b"again", NOW + 60)
    assert await until_served(cache, spared) == Opened(b"again", NOW + 60)
    await cache.aclose()


def owner_of(running: RedisCluster, number: int):
    """Return the server that has this slot."""
    for first, last, primary, *_ in ask(running.servers[0], "CLUSTER", "SLOTS"):
        if first <= number <= last:
            return running.server_at(primary[1])
    raise AssertionError(number)


async def test_some_seeds_are_gone(cluster: RedisCluster) -> None:
    """One seed that answers is enough to find the others."""
    port = cluster.servers[1].port
    cache = connect(f"redis+cluster://127.0.0.1:{free_port()},127.0.0.1:{port}")
    assert await until_served(cache, MANY[0]) == Opened(b"again", NOW + 60)
    await cache.aclose()


async def test_no_seed_answers(caplog: pytest.LogCaptureFixture) -> None:
    """A13: F9: a cluster nobody of which answers is a miss each time and one warning."""
    cache = connect(f"redis+cluster://127.0.0.1:{free_port()}")
    for _ in range(20):
        assert await look(cache, [MANY[0]], NOW) is None
    await put(cache, MANY[0], b"token", NOW + 60, NOW)
    assert await cache.ping() is False
    assert [r.getMessage().split(" (")[0] for r in caplog.records] == [
        "Redis Cluster does not answer"
    ]
    await cache.aclose()


async def test_not_a_cluster(shared_redis) -> None:
    """A13: a server that is no cluster is a miss."""
    cache = connect(shared_redis.url.replace("redis:", "redis+cluster:").removesuffix("/0"))
    assert await look(cache, [MANY[0]], NOW) is None
    await cache.aclose()


async def test_rights_on_one_node(fragile_cluster) -> None:
    """A13: NOPERM on one node is a miss for its slots alone."""
    running = fragile_cluster()
    cache = connect(running.url)
    home = key_slot(EPOCH.encode()) * 3 // 16384
    other = (home + 1) % 3
    good, bad = of_third(home)[0], of_third(other)[0]
    await put(cache, bad, b"token", NOW + 60, NOW)
    ask(running.servers[other], "ACL", "SETUSER", "default", "-get")
    assert await look(cache, [bad], NOW) is None
    assert await until_served(cache, good) == Opened(b"again", NOW + 60)
    ask(running.servers[other], "ACL", "SETUSER", "default", "+@all")
    assert await until_served(cache, bad) == Opened(b"again", NOW + 60)
    await cache.aclose()


async def test_value_of_another_type(cluster: RedisCluster) -> None:
    """A13: WRONGTYPE: a list where a string should be is a miss and no failure."""
    link = Link.connect(cluster.url, timeout=2.0)
    key = name_of(MANY[7])
    assert await link.send([Command(key, ("DEL", key)), Command(key, ("RPUSH", key, "x"))], READING)
    assert await link.find([key]) == [None]
    assert link.failures == 0
    await link.aclose()
