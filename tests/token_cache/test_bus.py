"""Messages between replicas: sealed, soon, and known to be missed when they are."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis

from gateway.token_cache.bus import MESSAGE_LIFE, Bus
from gateway.token_cache.link import Link
from gateway.token_cache.sealing import SealingKeys

KEYS = SealingKeys([b"n" * 32])
NOW = 1_700_000_000.0


class Replica:
    """A bus and what came by it."""

    def __init__(self, url, heartbeat=10.0):
        self.link = Link.connect(url, timeout=2.0, pause=0.05)
        self.bus = Bus(self.link, KEYS, heartbeat=heartbeat, now=lambda: NOW)
        self.heard = asyncio.Queue()
        self.gaps = asyncio.Queue()
        self.bus.subscribe(
            "purge:", lambda channel, payload: self.heard.put_nowait((channel, payload))
        )
        self.bus.on_gap(self.look)

    async def look(self):
        """Note a gap."""
        self.gaps.put_nowait(self.bus.connected)

    async def hear(self):
        """Return the next message."""
        async with asyncio.timeout(20):
            return await self.heard.get()

    async def gap(self):
        """Wait for the next gap that ends connected."""
        async with asyncio.timeout(20):
            while not await self.gaps.get():
                pass


@pytest.fixture
async def replicas():
    """Return a function that starts a replica."""
    async with AsyncExitStack() as stack:

        async def start(url, **options):
            replica = Replica(url, **options)
            stack.push_async_callback(replica.link.aclose)
            await stack.enter_async_context(replica.bus)
            return replica

        yield start


async def test_everybody_hears(replicas, shared_redis):
    """A message reaches every replica that subscribed, the one that sent it too."""
    first, second = [await replicas(shared_redis.url) for _ in range(2)]
    assert (first.bus.connected, second.bus.connected) == (True, True)
    assert await first.bus.publish("purge:all", b"payload") is True
    assert [await each.hear() for each in (first, second)] == [("purge:all", b"payload")] * 2


async def test_cluster(replicas, cluster):
    """In a cluster a message reaches listeners at whichever node they are."""
    listeners = [await replicas(cluster.url) for _ in range(4)]
    await listeners[0].bus.publish("purge:all", b"payload")
    assert [await each.hear() for each in listeners] == [("purge:all", b"payload")] * 4


async def test_sentinel(replicas, sentinels):
    """After a failover the listener is at the promoted primary."""
    listener = await replicas(sentinels.url)
    assert listener.bus.connected
    await listener.gap()
    sentinels.primary.stop()
    await asyncio.to_thread(sentinels.wait_for_failover)
    await listener.gap()
    while not await listener.bus.publish("purge:all", b"payload"):  # noqa: ASYNC110 - no event
        await asyncio.sleep(0.1)
    assert await listener.hear() == ("purge:all", b"payload")


FORGED = [
    pytest.param(b"payload", id="not sealed"),
    pytest.param(b"", id="empty"),
    pytest.param(
        SealingKeys([b"x" * 32]).seal(b"bus:purge:all", b"payload", NOW + 9), id="other secret"
    ),
    pytest.param(KEYS.seal(b"bus:purge:one", b"payload", NOW + 9), id="sealed for another channel"),
    pytest.param(KEYS.seal(b"a" * 32, b"payload", NOW + 9), id="a value of the cache"),
    pytest.param(KEYS.seal(b"bus:purge:all", b"payload", NOW - 1), id="from more than 30 s ago"),
]


@pytest.mark.parametrize("message", FORGED)
async def test_forged(replicas, shared_redis, caplog, message):
    """Who can only write to Redis sends nothing anybody takes for a message."""
    listener = await replicas(shared_redis.url)
    async with Redis.from_url(shared_redis.url, protocol=2) as raw:
        await raw.publish(listener.bus.name_of("purge:all"), message)
        await raw.publish(
            listener.bus.name_of("purge:all"),
            KEYS.seal(b"bus:purge:all", b"good", NOW + MESSAGE_LIFE),
        )
    assert await listener.hear() == ("purge:all", b"good")
    assert "does not open" in caplog.text


async def test_nobody_subscribed(replicas, shared_redis):
    """A message on a channel of nobody reaches nobody."""
    listener = await replicas(shared_redis.url)
    await listener.bus.publish("other:x", b"")
    await listener.bus.publish("purge:x", b"")
    assert await listener.hear() == ("purge:x", b"")


async def test_reconnects(replicas, start_redis, caplog):
    """Cut off, the bus says so once, comes back by itself, and asks what was missed."""
    server = start_redis()
    listener = await replicas(server.url)
    await listener.gap()
    server.stop()
    async with asyncio.timeout(20):
        while listener.bus.connected:  # noqa: ASYNC110 - Redis sends no event
            await asyncio.sleep(0.01)
    assert await listener.bus.publish("purge:x", b"") is False
    await asyncio.sleep(0.5)
    server.start()
    await listener.gap()
    assert listener.bus.connected
    while not await listener.bus.publish("purge:x", b"back"):  # noqa: ASYNC110 - no event
        await asyncio.sleep(0.05)
    assert await listener.hear() == ("purge:x", b"back")
    assert caplog.text.count("the message bus is gone") == 1


async def test_hangs(replicas, start_redis):
    """A connection that hangs is found out by its heartbeat, and left."""
    server = start_redis()
    listener = await replicas(server.url, heartbeat=0.2)
    await listener.gap()
    await listener.gap()  # a heartbeat that was answered
    server.pause()
    async with asyncio.timeout(20):
        while listener.bus.connected:  # noqa: ASYNC110 - Redis sends no event
            await asyncio.sleep(0.01)
    server.resume()
    await listener.gap()
    assert listener.bus.connected


async def test_not_allowed_to_listen(replicas, start_redis, caplog):
    """A13: NOPERM: without the right to subscribe the replica still asks what it missed."""
    server = start_redis("user deaf on >secret ~* -@all +get +mget +ping")
    listener = await replicas(server.url.replace("//", "//deaf:secret@"))
    async with asyncio.timeout(20):
        assert await listener.gaps.get() is False
        assert await listener.gaps.get() is False
    assert await listener.bus.publish("purge:x", b"") is False
    assert caplog.text.count("the message bus is gone") == 1


async def test_nothing_there_at_start(replicas, start_redis):
    """F9: a start does not wait long for a Redis that is not there, and connects when it is."""
    server = start_redis()
    server.stop()
    listener = await replicas(server.url)
    assert not listener.bus.connected
    server.start()
    await listener.gap()
    assert listener.bus.connected


async def test_no_cluster_to_listen_at(replicas, shared_redis):
    """A cluster without nodes is waited for like any other Redis."""
    listener = await replicas(shared_redis.url.replace("redis:", "redis+cluster:")[:-2])
    assert not listener.bus.connected


async def test_never_started(shared_redis):
    """A bus that never listened can be closed, and can publish."""
    replica = Replica(shared_redis.url)
    assert await replica.bus.publish("purge:x", b"") is True
    await replica.bus.__aexit__(None, None, None)
    await replica.link.aclose()
