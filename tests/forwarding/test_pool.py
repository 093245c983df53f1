"""Connections to an upstream: when they are kept, and when they are closed (P20, P26)."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import UpstreamError
from gateway.forwarding.pool import PoolLimits
from tests.fakes.upstream_answers import endless, response, silence
from tests.fakes.waiting import until
from tests.forwarding.exchanging import HEAD, exchange


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
