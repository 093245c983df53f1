"""Callers that send a body or take an answer too slowly (P22, P23)."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from gateway.authorization import Policy
from gateway.forwarding.upstream import Forwarder
from gateway.metrics import REGISTRY
from gateway.pipeline import Pipeline
from gateway.routing import Route, read_upstream
from gateway.server import Limits, ProxyServer
from gateway.server.deadlines import Patience
from gateway.server.trust import TrustedProxies
from tests.fakes.caller import RawCaller, request
from tests.fakes.upstream_answers import endless
from tests.fakes.waiting import until

POST = request("POST", "/", [("Transfer-Encoding", "chunked")])
SIZED = request("POST", "/", [("Content-Length", "1000000")])
PIECE = b"x" * 65536


def counted(reason):
    """Return how many connections were ended for this reason."""
    return REGISTRY.get_sample_value("bearergate_connections_cut_total", {"reason": reason}) or 0


@pytest.fixture
async def serve(upstream):
    """Return a function that serves a public route with this patience and gives the port."""
    runners, forwarders = [], []

    async def start(**patience):
        forwarders.append(Forwarder())
        routes = [Route("public", read_upstream(upstream.url), (), Policy(()))]
        limits = Limits(32768, 0, Patience(**patience))
        server = ProxyServer(
            Pipeline(routes), forwarders[-1], limits=limits, trusted=TrustedProxies(())
        )
        runners.append(web.ServerRunner(server, shutdown_timeout=0))
        await runners[-1].setup()
        await web.TCPSite(runners[-1], "127.0.0.1", 0).start()
        return runners[-1].addresses[0][1]

    yield start
    for runner, forwarder in zip(runners, forwarders, strict=True):
        await runner.cleanup()
        forwarder.close()


async def breaks_off(reader):
    """Read to the end; tell whether it came as a reset."""
    try:
        while await reader.read(1 << 20):
            pass
    except ConnectionError:
        return True
    return False


async def drip(caller, data, pause):
    """Send byte after byte until the connection ends."""
    for at in range(len(data)):
        caller._writer.write(data[at : at + 1])
        await asyncio.sleep(pause)


SLOW_BODIES = {
    "silent": (SIZED, b""),
    "dripped": (SIZED, b"x" * 2000),
    "dripped_chunks": (POST, b"1\r\nx\r\n" * 500),
    "dripped_extension": (POST, b"1;" + b"a" * 2000),
    "dripped_trailers": (POST, b"0\r\n" + b"X-A: b\r\n" * 500),
}


@pytest.mark.parametrize(("head", "body"), [pytest.param(*v, id=k) for k, v in SLOW_BODIES.items()])
async def test_body_below_the_least_rate(serve, upstream, head, body):
    """P23: a body below the least rate is 408 and close, and its upstream request is not whole."""
    port = await serve(body_window=0.5)
    before = counted("body")
    async with RawCaller(port) as caller:
        await caller.write(head)
        dripping = asyncio.create_task(drip(caller, body, 0.01))

        seen = await caller.read()
        dripping.cancel()

    assert (408, True) == (seen.status, seen.closed)
    assert before + 1 == counted("body")
    assert [] == [each for each in upstream.requests if each.complete]
    await until(lambda: upstream.open_connections == 0)


async def test_body_above_the_least_rate(serve, upstream):
    """P23: a body above the least rate may take many times the window."""
    port = await serve(body_window=2.0, min_rate=100)
    async with RawCaller(port) as caller:
        await caller.write(POST)
        for _ in range(30):
            await caller.write(b"64\r\n" + b"x" * 100 + b"\r\n")
            await asyncio.sleep(0.1)

        seen = await caller.send(b"0\r\n\r\n")

    assert (200, 3000) == (seen.status, upstream.requests[0].body_length)


async def test_fast_beginning_does_not_pay_for_a_standstill(serve, upstream):
    """P23: what arrived quickly earns no more time than one window."""
    port = await serve(body_window=0.5, min_rate=100)
    async with RawCaller(port) as caller:
        await caller.write(SIZED + b"x" * 500_000)

        seen = await caller.read()

    assert (408, True) == (seen.status, seen.closed)


async def test_body_without_least_rate(serve, upstream):
    """P23: without a least rate a body may drip, and only not stand still."""
    port = await serve(body_window=1.5, min_rate=0)
    async with RawCaller(port) as caller:
        await caller.write(POST)
        await drip(caller, b"1\r\nx\r\n" * 40, 0.005)
        await until(lambda: upstream.requests and upstream.requests[0].body_length == 40)

        seen = await caller.read()

    assert (408, True) == (seen.status, seen.closed)


async def test_slow_upstream_is_not_the_callers_fault(serve, upstream):
    """P23: while the upstream does not read, no rate is asked of the caller."""
    port = await serve(body_window=0.5)
    go = asyncio.Event()

    async def read_late(_reader, writer, _request):
        await go.wait()

    upstream.answer_next(read_late, before_body=True)
    async with RawCaller(port) as caller:
        await caller.write(request("POST", "/", [("Content-Length", str(len(PIECE) * 200))]))
        sending = asyncio.create_task(caller.write(PIECE * 200))
        await asyncio.sleep(2)
        assert not upstream.requests[0].complete
        go.set()
        await sending
        await upstream.called(1)

    assert len(PIECE) * 200 == upstream.requests[0].body_length


@pytest.mark.parametrize("min_rate", [0, 1024], ids=["standstill", "rate"])
async def test_answer_nobody_takes(serve, upstream, min_rate):
    """P23: a caller that takes nothing of its answer is cut, and the upstream is left."""
    port = await serve(answer_window=0.5, min_rate=min_rate)
    before = counted("answer")
    upstream.answer_next(endless(PIECE))
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(request("GET", "/"))

    await until(lambda: counted("answer") == before + 1, within=20)
    await until(lambda: upstream.open_connections == 0)
    assert await breaks_off(reader)
    writer.close()


async def test_answer_taken_below_the_least_rate(serve, upstream):
    """P23: taking a few bytes now and then is not enough."""
    port = await serve(answer_window=1.0, min_rate=1_000_000)
    before = counted("answer")
    upstream.answer_next(endless(PIECE))
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(request("GET", "/"))

    async def sip():
        for _ in range(100_000):
            await reader.read(100)
            await asyncio.sleep(0.01)

    sipping = asyncio.create_task(sip())
    await until(lambda: counted("answer") == before + 1, within=20)
    sipping.cancel()
    writer.close()


async def test_answer_taken_slowly_enough(serve, upstream):
    """P22, P23: a caller that reads slowly, above the least rate, gets its whole answer."""
    port = await serve(answer_window=3.0, min_rate=1000)
    size = 16 << 20

    async def answer(_reader, writer, _request):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // len(PIECE)):
            writer.write(PIECE)
            await writer.drain()

    upstream.answer_next(answer)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=65536)
    writer.write(request("GET", "/"))
    await reader.readuntil(b"\r\n\r\n")
    total = 0
    while total < size:
        total += len(await reader.read(256 * 1024))
        await asyncio.sleep(0.08)
    writer.close()

    assert size == total


async def test_kept_connection_that_does_not_take_its_answer(serve, upstream):
    """P23: what is left of a finished answer is not kept for ever either."""
    port = await serve(answer_window=0.5, idle=60.0)
    before = counted("answer")
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    reader._transport.pause_reading()
    writer.write(request("POST", "/", body=PIECE) * 8)

    async def answer(_reader, upstream_writer, _request):
        upstream_writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 20))
        upstream_writer.write(b"x" * (1 << 20))

    upstream.answer_next(answer, times=None)

    await until(lambda: counted("answer") == before + 1, within=20)
    writer.close()
