from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis

from gateway.token_cache.redis import RedisTokenCache
from gateway.token_cache.sealing import Opened, SealingKeys
from tests.fakes.waiting import until
from tests.peers.children import free_port
from tests.token_cache.asking import look, put

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

NOW = 1_700_000_000.0
KEYS = SealingKeys([b"n" * 32])
ALICE = b"a" * 32
TOKEN = Opened(b"token", NOW + 60)
PAUSE = 0.05


def connect(url: str, timeout: float = 1.0) -> RedisTokenCache:
    """Return a cache that is asked again soon after a failure."""
    return RedisTokenCache.connect(url, KEYS, timeout=timeout, pause=PAUSE)


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Return level and beginning of what was logged."""
    return [(r.levelname, " ".join(r.getMessage().split()[:4])) for r in caplog.records]


async def until_found(cache: RedisTokenCache) -> Opened:
    """Look up until there is an answer."""
    async with asyncio.timeout(20):
        while (found := await look(cache, [ALICE], NOW)) is None:  # noqa: ASYNC110 - Redis sends no event
            await asyncio.sleep(PAUSE / 2)
    return found


@pytest.fixture
async def answering(request: pytest.FixtureRequest) -> AsyncIterator[Callable[..., object]]:
    """Start TCP servers that answer every request with the given bytes."""
    servers: list[asyncio.Server] = []

    async def start(answer: bytes | None) -> tuple[str, list[bytes]]:
        seen: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while received := await reader.read(65_536):
                seen.append(received)
                if answer is None:
                    writer.transport.abort()
                    return
                writer.write(answer)
                await writer.drain()
            writer.close()

        servers.append(await asyncio.start_server(serve, "127.0.0.1", 0))
        port = servers[-1].sockets[0].getsockname()[1]
        return f"redis://127.0.0.1:{port}", seen

    yield start
    for server in servers:
        server.close()


async def test_refused(caplog: pytest.LogCaptureFixture) -> None:
    """A13: F9: nothing listens: a miss each time, one warning, and no question while it rests."""
    cache = RedisTokenCache.connect(f"redis://127.0.0.1:{free_port()}", KEYS, pause=60)
    for _ in range(20):
        assert await look(cache, [ALICE], NOW) is None
    await put(cache, ALICE, b"token", NOW + 60, NOW)
    assert await cache.ping() is False
    assert cache.failures == 1
    caplog.set_level("INFO")
    assert said(caplog) == [("WARNING", "Redis does not answer")]
    await cache.aclose()


async def test_reset(answering, caplog: pytest.LogCaptureFixture) -> None:
    """A13: a connection reset after the question is a miss, and the question is not repeated."""
    url, seen = await answering(None)
    cache = RedisTokenCache.connect(url, KEYS, pause=60)
    assert await look(cache, [ALICE], NOW) is None
    assert await look(cache, [ALICE], NOW) is None
    assert len(seen) == 1
    assert said(caplog) == [("WARNING", "Redis does not answer")]
    await cache.aclose()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="http"),
        pytest.param(b"$5\r\ntoken\r\n", id="string-for-a-list"),
        pytest.param(b"*1\r\n:7\r\n", id="number-for-a-string"),
        pytest.param(b"*1\r\n*1\r\n$1\r\na\r\n", id="list-in-a-list"),
        pytest.param(b"*x\r\n", id="length-no-number"),
        pytest.param(b"*0\r\n", id="too-few"),
        pytest.param(b"+OK\r\n", id="status"),
        pytest.param(b"-READONLY you can't write\r\n", id="readonly"),
        pytest.param(b"-LOADING in memory\r\n", id="loading"),
        pytest.param(b"-MASTERDOWN link is down\r\n", id="masterdown"),
        pytest.param(b"-CLUSTERDOWN the cluster is down\r\n", id="clusterdown"),
        pytest.param(b"-MOVED 1 127.0.0.1:1\r\n", id="moved"),
        pytest.param(b"-NOPERM no permission\r\n", id="noperm"),
        pytest.param(b"*1\r\n$-1\r\n*1\r\n$5\r\ntoken\r\n", id="two-answers"),
    ],
)
async def test_answers_of_something_else(answering, answer: bytes) -> None:
    """A13: whatever answers, and whatever it says, it is a miss and never an exception."""
    url, _ = await answering(answer)
    cache = connect(url, timeout=0.2)
    for _ in range(3):
        assert await look(cache, [ALICE], NOW) is None
        await put(cache, ALICE, b"token", NOW + 60, NOW)
        await asyncio.sleep(PAUSE)
    await cache.aclose()


async def test_stopped(start_redis, caplog: pytest.LogCaptureFixture) -> None:
    """A13: F10: while Redis is SIGSTOPped calls are misses; after SIGCONT it is found again.

    That one call waits its timeout and not the 58.6 seconds of redis-py's defaults is what makes
    this test end in time.
    """
    caplog.set_level("INFO")
    server = start_redis()
    cache = connect(server.url)
    await put(cache, ALICE, b"token", NOW + 60, NOW)
    server.pause()
    for _ in range(200):
        assert await look(cache, [ALICE], NOW) is None
    assert await cache.ping() is False
    assert cache.failures < 200
    server.resume()
    assert await until_found(cache) == TOKEN
    assert said(caplog) == [("WARNING", "Redis does not answer"), ("INFO", "Redis answers again")]
    await cache.aclose()


async def test_killed(start_redis, caplog: pytest.LogCaptureFixture) -> None:
    """A13: F9: after SIGKILL everything is a miss, and a new server is used when it is there."""
    caplog.set_level("INFO")
    server = start_redis()
    cache = connect(server.url)
    await put(cache, ALICE, b"token", NOW + 60, NOW)
    server.stop()
    assert await look(cache, [ALICE], NOW) is None
    await put(cache, ALICE, b"token", NOW + 60, NOW)
    server.start()
    async with asyncio.timeout(20):
        while not await cache.ping():  # noqa: ASYNC110 - Redis sends no event
            await asyncio.sleep(PAUSE / 2)
    assert await look(cache, [ALICE], NOW) is None
    await put(cache, ALICE, b"token", NOW + 60, NOW)
    assert await look(cache, [ALICE], NOW) == TOKEN
    assert said(caplog) == [("WARNING", "Redis does not answer"), ("INFO", "Redis answers again")]
    await cache.aclose()


async def test_one_probe(start_redis) -> None:
    """A13: a silent server is asked again in the background, once, and by nobody's request."""
    server = start_redis()
    cache = connect(server.url)
    await put(cache, ALICE, TOKEN.plaintext, NOW + 60, NOW)
    server.pause()
    await look(cache, [ALICE], NOW)
    await asyncio.sleep(PAUSE)
    before = cache.failures

    await asyncio.gather(*(look(cache, [ALICE], NOW) for _ in range(50)))

    assert cache.failures == before
    await until(lambda: cache.failures > before)
    assert cache.failures == before + 1
    server.resume()
    assert await until_found(cache) == TOKEN
    await cache.aclose()


