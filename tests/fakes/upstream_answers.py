"""What an upstream may send back: well framed, slow, cut short, or wrong (RFC 9112 §6, §7)."""

from __future__ import annotations

import asyncio
import socket
import struct
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter, object], Awaitable[None]]


def response(
    status: int = 200,
    body: bytes = b"",
    headers: Iterable[tuple[str, str]] = (),
    *,
    close: bool = False,
) -> bytes:
    """Write a response with ``Content-Length``, or none where there can be no body."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if status >= HTTPStatus.OK and status not in {204, 304}:
        lines.append(f"Content-Length: {len(body)}")
    if close:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chunked(
    parts: Iterable[bytes], headers: Iterable[tuple[str, str]] = (), *, end: bool = True
) -> bytes:
    """Write a response in chunks (RFC 9112 §7.1), with or without the last one."""
    lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in headers)]
    head = "\r\n".join([*lines, "Transfer-Encoding: chunked", "", ""]).encode("latin-1")
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return head + body + (b"0\r\n\r\n" if end else b"")


def pieces(parts: Iterable[bytes], pause: float = 0.01) -> Script:
    """Write the parts one after another with a pause before each."""

    async def answer(
        _reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _request: object
    ) -> None:
        for part in parts:
            await asyncio.sleep(pause)
            writer.write(part)
            await writer.drain()

    return answer


def cut(data: bytes, *, reset: bool = False) -> Script:
    """Write the data and end the connection: an orderly close, or a reset."""

    async def answer(
        _reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _request: object
    ) -> None:
        if data:
            writer.write(data)
            await writer.drain()
        if reset:
            await asyncio.sleep(0.05)  # a reset overtakes what has not been read
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        writer.close()

    return answer


def silence(data: bytes = b"") -> Script:
    """Write the data, then nothing more until the other side has left."""

    async def answer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _request: object
    ) -> None:
        writer.write(data)
        await writer.drain()
        while await reader.read(1 << 16):
            pass
        writer.close()

    return answer


def endless(piece: bytes, limit: int = 1 << 32) -> Script:
    """Write a response without end, in chunks, as fast as it is taken."""

    async def answer(
        _reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _request: object
    ) -> None:
        writer.write(chunked([], end=False))
        for _ in range(limit // max(1, len(piece))):
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()

    return answer


UNASKED_UPGRADE: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
)

#: Answers no gateway may pass on as a well-formed message (RFC 9112 §6.3, §7.1): 502.
WRONG_HEADS: Final[dict[str, bytes]] = {
    "not_http": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "no_version": b"200 OK\r\nContent-Length: 0\r\n\r\n",
    "status_of_two_digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "status_not_a_number": b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
    "length_and_chunked": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "two_lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "length_list": b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello!",
    "length_negative": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "length_signed": b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
    "length_not_a_number": b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello",
    "unknown_coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: rot13\r\n\r\nuryyb",
    "chunked_not_last": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "control_in_value": b"HTTP/1.1 200 OK\r\nX-A: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "space_in_name": b"HTTP/1.1 200 OK\r\nX A: b\r\nContent-Length: 0\r\n\r\n",
    "space_before_colon": b"HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length: 0\r\n\r\n",
    "unasked_upgrade": UNASKED_UPGRADE,
}

#: Bodies that go wrong after a good head: the caller must see the message end incomplete.
WRONG_BODIES: Final[dict[str, bytes]] = {
    "chunk_size_not_hex": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n",
    "chunk_longer_than_said": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n"
    ),
    "chunk_size_overflow": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n"
    ),
}
