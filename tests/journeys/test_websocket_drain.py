"""WebSockets of a gateway that is a process of its own: drains, memory, uvloop (F20, P21, P22)."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl

import pytest
import trustme
from aiohttp import WSMsgType

from tests.fakes.caller import RawCaller
from tests.fakes.waiting import until
from tests.fakes.websocket import (
    HANDSHAKE,
    SWITCHED,
    WebSocketUpstream,
    receive,
    text_frame,
    websocket,
)
from tests.journeys.running import RunningGateway
from tests.journeys.test_drain import refuses_connections

HELLO = text_frame(b"hello")


@pytest.fixture
async def server():
    """Return a WebSocket server."""
    async with WebSocketUpstream() as upstream:
        yield upstream


@pytest.fixture
def settings(provider, server):
    """Return the settings of a gateway process before it."""
    return {
        "ISSUER": provider.issuer,
        "CLIENT_ID": provider.client_id,
        "CLIENT_SECRET": provider.client_secret,
        "UPSTREAM_URL": server.url,
        "SHUTDOWN_GRACE": "30",
    }


async def test_closed_within_the_grace(settings, server):
    """F20: a WebSocket goes on while a drain lasts, and the process ends with the last one."""
    async with RunningGateway(**settings) as gateway, websocket(gateway.port) as socket:
        gateway.signal(signal.SIGTERM)
        await until(lambda: "draining" in gateway.events)
        await socket.send_str("hello")
        assert "hello" == (await receive(socket)).data
        await socket.close()

        assert 0 == await gateway.exited()
    await server.ended(1000)


async def test_cut_after_the_grace(settings, server):
    """F20: at the end of SHUTDOWN_GRACE an open WebSocket is cut, and the status is still 0."""
    settings["SHUTDOWN_GRACE"] = "0.2"
    async with RunningGateway(**settings) as gateway, websocket(gateway.port) as socket:
        gateway.signal(signal.SIGTERM)
        end = await receive(socket)

        assert (WSMsgType.CLOSED, 1006) == (end.type, socket.close_code)
        assert 0 == await gateway.exited()
    await server.ended(1006)


async def test_handshake_under_way(settings, upstream):
    """F20, P21: a handshake answered during a drain is still carried, early bytes and all."""
    go, seen = asyncio.Event(), []

    async def answer(reader, writer, _request):
        await go.wait()
        writer.write(SWITCHED)
        seen.append(await reader.readexactly(2 * len(HELLO)))
        writer.close()

    settings["UPSTREAM_URL"] = upstream.url
    upstream.answer_next(answer)
    async with RunningGateway(**settings) as gateway, RawCaller(gateway.port) as caller:
        await caller.write(HANDSHAKE + HELLO)
        await until(lambda: upstream.requests)
        gateway.signal(signal.SIGTERM)
        assert await refuses_connections(gateway.port)
        await caller.write(HELLO)
        go.set()

        assert (101, True) == ((await caller.read()).status, await caller.closed())
        assert (0, [2 * HELLO]) == (await gateway.exited(), seen)


async def test_stalled_caller_and_the_grace(settings, server):
    """F20: a caller that reads nothing does not hold up the end of the process."""
    settings["SHUTDOWN_GRACE"] = "0.2"
    async with RunningGateway(**settings) as gateway, RawCaller(gateway.port) as caller:
        assert 101 == (await caller.send(HANDSHAKE)).status
        await caller.write(text_frame(b"flood"))
        await until(lambda: server.flooded > 1 << 20)
        gateway.signal(signal.SIGTERM)

        assert 0 == await gateway.exited()
    await until(lambda: server.codes)


@pytest.mark.parametrize("size", [10, 1 << 20], ids=["10B", "MiB"])
async def test_over_tls(settings, tmp_path, size):
    """P21: a WebSocket crosses a gateway that speaks TLS on both sides, and ends in order."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "gateway.pem")
    (tmp_path / "gateway.pem").chmod(0o600)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    ours, theirs = ssl.create_default_context(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.configure_trust(ours)
    issued.configure_cert(theirs)
    settings |= {
        "TLS_CERT_FILE": str(tmp_path / "gateway.pem"),
        "UPSTREAM_CA_FILE": str(tmp_path / "ca.pem"),
    }
    message = os.urandom(size)
    async with WebSocketUpstream(theirs) as server:
        settings["UPSTREAM_URL"] = server.url
        async with (
            RunningGateway(**settings) as gateway,
            websocket(gateway.port, ssl=ours) as socket,
        ):
            await socket.send_bytes(message)
            assert message == (await receive(socket)).data
            await socket.close(code=4001)
            await server.ended(4001)


async def test_memory_with_a_slow_reader(settings, server):
    """P22: a caller that does not read costs the gateway less than 16 MiB, whatever is sent."""
    async with RunningGateway(**settings) as gateway:
        async with websocket(gateway.port) as socket:
            await socket.send_bytes(os.urandom(1 << 20))
            await receive(socket)
        before = gateway.peak_memory
        async with RawCaller(gateway.port) as caller:
            assert 101 == (await caller.send(HANDSHAKE)).status
            await caller.write(text_frame(b"flood"))
            await until(lambda: server.flooded > 1 << 20)
            for _ in range(64):
                await caller.read_some(1 << 20)
                await asyncio.sleep(0.01)

            assert gateway.peak_memory - before < 16 << 20
