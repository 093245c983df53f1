"""A caller that sends exact bytes and reads one response at a time (RFC 9112)."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

HOST = "127.0.0.1"
LIMIT = 1 << 20
PIECE = 1 << 16

Field = tuple[bytes | str, bytes | str]


@dataclass(frozen=True, slots=True)
class RawResponse:
    """A response as its bytes arrived; ``status`` is 0 when the connection ended without one.

    ``truncated`` tells that it ended before its framing said so, ``closed`` that the gateway has
    closed the connection after it.
    """

    status: int
    reason: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = field(default=b"", repr=False)
    truncated: bool = False
    closed: bool = False
    interim: tuple[int, ...] = ()

    def values(self, name: bytes | str) -> list[bytes]:
        """Give every value of a header field, in order, whatever the case of its name."""
        return [value for found, value in self.headers if found.lower() == encode(name).lower()]

    def json(self) -> Any:
        """Read the body as JSON."""
        return json.loads(self.body)


class RawCaller:
    """One TCP connection to a port; bytes go out as given."""

    def __init__(
        self,
        port: int,
        host: str = HOST,
        *,
        within: float = 10.0,
        source: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._port = port
        self._host = host
        self._local = None if source is None else (source, 0)
        self._within = within
        self._ssl = ssl_context
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(
            self._host, self._port, limit=LIMIT, ssl=self._ssl, local_addr=self._local
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.leave()

    @property
    def secured(self) -> ssl.SSLObject:
        """What TLS agreed on."""
        return self._writer.get_extra_info("ssl_object")

    async def send(self, data: bytes) -> RawResponse:
        """Send the bytes and read one response; a HEAD request is recognised by its first word."""
        await self.write(data)
        return await self.read(head=data.startswith(b"HEAD "))

    async def write(self, data: bytes, pause: float = 0.0, size: int = 1) -> None:
        """Send the bytes, at once or ``size`` bytes at a time with a pause before each."""
        parts = [data[at : at + size] for at in range(0, len(data), size)] if pause else [data]
        try:
            for part in parts:
                await asyncio.sleep(pause)
                self._writer.write(part)
                await self._writer.drain()
        except ConnectionError:
            pass  # the answer, if there is one, came before the whole request was taken

    async def read(self, *, head: bool = False) -> RawResponse:
        """Read one response; ``head`` tells that it has no body whatever its fields say."""
        async with asyncio.timeout(self._within):
            return await self._read(head=head)

    async def read_some(self, size: int = PIECE) -> bytes:
        """Read whatever comes next, unread; nothing means the connection has ended."""
        async with asyncio.timeout(self._within):
            try:
                return await self._reader.read(size)
            except ConnectionError:
                return b""

    async def closed(self, within: float = 10.0) -> bool:
        """Wait for the end of the connection; tell whether it came, and before any more bytes."""
        try:
            async with asyncio.timeout(within):
                return not await self._reader.read(1)
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def end(self) -> None:
        """Close the sending half; the answer can still be read."""
        self._writer.write_eof()

    def leave(self) -> None:
        """Close the connection."""
        self._writer.close()

    def reset(self) -> None:
        """Tear the connection down with a reset."""
        connection = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def _read(self, *, head: bool) -> RawResponse:
        interim: list[int] = []
        while True:
            try:
                lines = (await self._reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
            except asyncio.IncompleteReadError as exc:
                return RawResponse(0, body=exc.partial, truncated=True, closed=True)
            except ConnectionError:
                return RawResponse(0, truncated=True, closed=True)
            _version, status, reason = (lines[0] + b" ").split(b" ", 2)
            if status == b"101" or not status.startswith(b"1"):
                break
            interim.append(int(status))
        pairs = [line.partition(b":") for line in lines[1:]]
        headers = tuple((name, value.strip(b" \t")) for name, _, value in pairs)
        first = RawResponse(int(status), reason.rstrip(), headers)
        empty = head or first.status in {101, 204, 304}
        body, truncated, ended = (b"", False, False) if empty else await self._read_body(first)
        announced = any(b"close" in value.lower() for value in first.values(b"connection"))
        closed = ended or (announced and await self.closed())
        return RawResponse(
            first.status, first.reason, headers, body, truncated, closed, tuple(interim)
        )

    async def _read_body(self, first: RawResponse) -> tuple[bytes, bool, bool]:
        """Read a body: its bytes, whether it was cut short, whether the connection ended."""
        body = bytearray()
        try:
            if first.values(b"transfer-encoding"):
                await self._read_chunks(body)
            elif length := first.values(b"content-length"):
                await self._read_exactly(body, int(length[0]))
            else:
                while piece := await self._reader.read(PIECE):
                    body += piece
                return bytes(body), False, True
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            return bytes(body), True, True
        return bytes(body), False, False

    async def _read_exactly(self, body: bytearray, length: int) -> None:
        while length:
            piece = await self._reader.read(min(length, PIECE))
            if not piece:
                raise asyncio.IncompleteReadError(b"", length)
            length -= len(piece)
            body += piece

    async def _read_chunks(self, body: bytearray) -> None:
        while size := int((await self._reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            await self._read_exactly(body, size)
            await self._reader.readexactly(2)
        while await self._reader.readuntil(b"\r\n") != b"\r\n":
            pass


def encode(text: bytes | str) -> bytes:
    """Give bytes as they are and text as UTF-8."""
    return text.encode() if isinstance(text, str) else text


def request(
    method: bytes | str = "GET",
    target: bytes | str = "/",
    headers: Iterable[Field] = (),
    body: bytes | None = None,
) -> bytes:
    """Write a request; ``Host`` and ``Content-Length`` are added where they are not given."""
    pairs = [(encode(name), encode(value)) for name, value in headers]
    names = {name.lower() for name, _ in pairs}
    if b"host" not in names:
        pairs.insert(0, (b"Host", b"gateway.test"))
    if body is not None and not names & {b"content-length", b"transfer-encoding"}:
        pairs.append((b"Content-Length", str(len(body)).encode()))
    lines = [encode(method) + b" " + encode(target) + b" HTTP/1.1"]
    lines += [name + b": " + value for name, value in pairs]
    return b"\r\n".join([*lines, b"", body or b""])


def basic(username: str, password: str) -> tuple[bytes, bytes]:
    """Write an ``Authorization`` field for a Basic pair (RFC 7617 §2)."""
    token = base64.b64encode(f"{username}:{password}".encode())
    return b"Authorization", b"Basic " + token
