"""A WebSocket server of aiohttp's behind the gateway, and a client of aiohttp's before it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self

from aiohttp import ClientSession, WSMsgType, encode_basic_auth, web

from tests.fakes.caller import basic, request
from tests.fakes.waiting import until

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator
    from typing import Any

    from aiohttp import ClientWebSocketResponse

HOST = "127.0.0.1"
LARGEST = 4 << 20

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 §1.3
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
FIELDS = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Key", KEY),
    ("Sec-WebSocket-Version", "13"),
]
HANDSHAKE = request("GET", "/chat", [basic("john", "doe"), *FIELDS])
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n"
)


def text_frame(payload: bytes) -> bytes:
    """Write a masked text frame of fewer than 126 bytes (RFC 6455 §5.2)."""
    mask = b"\x01\x02\x03\x04"
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return bytes((0x81, 0x80 | len(payload))) + mask + masked


class WebSocketUpstream:
    """Echoes messages; ``close 4001`` closes with that code, ``die`` cuts the connection.

    ``flood`` sends messages without end. ``requests`` holds the handshakes, ``codes`` how each
    connection ended: the close code, or 1006 for none.
    """

    def __init__(self, ssl_context: ssl.SSLContext | None = None) -> None:
        self._ssl = ssl_context
        self.requests: list[web.Request] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.codes: list[int | None] = []
        self.flooded = 0
        self.url = ""

    async def __aenter__(self) -> Self:
        server = web.Server(self._answer, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.05)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, 0, ssl_context=self._ssl).start()
        scheme = "https" if self._ssl else "http"
        self.url = f"{scheme}://{HOST}:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._runner.cleanup()

    async def ended(self, *codes: int) -> None:
        """Wait until as many connections have ended, with these codes."""
        await until(lambda: len(self.codes) >= len(codes))
        assert list(codes) == self.codes

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)  # type: ignore[arg-type] # of a server without a router
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return web.Response(text="plain")
        socket = web.WebSocketResponse(max_msg_size=LARGEST, protocols=("chat",))
        await socket.prepare(request)
        self.sockets.append(socket)
        try:
            await self._talk(request, socket)
        finally:
            self.codes.append(socket.close_code)
        return socket

    async def _talk(self, request: web.BaseRequest, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                await socket.send_bytes(message.data)
            elif message.data.startswith("close "):
                await socket.close(code=int(message.data[6:]), message=b"as told")
            elif message.data == "die":
                assert request.transport is not None
                request.transport.abort()
            elif message.data == "flood":
                await self._flood(socket)
            else:
                await socket.send_str(message.data)

    async def _flood(self, socket: web.WebSocketResponse) -> None:
        piece = bytes(1 << 16)
        while True:
            await socket.send_bytes(piece)
            self.flooded += len(piece)


@asynccontextmanager
async def websocket(
    port: int, credentials: tuple[str, str] = ("john", "doe"), **more: Any
) -> AsyncIterator[ClientWebSocketResponse]:
    """Open a WebSocket through the gateway at ``port``; close it in the end."""
    auth = encode_basic_auth(*credentials)
    scheme = "https" if "ssl" in more else "http"
    headers = {"Authorization": auth, **more.pop("headers", {})}
    async with (
        ClientSession() as session,
        session.ws_connect(
            f"{scheme}://{HOST}:{port}/chat", headers=headers, max_msg_size=LARGEST, **more
        ) as socket,
    ):
        yield socket


async def receive(socket: ClientWebSocketResponse, within: float = 20.0) -> Any:
    """Return the next message; the end of the connection is one, too."""
    async with asyncio.timeout(within):
        return await socket.receive()
