"""A connection at the very moment it is taken, on both event loops (P20, P26, P27)."""

from __future__ import annotations

import asyncio
import select
import socket

import pytest
import uvloop

from gateway.errors import UpstreamError
from gateway.forwarding.pool import UpstreamPool
from gateway.routing import read_upstream
from tests.fakes.upstream_answers import response
from tests.fakes.waiting import until
from tests.forwarding.exchanging import HEAD

LOOPS = [
    pytest.param(asyncio.new_event_loop, id="asyncio"),
    pytest.param(uvloop.new_event_loop, id="uvloop"),
]


@pytest.fixture
def listener():
    """Return a listening socket; what it accepts is read and written by the test itself."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        yield listener


def pool_before(listener):
    """Return a pool of connections to a listening socket."""
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    return UpstreamPool(read_upstream(url), connect_timeout=20)


def await_arrival(connection):
    """Wait without letting the event loop look."""
    readable, _, _ = select.select(
        [connection._transport.get_extra_info("socket").fileno()], [], [], 20
    )
    assert readable


async def used_once(listener, pool):
    """Return a connection that was given back after a clean response, and its other end."""
    connection = await pool.connect()
    peer, _ = listener.accept()
    peer.settimeout(20)
    connection.start("GET", HEAD, more=False)
    await until(lambda: select.select([peer], [], [], 0)[0])
    assert peer.recv(65536) == HEAD
    peer.sendall(response(200, b"mine"))
    assert await connection.read_head()
    assert b"mine" == await connection.read_body()
    pool.release(connection)
    return connection, peer


@pytest.mark.parametrize("loop_factory", LOOPS)
@pytest.mark.parametrize("ending", [False, True], ids=["P20-bytes", "P26-end"])
def test_what_arrived_before_the_request(listener, loop_factory, ending):
    """P20, P26: bytes, or an end, that the loop has not read yet make a connection no choice."""

    async def take():
        pool = pool_before(listener)
        connection, peer = await used_once(listener, pool)
        with peer:
            peer.shutdown(socket.SHUT_WR) if ending else peer.sendall(response(200, b"stale"))
            await_arrival(connection)

            assert pool.find() is None
        pool.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(take())


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_silent_connection_is_taken(listener, loop_factory):
    """P20: a connection on which nothing has happened carries the next request."""

    async def take():
        pool = pool_before(listener)
        connection, peer = await used_once(listener, pool)
        with peer:
            assert connection is pool.find()
        pool.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(take())


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_new_connection_that_ends_at_once(listener, loop_factory):
    """P26: a request on a connection that ended before its first byte fails, and does not wait."""

    async def take():
        pool = pool_before(listener)
        connection = await pool.connect()
        listener.accept()[0].close()
        await until(lambda: not connection.reusable)

        connection.start("GET", HEAD, more=False)

        with pytest.raises(UpstreamError, match="closed"):
            await asyncio.wait_for(connection.read_head(), 20)
        pool.release(connection)
        pool.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(take())
