"""Tunnels whose ends do not read, or have left before the tunnel is open (P21, P22, P25)."""

from __future__ import annotations

import gc

import pytest
from aiohttp import web

from gateway import metrics
from gateway.authorization import Policy
from gateway.forwarding.upstream import Forwarder
from gateway.pipeline import Pipeline
from gateway.routing import Route, read_upstream
from gateway.server import Limits, ProxyServer
from gateway.server.splice import Tunnel
from gateway.server.trust import TrustedProxies
from gateway.server.tunnels import TunnelLimits, Tunnels
from tests.fakes.caller import RawCaller, request
from tests.fakes.upstream_answers import cut, response
from tests.fakes.waiting import until
from tests.fakes.websocket import FIELDS, SWITCHED

HANDSHAKE = request("GET", "/chat", FIELDS)
# One segment on loopback: an answer that arrives in one piece is written without a wait.
ANSWER = response(200, bytes(16_000))
FLOOD = 32 << 20
BEHIND = 1 << 20
LONG = 300.0


class LateForwarder(Forwarder):
    """Gives a response to a handshake when told: at once, or when its connection has ended."""

    late = False

    async def switch(self, *what):
        """Return the response and keep its connection for the test."""
        answer = await super().switch(*what)
        self.connection = answer.connection
        if self.late:
            await until(lambda: answer.connection.closed)
        return answer


class Served:
    """A gateway's proxy port before an upstream, with a public route."""

    def __init__(self, upstream, linger):
        self.forwarder = LateForwarder()
        bounds = TunnelLimits(10, LONG, end_with_token=True, linger=linger)
        self.tunnels = Tunnels(self.forwarder, bounds)
        routes = [Route("public", read_upstream(upstream.url), (), Policy(()))]
        self.server = ProxyServer(
            Pipeline(routes),
            self.forwarder,
            limits=Limits(32768, 0),
            trusted=TrustedProxies(()),
            tunnels=self.tunnels,
        )
        self.runner = web.ServerRunner(self.server, shutdown_timeout=0)

    async def start(self):
        """Listen; return the port."""
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        return self.runner.addresses[0][1]

    @property
    def upstream_is_read(self):
        """Whether the tunnel reads what its upstream sends."""
        return self.forwarder.connection._transport.is_reading()


@pytest.fixture
async def serve(upstream):
    """Return a function that serves with this time for what is left at the end of a tunnel."""
    served = []

    async def start(linger=LONG):
        served.append(Served(upstream, linger))
        return served[-1], await served[-1].start()

    yield start
    for each in served:
        await each.runner.cleanup()
        each.forwarder.close()


def open_tunnels():
    """Return how many tunnels are open."""
    return metrics.TUNNELS._value.get()


async def flood(_reader, writer, _request):
    """Switch, write more than all buffers on the way hold, and hang up."""
    writer.write(SWITCHED)
    for _ in range(FLOOD // (1 << 16)):
        writer.write(bytes(1 << 16))
        await writer.drain()
    writer.close()


def unsent(front):
    """Return how much of what was written to a caller waits in the gateway."""
    return front.transport.get_write_buffer_size()


async def hold_up(served, caller, upstream):
    """Open a tunnel whose caller does not read until its upstream is not read either."""
    caller._writer.transport.pause_reading()
    upstream.answer_next(flood)
    await caller.write(HANDSHAKE)
    await until(lambda: open_tunnels() == 1)
    await until(lambda: not served.upstream_is_read)
    (front,) = served.server.connections
    return front


async def read_all(caller):
    """Read to the end of the connection; return how much came."""
    caller._writer.transport.resume_reading()
    size = 0
    while part := await caller.read_some():
        size += len(part)
    return size


async def test_upstream_that_left_before(serve, upstream):
    """P25: what an upstream said reaches the caller although it hung up before the tunnel opens."""
    served, port = await serve()
    served.forwarder.late = True
    upstream.answer_next(cut(SWITCHED + b"last words"))
    async with RawCaller(port) as caller:
        head = await caller.send(HANDSHAKE)
        said = await caller.read_some()

        assert (101, b"last words", True) == (head.status, said, await caller.closed())
    await until(lambda: open_tunnels() == 0)


async def test_nothing_is_left_of_a_tunnel_that_ended_as_it_opened(serve, upstream):
    """R8: no timer holds a tunnel whose upstream hung up before it opens."""
    served, port = await serve()
    served.forwarder.late = True
    upstream.answer_next(cut(SWITCHED))
    async with RawCaller(port) as caller:
        assert 101 == (await caller.send(HANDSHAKE)).status
        assert await caller.closed()
    del served.forwarder.connection

    await until(lambda: gc.collect() >= 0 and not any(type(o) is Tunnel for o in gc.get_objects()))


async def test_caller_behind_with_earlier_answers(serve, upstream):
    """P22: a caller that has not taken the answers before its tunnel stops the upstream at once."""
    served, port = await serve()
    async with RawCaller(port) as caller:
        caller._writer.transport.pause_reading()
        upstream.answer_next(ANSWER, times=None)
        asked = 0
        while not any(unsent(each) > BEHIND for each in served.server.connections):
            await caller.write(request("GET", "/"))
            asked += 1
            await until(lambda count=asked: len(upstream.requests) == count)
        upstream.behave()
        upstream.answer_next(flood)
        await caller.write(HANDSHAKE)
        await until(lambda: open_tunnels() == 1)

        assert not served.upstream_is_read
        caller._writer.transport.resume_reading()
        for _ in range(asked):
            assert 16_000 == len((await caller.read()).body)
        assert 101 == (await caller.read()).status
        assert FLOOD == await read_all(caller)


async def test_end_that_is_not_taken(serve, upstream):
    """P21: a caller that does not take what is left when a tunnel ends is cut after a while."""
    served, port = await serve(linger=0.2)
    async with RawCaller(port) as caller:
        front = await hold_up(served, caller, upstream)
        connection = front.transport.get_extra_info("socket")

        served.tunnels.close()

        await until(lambda: open_tunnels() == 0 and connection.fileno() < 0)
        assert await read_all(caller) < FLOOD


async def test_shutdown_cuts_what_is_not_taken(serve, upstream):
    """F20, P21: at the end of a shutdown nobody waits for who does not take what is left."""
    served, port = await serve(linger=LONG)
    async with RawCaller(port) as caller:
        front = await hold_up(served, caller, upstream)
        connection = front.transport.get_extra_info("socket")

        await served.runner.cleanup()

        await until(lambda: connection.fileno() < 0)
        assert await read_all(caller) < FLOOD
