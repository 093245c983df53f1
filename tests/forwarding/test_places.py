"""How many connections to an upstream there may be, and who gets the next one (R8, P25)."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import UpstreamError, UpstreamTimeoutError
from gateway.forwarding.connection import UpstreamConnection
from gateway.forwarding.pool import MAX_IDLE, PoolLimits
from tests.fakes.waiting import until
from tests.forwarding.exchanging import exchange


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


async def test_nobody_overtakes_who_waits(pool_of, upstream):
    """R8: a request that comes when a place has come free is behind those who waited for it."""
    pool = pool_of(limits=PoolLimits(connections=1))
    connection = await pool.connect()
    first, second = (asyncio.create_task(pool.connect()) for _ in range(2))
    await asyncio.sleep(0)

    pool.release(connection)
    newcomer = asyncio.create_task(pool.connect())
    assert pool.find() is None
    for each in (first, second, newcomer):
        assert connection is await each
        pool.release(connection)

    assert connection is pool.find()
    assert 1 == upstream.connections


async def test_places_that_come_free_together(pool_of, upstream):
    """R8: who comes while others have been called and not taken their places gets one as well."""
    pool = pool_of(limits=PoolLimits(connections=2))
    connections = {await pool.connect(), await pool.connect()}
    waiting = asyncio.create_task(pool.connect())
    await asyncio.sleep(0)

    for each in connections:
        pool.release(each)

    assert connections == {await pool.connect(), await waiting}
    assert 2 == upstream.connections


async def test_place_of_a_caller_that_left(pool_of):
    """R8, P25: a place given to somebody who leaves at that moment goes to the next."""
    pool = pool_of(limits=PoolLimits(connections=1))
    connection = await pool.connect()
    left, next_one = (asyncio.create_task(pool.connect()) for _ in range(2))
    await asyncio.sleep(0)

    pool.release(connection)
    left.cancel()

    assert connection is await next_one
    assert left.cancelled()


async def test_who_gave_up_is_forgotten(pool_of):
    """R8: those who waited in vain leave nothing behind."""
    pool = pool_of(limits=PoolLimits(connections=1), connect_timeout=0.05)
    await pool.connect()

    ends = await asyncio.gather(*(pool.connect() for _ in range(50)), return_exceptions=True)

    assert {UpstreamTimeoutError} == {type(each) for each in ends}
    assert not pool._waiting
    assert pool._called == 0


async def test_connection_that_died_idle_is_a_place(pool_of, upstream):
    """R8: of connections that end while nobody uses them the places come free."""
    pool = pool_of(limits=PoolLimits(connections=1))
    connection = await exchange(pool)
    await upstream.down()
    await until(lambda: not connection.reusable)
    await upstream.up()

    assert connection is not await pool.connect()


async def test_tunnels_take_no_places(pool_of, upstream):
    """R8, P21: a connection made for a handshake takes no place from requests, and is closed."""
    pool = pool_of(limits=PoolLimits(connections=1))
    tunnels = [await pool.connect_apart(UpstreamConnection) for _ in range(3)]

    assert await exchange(pool)
    for each in tunnels[:2]:
        each.abort()
        pool.release(each)
    assert pool._apart == {tunnels[2]}
    assert pool.busy
    pool.close()

    await until(lambda: upstream.open_connections == 0)
    assert 4 == upstream.connections


async def test_place_of_a_connection_that_was_not_made(upstream, pool_of):
    """R8: who waits while a connection is being made is told at once that none can be."""
    await upstream.down()
    pool = pool_of(limits=PoolLimits(connections=1), connect_timeout=60)

    ends = await asyncio.gather(*(pool.connect() for _ in range(3)), return_exceptions=True)

    assert [UpstreamError] * 3 == [type(each) for each in ends]
