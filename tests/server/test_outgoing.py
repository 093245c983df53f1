"""An answer that is complete, and waits for the others of its turn (P15, F20)."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from gateway.authorization import Policy
from gateway.forwarding.upstream import Forwarder
from gateway.pipeline import Pipeline
from gateway.routing import Route, read_upstream
from gateway.server import Limits, ProxyServer
from gateway.server.protocol import is_busy
from gateway.server.trust import TrustedProxies
from tests.fakes.caller import RawCaller, request
from tests.fakes.upstream_answers import response
from tests.fakes.waiting import until

GET = request("GET", "/")


class Served:
    """A gateway's proxy port whose upstream answers when told, in a turn with others."""

    def __init__(self, upstream):
        self._upstream = upstream
        self._go = asyncio.Event()
        self.forwarder = Forwarder()
        routes = [Route("public", read_upstream(upstream.url), (), Policy(()))]
        self._server = ProxyServer(
            Pipeline(routes),
            self.forwarder,
            limits=Limits(32768, 0),
            trusted=TrustedProxies(()),
        )
        self.runner = web.ServerRunner(self._server, shutdown_timeout=10)
        upstream.answer_next(self._answer)

    async def start(self):
        """Listen; return the port."""
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        return self.runner.addresses[0][1]

    async def ask(self, caller, behind=b""):
        """Send a request and what is behind it; return the connection that waits for an answer."""
        await caller.write(GET)
        await until(lambda: self._upstream.requests)
        (connection,) = self._server.connections
        if behind:
            await caller.write(behind)
            await until(lambda: connection._messages)
        return connection

    def connections(self):
        """Return the callers' connections."""
        return self._server.connections

    def answer(self):
        """Let the upstream answer in a turn in which another task is ready and writes nothing."""
        self.forwarder.outbox.expect()
        self._go.set()

    async def _answer(self, _reader, writer, _request):
        await self._go.wait()
        writer.write(response(200, b"hello"))


@pytest.fixture
async def served(upstream):
    """Return a gateway before the upstream."""
    gateway = Served(upstream)
    yield gateway
    await gateway.runner.cleanup()
    gateway.forwarder.close()


async def waiting(connection):
    """Return in the very turn in which the answer waits."""
    async with asyncio.timeout(20):
        while connection._unsent is None:  # noqa: ASYNC110 - the turn itself is looked for
            await asyncio.sleep(0)


async def test_drain_in_the_turn_of_an_answer(served):
    """F20: an answer that waits counts as under way, and a drain that begins then sends it."""
    port = await served.start()
    async with RawCaller(port) as caller:
        connection = await served.ask(caller)
        served.answer()
        await waiting(connection)

        assert (True, True) == (connection.unsent, is_busy(connection))
        await served.runner.cleanup()
        seen = await caller.read()

        assert (200, b"hello", True) == (seen.status, seen.body, await caller.closed())


async def test_end_in_the_turn_of_an_answer(served):
    """F20: a connection that is closed by force sends the answer that waits first."""
    port = await served.start()
    async with RawCaller(port) as caller:
        connection = await served.ask(caller)
        served.answer()
        await waiting(connection)

        connection.force_close()
        seen = await caller.read()

        assert (200, b"hello", True) == (seen.status, seen.body, await caller.closed())


@pytest.mark.parametrize(
    ("behind", "status"),
    [
        pytest.param(request("GET", "/", [("Host", "a"), ("Host", "b")]), 400, id="refused"),
        pytest.param(b"no request\r\n\r\n", 400, id="unreadable"),
        pytest.param(request("OPTIONS", "*"), 204, id="answered_by_the_gateway"),
    ],
)
async def test_order_of_pipelined_answers(served, behind, status):
    """P15: an answer that waits is sent before that to the request behind it, and once."""
    port = await served.start()
    async with RawCaller(port) as caller:
        await served.ask(caller, behind)

        served.answer()
        answers = [await caller.read(), await caller.read()]
        caller.end()

        assert [200, status] == [each.status for each in answers]
        assert await caller.closed()


async def test_request_in_pieces_of_one_turn(served):
    """A connection counts as ready once, however many pieces arrive in a turn, as over TLS."""
    port = await served.start()
    async with RawCaller(port) as caller:
        await caller.write(GET[:5])
        await until(served.connections)
        (connection,) = served.connections()
        await until(lambda: connection._part_size == 5)
        connection.data_received(GET[5:])
        connection.data_received(GET[:5])

        assert 1 == served.forwarder.outbox._ready
