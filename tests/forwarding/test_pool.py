"""Connections to an upstream: when they are kept, and when they are closed (P20, P26)."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import UpstreamError, UpstreamTimeoutError
from gateway.forwarding.pool import MAX_IDLE, PoolLimits, UpstreamPool
from gateway.forwarding.upstream import Forwarder
from gateway.routing import read_upstream
from tests.fakes.upstream_answers import endless, response, silence
from tests.fakes.waiting import until

HEAD = b"GET / HTTP/1.1\r\nHost: upstream.test\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: upstream.test\r\nContent-Length: 100000000\r\n\r\n"


class Parts:
    """A request body that is these parts; a part that is an exception is raised."""

    def __init__(self, *parts):
        self._parts = list(parts)

    async def next_part(self):
        """Return the next part, empty at the end."""
        part = self._parts.pop(0) if self._parts else b""
        if isinstance(part, BaseException):
            raise part
        return part


@pytest.fixture
def pool_of(upstream):
    """Return a function that makes a pool of connections to the upstream."""
    pools = []

    def make(**how):
        how = {"connect_timeout": 5, **how}
        pools.append(UpstreamPool(read_upstream(upstream.url), **how))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


@pytest.fixture
async def forwarder():
    """Return a forwarder with a short patience."""
    forwarder = Forwarder(timeout=0.2, connect_timeout=5)
    yield forwarder
    forwarder.close()


async def exchange(pool):
    """Send one request and read its response, then give the connection back."""
    connection = pool.find() or await pool.connect()
    connection.start("GET", HEAD, more=False)
    await connection.read_head()
    while await connection.read_body():
        pass
    pool.release(connection)
    return connection


async def test_connection_is_kept(pool_of, upstream):
    """P20: after a clean response the connection carries the next request."""
    pool = pool_of()

    assert await exchange(pool) is await exchange(pool)
    assert 1 == upstream.connections


async def test_idle_connection_is_closed(pool_of, upstream):
    """P20: a connection nobody uses is closed by the gateway, the oldest first."""
    pool = pool_of(limits=PoolLimits(idle_timeout=0.05))

    await exchange(pool)

    await until(lambda: upstream.open_connections == 0)
    await exchange(pool)
    assert 2 == upstream.connections


async def test_sweeping_goes_on(pool_of, upstream):
    """P20: connections that became idle later are closed later."""
    pool = pool_of(limits=PoolLimits(idle_timeout=0.1))
    first, second = await pool.connect(), await pool.connect()
    for connection in (first, second):
        connection.start("GET", HEAD, more=False)
        await connection.read_head()
    pool.release(first)
    await asyncio.sleep(0.05)

    pool.release(second)

    await until(lambda: upstream.open_connections == 0)


async def test_stale_connection_is_not_used(pool_of, upstream):
    """P20: a connection that has been idle too long is closed rather than used."""
    pool = pool_of(limits=PoolLimits(idle_timeout=0))
    await exchange(pool)

    assert pool.find() is None


async def test_bytes_on_an_idle_connection(pool_of, upstream):
    """P20, P27: bytes nobody asked for close an idle connection."""

    async def answer_twice(_reader, writer, _request):
        writer.write(response(200))
        await asyncio.sleep(0.03)
        writer.write(response(200, b"smuggled"))

    upstream.answer_next(answer_twice)
    pool = pool_of()
    await exchange(pool)

    await until(lambda: upstream.open_connections == 0)
    assert pool.find() is None


async def test_bounded_number_of_idle_connections(pool_of, upstream):
    """R8: no more than so many idle connections are kept."""
    pool = pool_of()
    connections = [await pool.connect() for _ in range(MAX_IDLE + 1)]

    for connection in connections:
        pool.release(connection)

    await until(lambda: upstream.open_connections == MAX_IDLE)


async def test_connections_at_the_bound(pool_of, upstream):
    """R8: one request more than there may be connections waits, and gets the first that is free."""
    pool = pool_of(limits=PoolLimits(connections=2))
    first, second = await pool.connect(), await pool.connect()
    waiting = [asyncio.create_task(pool.connect()) for _ in range(2)]
    await asyncio.sleep(0.05)
    assert [False, False] == [each.done() for each in waiting]

    pool.release(first)
    assert first is await waiting[0]
    second.abort()
    pool.release(second)
    third = await waiting[1]

    assert third not in {first, second}
    await until(lambda: upstream.open_connections == 2)
    assert 3 == upstream.connections


async def test_nobody_waits_for_ever_at_the_bound(pool_of):
    """R8: who waits too long for a connection is told so, and takes nobody's turn."""
    pool = pool_of(limits=PoolLimits(connections=1), connect_timeout=0.2)
    connection = await pool.connect()

    with pytest.raises(UpstreamTimeoutError):
        await pool.connect()
    left = asyncio.create_task(pool.connect())
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.wait([left])
    pool.release(connection)

    assert connection is (pool.find() or await pool.connect())