async def test_cancelled_while_stopped(start_redis) -> None:
    """F16: callers that leave while Redis hangs leave no connection behind that is off by one."""
    server = start_redis()
    cache = connect(server.url, timeout=5.0)
    keys = [bytes([number]) * 32 for number in range(20)]
    for key in keys:
        await put(cache, key, key, NOW + 60, NOW)
    server.pause()
    tasks = [asyncio.create_task(look(cache, [key], NOW)) for key in keys]
    await asyncio.sleep(PAUSE)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    server.resume()
    found = [await look(cache, [key], NOW) for key in keys]
    assert found == [Opened(key, NOW + 60) for key in keys]
    assert (cache.failures, cache.rejected) == (0, 0)
    await cache.aclose()


@pytest.mark.parametrize(
    "user_info",
    [
        pytest.param("", id="NOAUTH"),
        pytest.param(":CANARY-wrong@", id="WRONGPASS"),
        pytest.param("nobody:CANARY-wrong@", id="unknown-user"),
        pytest.param("reader:CANARY-right@", id="NOPERM"),
    ],
)
async def test_not_let_in(start_redis, user_info: str, caplog: pytest.LogCaptureFixture) -> None:
    """A13: NOAUTH, WRONGPASS, NOPERM: a miss, one error without the password, no way around."""
    server = start_redis("requirepass right", "user reader on >CANARY-right ~* -@all +ping")
    cache = RedisTokenCache.connect(
        f"redis://{user_info}127.0.0.1:{server.port}", KEYS, timeout=5.0, pause=60
    )
    await put(cache, ALICE, b"token", NOW + 60, NOW)
    assert await look(cache, [ALICE], NOW) is None
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "refuses this gateway" in caplog.text
    assert "CANARY" not in caplog.text
    async with Redis.from_url(f"redis://:right@127.0.0.1:{server.port}", protocol=2) as raw:
        assert await raw.dbsize() == 0
    await cache.aclose()


