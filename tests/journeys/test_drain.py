"""SIGTERM: what is under way is finished, nothing new begins, the exit status is 0 (F20)."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.fakes.caller import RawCaller, basic, request
from tests.fakes.upstream_answers import pieces, response, silence
from tests.fakes.waiting import until
from tests.journeys.running import RunningGateway

JOHN = basic("john", "doe")
GET = request("GET", "/", [JOHN])


@pytest.fixture
def settings(provider, upstream):
    """Return the settings of a gateway process."""
    return {
        "ISSUER": provider.issuer,
        "CLIENT_ID": provider.client_id,
        "CLIENT_SECRET": provider.client_secret,
        "UPSTREAM_URL": upstream.url,
        "SHUTDOWN_GRACE": "10",
    }


async def refuses_connections(port):
    """Wait until nobody listens on the port any more."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            return True
        writer.close()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_idle_gateway_stops(settings, number):
    """F20: without requests under way the process ends at once with 0, kept connections too."""
    async with RunningGateway(**settings) as gateway, RawCaller(gateway.port) as caller:
        await caller.send(GET)

        gateway.signal(number)

        assert (0, True) == (await gateway.exited(), await caller.closed())


async def test_no_grace(settings, upstream):
    """F20: with SHUTDOWN_GRACE=0 nobody is waited for, and the status is 0."""
    upstream.answer_next(silence(b""))
    settings["SHUTDOWN_GRACE"] = "0"
    async with RunningGateway(**settings) as gateway, RawCaller(gateway.port) as caller:
        await caller.write(GET)
        await until(lambda: upstream.requests, within=60)

        gateway.signal(signal.SIGTERM)

        assert (0, True) == (await gateway.exited(), await caller.closed())


async def test_response_under_way_is_finished(settings, upstream):
    """F20: a response under way is finished, new connections are refused, the status is 0."""
    go = asyncio.Event()

    async def answer(_reader, writer, _request):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        await go.wait()
        writer.write(b"hello")

    async with RunningGateway(**settings) as gateway, RawCaller(gateway.port) as caller:
        upstream.answer_next(answer)
        await caller.write(GET)
        await until(lambda: upstream.requests)

        gateway.signal(signal.SIGTERM)
        assert await refuses_connections(gateway.port)
        go.set()
        seen = await caller.read()

        assert (200, b"hellohello") == (seen.status, seen.body)
        assert (0, True) == (await gateway.exited(), await caller.closed())


async def test_waiting_request_is_finished(settings, upstream):
    """F20: a request that waits for the upstream is answered, and the answer says close."""
    go = asyncio.Event()

    async def answer(_reader, writer, _request):
        await go.wait()
        writer.write(response(200, b"hello"))

    async with RunningGateway(**settings) as gateway, RawCaller(gateway.port) as caller:
        upstream.answer_next(answer)
        await caller.write(GET)
        await until(lambda: upstream.requests)
        gateway.signal(signal.SIGTERM)
        assert await refuses_connections(gateway.port)
        go.set()

        seen = await caller.read()

        assert (200, [b"close"], True) == (seen.status, seen.values("connection"), seen.closed)
        assert 0 == await gateway.exited()


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_upload_under_way_is_finished(settings, upstream, framing):
    """F20: a request whose body is still arriving is read to its end and answered."""
    chunked = framing == "chunked"
    field = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", "10")
    async with RunningGateway(**settings) as gateway, RawCaller(gateway.port) as caller:
        await caller.write(request("POST", "/", [JOHN, field]))
        await caller.write(b"5\r\nhello\r\n" if chunked else b"hello")
        await until(lambda: upstream.requests and upstream.requests[0].body_length == 5)

        gateway.signal(signal.SIGTERM)
        assert await refuses_connections(gateway.port)
        await caller.write(b"5\r\nhello\r\n0\r\n\r\n" if chunked else b"hello")
        seen = await caller.read()

        assert (200, b"hellohello") == (seen.status, upstream.requests[0].body)
        assert 0 == await gateway.exited()


async def test_slow_reader_gets_the_rest(settings, upstream):
    """F20: what is written and not yet read by a slow caller is sent before the process ends."""
    size = 3_000_000
    async with RunningGateway(**settings) as gateway:
        upstream.answer_next(response(200, b"x" * size))
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, limit=1024)
        writer.write(GET)
        await reader.readuntil(b"\r\n\r\n")

        gateway.signal(signal.SIGTERM)
        assert await refuses_connections(gateway.port)
        seen = 0
        while seen < size and (piece := await reader.read(100_000)):
            seen += len(piece)
            await asyncio.sleep(0.002)
        writer.close()

        assert size == seen
        assert 0 == await gateway.exited()


async def test_grace_ends(settings, upstream):
    """F20: a request that outlasts SHUTDOWN_GRACE is cut, visibly, and the status is still 0."""
    upstream.answer_next(silence(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"))
    settings["SHUTDOWN_GRACE"] = "0.2"
    async with RunningGateway(**settings) as gateway, RawCaller(gateway.port) as caller:
        await caller.write(GET)
        await until(lambda: upstream.requests)

        gateway.signal(signal.SIGTERM)
        seen = await caller.read()

        assert (b"hello", True) == (seen.body, seen.truncated)
        assert 0 == await gateway.exited()


async def test_streams_under_uvloop(settings, upstream):
    """F20, P22: the process, on its own event loop, answers many requests in pieces and drains."""
    async with RunningGateway(**settings) as gateway:
        body = b"x" * 300_000
        upstream.answer_next(
            pieces([response(200, body)[at : at + 50_000] for at in range(0, 301_000, 50_000)], 0),
            times=None,
        )
        answers = []
        async with RawCaller(gateway.port) as caller:
            answers += [await caller.send(request("POST", "/", [JOHN], body)) for _ in range(5)]

        gateway.signal(signal.SIGTERM)

        assert [(200, body)] * 5 == [(each.status, each.body) for each in answers]
        assert 0 == await gateway.exited()
        assert "error" not in gateway.events