async def test_connection_that_cannot_be_made_takes_no_place(upstream, pool_of):
    """R8: a connection that failed to be made is not counted."""
    pool = pool_of(limits=PoolLimits(connections=1))
    await upstream.down()
    for _ in range(3):
        with pytest.raises(UpstreamError):
            await pool.connect()
    await upstream.up()

    assert await exchange(pool)


async def test_old_connection_is_not_kept(pool_of, upstream):
    """P20: after its lifetime a connection is closed behind the response, and the next is new."""
    pool = pool_of(limits=PoolLimits(lifetime=0.0))

    first = await exchange(pool)

    assert first is not await exchange(pool)
    assert 2 == upstream.connections


async def test_response_that_was_not_read(pool_of, upstream):
    """P20: a connection with a body half read is closed, also when the body has arrived."""
    upstream.answer_next(endless(b"x" * 65536))
    pool = pool_of()
    connection = await pool.connect()
    connection.start("GET", HEAD, more=False)
    await connection.read_head()

    pool.release(connection)

    await until(lambda: upstream.open_connections == 0)
    assert pool.find() is None


async def test_complete_response_that_was_not_read(pool_of, upstream):
    """P20: a connection whose reading was paused is not kept paused for the next request."""
    upstream.answer_next(response(200, b"x" * 150_000))
    pool = pool_of()
    connection = await pool.connect()
    connection.start("GET", HEAD, more=False)
    await connection.read_head()
    await asyncio.sleep(0.1)
    pool.release(connection)

    assert await exchange(pool)


async def test_closing_closes_requests_under_way(pool_of, upstream):
    """P20: closing a pool fails what is under way."""
    upstream.answer_next(silence())
    pool = pool_of()
    connection = await pool.connect()
    connection.start("GET", HEAD, more=False)
    await until(lambda: upstream.requests)

    pool.close()

    with pytest.raises(UpstreamError):
        await connection.read_head()


async def test_upstream_that_does_not_read(forwarder, upstream):
    """F17: an upstream that stops reading the request is a timeout."""

    async def never_read(_reader, _writer, _request):
        await asyncio.sleep(60)

    upstream.answer_next(never_read, before_body=True)
    body = Parts(*[b"x" * 1_000_000] * 100)

    with pytest.raises(UpstreamTimeoutError):
        await forwarder.forward(read_upstream(upstream.url), "POST", POST, body)


async def test_body_that_fails(forwarder, upstream):
    """P26: a failure of the caller's body is what is told, and the upstream is left."""
    with pytest.raises(RuntimeError, match="broken"):
        await forwarder.forward(
            read_upstream(upstream.url), "POST", POST, Parts(b"x", RuntimeError("broken"))
        )
    await until(lambda: upstream.open_connections == 0)


async def test_body_that_fails_after_the_head(forwarder, upstream):
    """P26: a body that fails after the response head cuts the response."""
    upstream.answer_next(silence(b"HTTP/1.1 200 OK\r\n\r\nhello"), before_body=True)

    class Late(Parts):
        async def next_part(self):
            await asyncio.sleep(0.05)
            return await super().next_part()

    answer = await forwarder.forward(
        read_upstream(upstream.url), "POST", POST, Late(RuntimeError("broken"))
    )

    assert b"hello" == await answer.read()
    with pytest.raises(UpstreamError):
        await answer.read()
    answer.close()


async def test_upload_to_an_upstream_that_has_left(forwarder, upstream):
    """P20: when the upstream answers and closes, the rest of the body is not sent."""
    upstream.answer_next(response(413, b"no", close=True), before_body=True)

    class Endless:
        async def next_part(self):
            await asyncio.sleep(0.001)
            return b"x" * 1000

    answer = await forwarder.forward(read_upstream(upstream.url), "POST", POST, Endless())

    assert (413, b"no") == (answer.head.status, await answer.read())
    await asyncio.sleep(0.05)
    answer.close()


async def test_cancelled_connect_and_read(forwarder, upstream):
    """P25: a cancelled request leaves no connection behind."""
    upstream.answer_next(silence())
    task = asyncio.create_task(forwarder.forward(read_upstream(upstream.url), "GET", HEAD))
    await until(lambda: upstream.requests)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: upstream.open_connections == 0)
