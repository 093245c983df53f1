"""An upstream that records the exact bytes of every request (RFC 9112) and answers as told."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from tests.fakes.upstream_answers import response
from tests.fakes.waiting import until

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

HOST = "127.0.0.1"
HEAD_LIMIT = 1 << 20
PIECE = 1 << 16


class MalformedRequestError(Exception):
    """What arrived is not a request with one framing."""


@dataclass(slots=True)
class RecordedRequest:
    """A request as its bytes arrived; ``complete`` turns true with the last byte of its body."""

    connection: int
    head: bytes
    method: str
    target: bytes
    version: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    wire_body: bytearray = field(default_factory=bytearray, repr=False)
    kept_body: bytearray = field(default_factory=bytearray, repr=False)
    body_length: int = 0
    complete: bool = False
    _digest: hashlib._Hash = field(default_factory=hashlib.sha256, repr=False)

    @property
    def body(self) -> bytes:
        """The body without its framing, up to the upstream's ``keep`` bytes."""
        return bytes(self.kept_body)

    @property
    def body_sha256(self) -> str:
        """The hash of the whole body, however long."""
        return self._digest.hexdigest()

    def values(self, name: bytes) -> list[bytes]:
        """Give every value of a header field, in order, whatever the case of its name."""
        return [value for found, value in self.headers if found.lower() == name.lower()]

    def add(self, piece: bytes, keep: int) -> None:
        """Take a piece of the body."""
        self.body_length += len(piece)
        self._digest.update(piece)
        self.kept_body += piece[: max(0, keep - len(self.kept_body))]


@dataclass(slots=True)
class Script:
    """An answer, when it is given, and how often still; ``None`` is for ever."""

    answer: bytes | Callable[..., Awaitable[None]]
    before_body: bool
    times: int | None


class RecordingUpstream:
    """A raw server; without a script it answers 200 with what it saw as JSON and keeps alive."""

    def __init__(
        self, *, port: int = 0, keep: int = 64 << 20, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        self.requests: list[RecordedRequest] = []
        self.malformed: list[bytes] = []
        self.connections = 0
        self.open_connections = 0
        self.keep = keep
        self._port = port
        self._ssl = ssl_context
        self._scripts: deque[Script] = deque()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.down()

    @property
    def port(self) -> int:
        """The port, the same after ``down`` and ``up``."""
        return self._port

    @property
    def url(self) -> str:
        """The URL of the root, without a final slash."""
        return f"{'https' if self._ssl else 'http'}://{HOST}:{self._port}"

    async def up(self) -> None:
        """Start to listen; on the port of the first time."""
        self._server = await asyncio.start_server(
            self._connected, HOST, self._port, limit=HEAD_LIMIT, ssl=self._ssl
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """Close the listener and every connection."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def answer_next(
        self,
        answer: bytes | Callable[..., Awaitable[None]],
        *,
        before_body: bool = False,
        times: int | None = 1,
    ) -> None:
        """Answer the next requests with raw bytes or by a function of reader, writer and request.

        ``before_body`` answers as soon as the head has arrived; the body is read afterwards.
        """
        self._scripts.append(Script(answer, before_body, times))

    def behave(self) -> None:
        """Forget every script."""
        self._scripts.clear()

    async def called(self, count: int) -> None:
        """Wait until so many requests have arrived, bodies included."""
        await until(lambda: sum(request.complete for request in self.requests) >= count)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_connections += 1
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        try:
            await self._serve(reader, writer, self.connections)
        except (asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            pass  # the caller left, or the test is over; a cancelled stream callback is reported
        except MalformedRequestError as exc:
            self.malformed.append(str(exc).encode("latin-1"))
            writer.write(response(400, close=True))
        finally:
            self.open_connections -= 1
            if task is not None:
                self._tasks.discard(task)
            writer.close()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> None:
        while not writer.is_closing():
            head = await reader.readuntil(b"\r\n\r\n")
            request = read_head(head, connection)
            self.requests.append(request)
            script = self._script()
            if script is not None and script.before_body:
                await give(script.answer, reader, writer, request)
            await read_body(reader, request, self.keep)
            if script is None:
                await give(echo(request), reader, writer, request)
            elif not script.before_body:
                await give(script.answer, reader, writer, request)

    def _script(self) -> Script | None:
        if not self._scripts:
            return None
        script = self._scripts[0]
        if script.times is not None:
            script.times -= 1
            if script.times == 0:
                self._scripts.popleft()
        return script


async def give(
    answer: bytes | Callable[..., Awaitable[None]],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    request: RecordedRequest,
) -> None:
    """Write the bytes, or let the function do it; close where the answer says so."""
    if isinstance(answer, bytes):
        writer.write(answer)
        await writer.drain()
        if b"\r\nconnection: close\r\n" in answer.lower():
            writer.close()
    else:
        await answer(reader, writer, request)


def read_head(head: bytes, connection: int) -> RecordedRequest:
    """Read a request line and header fields without changing a byte (RFC 9112 §3, §5)."""
    request_line, *lines = head[:-4].split(b"\r\n")
    parts = request_line.split(b" ")
    pairs = [line.partition(b":") for line in lines]
    if len(parts) != 3 or not all(colon and name for name, colon, _ in pairs):
        raise MalformedRequestError(head.decode("latin-1"))
    return RecordedRequest(
        connection=connection,
        head=head,
        method=parts[0].decode("ascii"),
        target=parts[1],
        version=parts[2],
        headers=tuple((name, value.strip(b" \t")) for name, _, value in pairs),
    )


async def read_body(reader: asyncio.StreamReader, request: RecordedRequest, keep: int) -> None:
    """Read the body by its one framing (RFC 9112 §6.3)."""
    lengths = request.values(b"content-length")
    codings = [coding.lower() for coding in request.values(b"transfer-encoding")]
    if len(lengths) + len(codings) > 1 or codings not in ([], [b"chunked"]):
        raise MalformedRequestError(request.head.decode("latin-1"))
    if codings:
        await read_chunks(reader, request, keep)
    elif lengths:
        await read_bytes(reader, request, int(lengths[0]), keep)
    request.complete = True


async def read_bytes(
    reader: asyncio.StreamReader, request: RecordedRequest, length: int, keep: int
) -> None:
    """Read so many bytes of body."""
    while length:
        piece = await reader.read(min(length, PIECE))
        if not piece:
            raise asyncio.IncompleteReadError(b"", length)
        length -= len(piece)
        request.wire_body += piece[: max(0, keep - len(request.wire_body))]
        request.add(piece, keep)


async def read_chunks(reader: asyncio.StreamReader, request: RecordedRequest, keep: int) -> None:
    """Read chunks and trailer fields (RFC 9112 §7.1); ``wire_body`` keeps them as they came."""
    while True:
        line = await reader.readuntil(b"\r\n")
        request.wire_body += line
        size = int(line.partition(b";")[0].strip(), 16)
        if not size:
            break
        await read_bytes(reader, request, size, keep)
        request.wire_body += await reader.readexactly(2)
    while line != b"\r\n":
        line = await reader.readuntil(b"\r\n")
        request.wire_body += line


def echo(request: RecordedRequest) -> bytes:
    """Write the default answer: what was seen, as JSON."""
    seen = {
        "method": request.method,
        "target": request.target.decode("latin-1"),
        "headers": [[part.decode("latin-1") for part in pair] for pair in request.headers],
        "body_length": request.body_length,
    }
    body = json.dumps(seen).encode()
    whole = response(200, body, (("Content-Type", "application/json"),))
    return whole.removesuffix(body) if request.method == "HEAD" else whole
