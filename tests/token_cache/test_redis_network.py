"""A network between gateway and Redis that delays, slices and cuts (A13, F11)."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from gateway.token_cache.redis import RedisTokenCache
from gateway.token_cache.sealing import Opened, SealingKeys
from tests.token_cache.asking import look, put

NOW = 1_700_000_000.0
KEYS = SealingKeys([b"n" * 32])
ALICE = b"a" * 32
TOKEN = Opened(b"token" * 50, NOW + 60)


class Relay:
    """Passes bytes on to Redis, and back in the way it is told to."""

    def __init__(self, port):
        self._to = port
        self.way = self.whole
        self._serving = set()

    async def whole(self, data, writer):
        """Pass everything on at once."""
        writer.write(data)

    async def late(self, data, writer):
        """Pass everything on, two seconds later."""
        await asyncio.sleep(2)
        writer.write(data)

    async def sliced(self, data, writer):
        """Pass it on byte by byte."""
        for position in range(len(data)):
            writer.write(data[position : position + 1])
            await writer.drain()
            await asyncio.sleep(0)

    async def cut(self, data, writer):
        """Pass on half of it and reset the connection."""
        writer.write(data[: len(data) // 2])
        await writer.drain()
        await asyncio.sleep(0.01)
        writer.transport.abort()

    @asynccontextmanager
    async def running(self):
        """Relay; the value is the URL."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        server.close()
        await asyncio.wait(self._serving)

    async def _serve(self, reader, writer):
        self._serving.add(asyncio.current_task())
        redis_reader, redis_writer = await asyncio.open_connection("127.0.0.1", self._to)
        there = asyncio.create_task(self._there(reader, redis_writer))
        with suppress(ConnectionError):
            while data := await redis_reader.read(65_536):
                await self.way(data, writer)
        there.cancel()
        await asyncio.gather(there, return_exceptions=True)
        for each in (writer, redis_writer):
            each.close()
            with suppress(ConnectionError):
                await each.wait_closed()

    @staticmethod
    async def _there(reader, redis_writer):
        while data := await reader.read(65_536):
            redis_writer.write(data)
        redis_writer.close()


@pytest.mark.parametrize(
    ("way", "found"),
    [
        pytest.param("whole", True, id="good"),
        pytest.param("sliced", True, id="byte by byte"),
        pytest.param("late", False, id="two seconds late"),
        pytest.param("cut", False, id="reset in the middle"),
    ],
)
async def test_network(shared_redis, way, found):
    """A13: F11: slices are put together, lateness and cuts are misses, then all is well."""
    relay = Relay(shared_redis.port)
    async with relay.running() as url:
        cache = RedisTokenCache.connect(url, KEYS, timeout=1.0, pause=0.05)
        await put(cache, ALICE, TOKEN.plaintext, NOW + 60, NOW)
        relay.way = getattr(relay, way)
        assert await look(cache, [ALICE], NOW) == (TOKEN if found else None)
        assert cache.failures == (0 if found else 1)
        relay.way = relay.whole
        async with asyncio.timeout(20):
            while await look(cache, [ALICE], NOW) != TOKEN:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.05)
        assert cache.rejected == 0
        await cache.aclose()
