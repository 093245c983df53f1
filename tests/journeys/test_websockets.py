"""WebSockets through the gateway, with aiohttp's server and client as counterparts (P21)."""

from __future__ import annotations

import asyncio
import os

import pytest
from aiohttp import WSMsgType

from gateway import metrics
from tests.fakes.caller import RawCaller
from tests.fakes.waiting import until
from tests.fakes.websocket import HANDSHAKE, WebSocketUpstream, receive, text_frame, websocket


@pytest.fixture
async def server():
    """Return a WebSocket server."""
    async with WebSocketUpstream() as upstream:
        yield upstream


@pytest.fixture
async def gateway(start_gateway, server):
    """Return a gateway before it."""
    return await start_gateway(UPSTREAM_URL=server.url)


async def test_handshake(gateway, server, provider):
    """P21: the handshake is exchanged like any request; what it offers and answers passes."""
    async with websocket(gateway.port, protocols=("chat",), compress=15) as socket:
        [seen] = server.requests

        assert ("chat", 15) == (socket.protocol, socket.compress)
        assert ["/chat", "chat"] == [seen.path, seen.headers["Sec-WebSocket-Protocol"]]
        assert seen.headers["Authorization"].startswith("Bearer ey")
        assert ["127.0.0.1", 1] == [seen.headers["X-Forwarded-For"], len(provider.token_calls)]


@pytest.mark.parametrize(
    "message",
    [
        pytest.param("hällo", id="text"),
        pytest.param("", id="empty"),
        pytest.param(os.urandom(100), id="binary"),
        pytest.param(os.urandom(1 << 20), id="MiB"),
        pytest.param("x" * 3_000_000, id="3MB_of_text"),
    ],
)
async def test_messages(gateway, message):
    """P21: a message of any kind and size comes back as it went."""
    async with websocket(gateway.port) as socket:
        await (socket.send_str if isinstance(message, str) else socket.send_bytes)(message)

        assert message == (await receive(socket)).data


async def test_fragments_and_pings(gateway):
    """P21: fragments and control frames between them cross as they are."""
    async with websocket(gateway.port, autoping=False) as socket:
        await socket.send_frame(b"one", WSMsgType.TEXT)
        await socket.ping(b"are you there")
        first, second = await receive(socket), await receive(socket)

        assert ("one", b"are you there") == (first.data, second.data)
        assert WSMsgType.PONG is second.type


@pytest.mark.parametrize("code", [1000, 1001, 1011, 4001])
async def test_close_by_the_upstream(gateway, server, code):
    """P21: the upstream's close code and reason reach the caller, the caller's answer it."""
    async with websocket(gateway.port) as socket:
        await socket.send_str(f"close {code}")
        end = await receive(socket)

        assert (WSMsgType.CLOSE, code, "as told") == (end.type, end.data, end.extra)
    # aiohttp's client answers every close frame with 1000.
    await server.ended(1000)


@pytest.mark.parametrize("code", [1000, 1001, 4001])
async def test_close_by_the_caller(gateway, server, code):
    """P21: the caller's close code reaches the upstream."""
    async with websocket(gateway.port) as socket:
        await socket.close(code=code)

    await server.ended(code)


async def test_many_messages_both_ways(gateway):
    """P21: many messages under way in both directions at once keep their order."""
    sent = [os.urandom(1 + number * 37 % 5000) for number in range(500)]
    async with websocket(gateway.port) as socket:
        sending = asyncio.create_task(_send_all(socket, sent))
        received = [(await receive(socket)).data for _ in sent]
        await sending

    assert sent == received


async def _send_all(socket, messages):
    for message in messages:
        await socket.send_bytes(message)


async def test_upstream_dies(gateway):
    """P26: the death of the upstream is seen by the caller as an end without a close frame."""
    async with websocket(gateway.port) as socket:
        await socket.send_str("die")
        end = await receive(socket)

        assert (WSMsgType.CLOSED, 1006) == (end.type, socket.close_code)


async def test_caller_dies(gateway, server):
    """P25: a caller that hangs up without a close frame ends the upstream's connection."""
    async with websocket(gateway.port) as socket:
        socket._response.connection.transport.abort()
        await server.ended(1006)


async def test_slow_reader_stops_the_upstream(gateway, server):
    """P22: a caller that does not read stops the upstream from sending; memory stays bounded."""
    async with RawCaller(gateway.port) as caller:
        assert 101 == (await caller.send(HANDSHAKE)).status
        await caller.write(text_frame(b"flood"))
        await settled(server)

        held = server.flooded
        assert 0 < held < 32 << 20
        seen = 0
        while seen < held + (16 << 20):
            seen += len(await caller.read_some())
        assert server.flooded > held
    await until(lambda: server.codes)


async def settled(server):
    """Wait until the server has sent something and then nothing more for a while."""
    await until(lambda: server.flooded)
    seen = 0
    while seen != server.flooded:
        seen = server.flooded
        await asyncio.sleep(0.5)


async def test_counted(gateway, server):
    """P21: the gauge tells how many are open, and the counter how they ended."""
    before = ended()
    async with websocket(gateway.port), websocket(gateway.port):
        assert 2 == metrics.TUNNELS._value.get()
    await until(lambda: metrics.TUNNELS._value.get() == 0)

    assert before + 2 == ended()


def ended():
    """Return how many have ended because one of the two peers hung up."""
    children = [metrics.TUNNELS_ENDED.labels(reason) for reason in ("caller", "upstream")]
    return sum(child._value.get() for child in children)


async def test_access_line(gateway, written, server):
    """P21: a tunnel has one access line, at its end, with its status, its user and its bytes."""
    async with websocket(gateway.port) as socket:
        await socket.send_str("hello")
        await receive(socket)
    await server.ended(1000)
    await until(lambda: metrics.TUNNELS._value.get() == 0)

    [line] = [line for line in written() if line["logger"] == "gateway.access"]
    assert ("GET", "/chat", 101, "password") == tuple(
        line[name] for name in ("method", "path", "status", "grant")
    )
    assert line["cause"].endswith("hung up, 19 bytes to the upstream, 11 to the caller")
