"""WebSockets with counterparts no one here wrote: nginx on both sides, a server of websockets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from aiohttp import WSMsgType, WSServerHandshakeError

from tests.fakes.provider import FakeProvider
from tests.fakes.websocket import receive, websocket
from tests.journeys.running import RunningGateway

from . import counterparts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.peer("nginx"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Run an echo server behind an nginx and give the port of that."""
    folder = tmp_path_factory.mktemp("websockets")
    with (
        counterparts.websocket_echo(folder) as port,
        counterparts.nginx(folder / "behind", port) as front,
    ):
        yield front


@pytest.fixture
async def port(echo: int, tmp_path: Path) -> AsyncIterator[int]:
    """Run a gateway before the echo server, and an nginx before that; give the port of that."""
    async with FakeProvider() as provider:
        settings = {
            "ISSUER": provider.issuer,
            "CLIENT_ID": provider.client_id,
            "CLIENT_SECRET": provider.client_secret,
            "UPSTREAM_URL": f"http://127.0.0.1:{echo}",
        }
        async with RunningGateway(**settings) as gateway:
            with counterparts.nginx(tmp_path / "before", gateway.port) as front:
                yield front


@pytest.mark.parametrize("compress", [0, 15], ids=["plain", "deflate"])
async def test_messages_cross(port: int, compress: int) -> None:
    """P21: messages of every kind and size cross the chain as they are, compressed or not."""
    sent = ["", "hällo", "x" * 100_000, os.urandom(10), os.urandom(1 << 20)]
    async with websocket(port, compress=compress) as socket:
        assert bool(compress) is bool(socket.compress)
        for message in sent:
            await (socket.send_str if isinstance(message, str) else socket.send_bytes)(message)
            assert message == (await receive(socket)).data
        await socket.ping(b"still there")
        await socket.close(code=4001)

        assert (4001, True) == (socket.close_code, socket.closed)


async def test_no_credentials(port: int) -> None:
    """P21: without good credentials the chain opens nothing."""
    with pytest.raises(WSServerHandshakeError) as refused:
        async with websocket(port, ("john", "wrong")):
            pass

    assert 401 == refused.value.status


async def test_wrong_version(port: int) -> None:
    """P21: the server's own refusal of a handshake reaches the caller."""
    with pytest.raises(WSServerHandshakeError) as refused:
        async with websocket(port, headers={"Sec-WebSocket-Version": "12"}):
            pass

    assert 400 == refused.value.status
    # The gateway's own answers are JSON.
    assert "text/plain" in refused.value.headers["Content-Type"]


async def test_broken_frame(port: int) -> None:
    """P21: bytes that are no frame reach the server, and its close code comes back."""
    async with websocket(port) as socket:
        socket._response.connection.transport.write(b"\x89\xfe\x01\x00" + bytes(260))
        end = await receive(socket)

        assert (WSMsgType.CLOSE, 1002) == (end.type, end.data)