async def test_password_repaired(start_redis) -> None:
    """F15: a server that asks for a password from now on, and then no more, is used again."""
    server = start_redis()
    cache = connect(server.url, timeout=5.0)
    await put(cache, ALICE, b"token", NOW + 60, NOW)
    async with Redis.from_url(server.url, protocol=2) as raw:
        await raw.config_set("requirepass", "secret")
        await raw.execute_command("AUTH", "secret")
        await raw.client_kill_filter(_type="normal", skipme=True)
        assert await look(cache, [ALICE], NOW) is None
        await raw.config_set("requirepass", "")
        assert await until_found(cache) == TOKEN
    await cache.aclose()


async def test_out_of_memory(start_redis, caplog: pytest.LogCaptureFixture) -> None:
    """A13: a Redis that is full drops writes with one warning, and look-ups go on."""
    caplog.set_level("INFO")
    server = start_redis("maxmemory-policy noeviction")
    cache = RedisTokenCache.connect(server.url, KEYS, timeout=5.0, pause=PAUSE)
    await put(cache, ALICE, b"token", NOW + 60, NOW)
    async with Redis.from_url(server.url, protocol=2) as raw:
        await raw.config_set("maxmemory", "1")
        for number in range(5):
            await put(cache, bytes([number]) * 32, b"more", NOW + 60, NOW)
            assert await look(cache, [ALICE], NOW) == TOKEN
        assert await raw.dbsize() == 1
        await raw.config_set("maxmemory", "0")
    await asyncio.sleep(PAUSE)
    await put(cache, b"b" * 32, b"more", NOW + 60, NOW)
    assert await look(cache, [b"b" * 32], NOW) == Opened(b"more", NOW + 60)
    assert said(caplog) == [
        ("WARNING", "Redis for writing does"),
        ("INFO", "Redis for writing answers"),
    ]
    await cache.aclose()


async def test_replica(start_redis) -> None:
    """A13: READONLY after a failover: look-ups go on, writes are dropped until it is a primary."""
    server = start_redis()
    cache = RedisTokenCache.connect(server.url, KEYS, timeout=5.0, pause=PAUSE)
    await put(cache, ALICE, b"token", NOW + 60, NOW)
    async with Redis.from_url(server.url, protocol=2) as raw:
        await raw.execute_command("REPLICAOF", "127.0.0.1", str(free_port()))
        await put(cache, b"b" * 32, b"more", NOW + 60, NOW)
        assert await look(cache, [ALICE], NOW) == TOKEN
        assert cache.failures == 1
        await raw.execute_command("REPLICAOF", "NO", "ONE")
    await asyncio.sleep(PAUSE)
    await put(cache, b"b" * 32, b"more", NOW + 60, NOW)
    assert await look(cache, [b"b" * 32], NOW) == Opened(b"more", NOW + 60)
    await cache.aclose()
