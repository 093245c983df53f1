"""One connection of a caller: aiohttp's HTTP/1 protocol with our answers to what it cannot read.

Rule: aiohttp's parser errors quote the bytes they stumbled on, so their texts go nowhere.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.http import StreamWriter
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.web_protocol import (
    ERROR,
    PayloadAccessError,
    RequestHandler,
    RequestPayloadError,
    _ErrInfo,
)

from gateway.errors import GatewayError, HeaderTooLargeError, RequestError
from gateway.logs import AccessEntry, write_access
from gateway.server.answers import write_error
from gateway.server.chunked import ChunkedProtocol
from gateway.server.written import Written

if TYPE_CHECKING:
    from aiohttp.http import RawRequestMessage
    from aiohttp.streams import StreamReader
    from aiohttp.web_server import Server

    from gateway.outbox import Outbox
    from gateway.server.door import Door

# How long leftovers of a refused body are read, in seconds.
LINGERING_TIME = 2.0
# How many fields aiohttp reads; ``read_head`` then refuses them with the right status.
MAX_FIELDS_READ = 8192
_SHORTEST_FIELD = len(b"a:\r\n")


class ProxyProtocol(ChunkedProtocol):
    """Reads requests as they are: no decompression, no access log of aiohttp's."""

    __slots__ = ("_server", "_writer", "draining", "handed_over")

    def __init__(self, manager: Server, *, door: Door, outbox: Outbox, max_field_size: int) -> None:
        super().__init__(
            manager,
            door=door,
            outbox=outbox,
            loop=asyncio.get_running_loop(),
            access_log=None,  # none of aiohttp's
            keepalive_timeout=0.0,  # none of aiohttp's: ``deadlines`` ends silent connections
            lingering_time=LINGERING_TIME,
            max_line_size=max_field_size,
            max_field_size=max_field_size,
            max_headers=min(max_field_size // _SHORTEST_FIELD, MAX_FIELDS_READ),
            auto_decompress=False,
        )
        self.draining = False
        self.handed_over = False  # to a tunnel, which has limits of its own
        self._server = manager
        self._writer = StreamWriter(self, self._loop)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Leave nothing that holds itself: the garbage collector has no part in an ordinary end."""
        super().connection_lost(exc)
        del self._writer

    @property
    def busy(self) -> bool:
        """Whether a request is under way, or its answer not sent to the end."""
        return self._request_in_progress or bool(self._messages) or self.unsent

    def data_received(self, data: bytes) -> None:
        """Read request bytes; what the parser cannot read also ends the body it is part of."""
        super().data_received(data)
        if not self._messages:
            if self._current_request is None:
                self.note_part(data)
            elif self.note_body(self._current_request.content, data):
                self._break_bodies()
            return
        message, body = self._messages[-1]
        if isinstance(message, _ErrInfo):
            self._break_bodies()
        elif message.chunked:
            self.note_chunked(body, data)

    async def start(self) -> None:
        """Answer the requests of this connection, one after another, in the connection's own task.

        It stands in for aiohttp's loop, which makes a second task for each request, to give it a
        context of its own, and a writer for a response that is not written yet.
        """
        while not self._force_close:
            if not self._messages:
                self._waiter = self._loop.create_future()
                try:
                    await self._waiter
                finally:
                    self._waiter = None
                    self._outbox.resume()
            self.flush()
            message, body = self._messages.popleft()
            self._let_more_arrive()
            if not isinstance(message, _ErrInfo) and message.chunked:
                self.begin_chunked()
            try:
                written = await self._answer(message, body)
                if not body.is_eof():
                    await self._linger(body)
            except asyncio.CancelledError:
                self.force_close()
                raise
            if not self._may_carry_more(written):
                break
        if not self._force_close:
            self._task_handler = None
            self.flush()
            if self.transport is not None:
                self.transport.close()

    def _let_more_arrive(self) -> None:
        """Tell the parser that a message was taken: it reads a bounded number of them ahead."""
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()

    async def _answer(
        self, message: RawRequestMessage | _ErrInfo, body: StreamReader
    ) -> web.StreamResponse:
        """Answer one request."""
        unreadable = message if isinstance(message, _ErrInfo) else None
        request = web.BaseRequest(
            ERROR if isinstance(message, _ErrInfo) else message,
            body,
            self,
            self._writer,
            self._task_handler,  # type: ignore[arg-type] # None once the connection is lost
            self._loop,
        )
        self._current_request = request
        self._request_in_progress = True
        try:
            if unreadable is None:
                written = await self._server.request_handler(request)
            else:
                written = self.handle_error(request, unreadable.status, unreadable.exc)
        finally:
            self._current_request = None
            self._request_in_progress = False
            if self._handler_waiter is not None and not self._handler_waiter.done():
                self._handler_waiter.set_result(None)
        if self._upgraded:  # an upgrade that was not made: what came behind it is read now
            await self.finish_response(request, written, None)
        return written

    async def _linger(self, body: StreamReader) -> None:
        """Read what is left of a body nobody wanted, for a while: a reset could eat the answer."""
        # Who sent the body on has been told to stop, and does so now: only one may read it.
        await asyncio.sleep(0)
        with suppress(TimeoutError, HttpProcessingError, RequestPayloadError, OSError):
            async with asyncio.timeout(self._lingering_time):
                while not body.is_eof() and self._lingering_time:
                    await body.readany()
        if not body.is_eof():
            self.close()
            body.set_exception(PayloadAccessError())

    def _may_carry_more(self, written: web.StreamResponse) -> bool:
        """Return whether the next request may come, and give it its time to do so."""
        self._keepalive = bool(written.keep_alive)
        return self._keepalive and not self._close and not self._force_close

    def _break_bodies(self) -> None:
        """Fail the body under way: aiohttp would leave whoever reads it waiting for ever."""
        # What follows is not read either, or aiohttp would report the broken body as its own error.
        self._lingering_time = 0.0
        bodies = [body for _, body in self._messages]
        if self._current_request is not None:
            bodies.append(self._current_request.content)
        for body in bodies:
            if not body.is_eof():
                body.set_exception(RequestPayloadError("unreadable"))

    @property
    def upgrading(self) -> bool:
        """Whether what arrives behind the request under way is kept unread: a WebSocket's."""
        return self._upgraded

    def hand_over(self, protocol: asyncio.BaseProtocol) -> bytes:
        """Give the connection to ``protocol``; return what has arrived and nobody has read."""
        transport = self.transport
        assert transport is not None  # noqa: S101 - the caller's request is being answered
        transport.set_protocol(protocol)
        self.handed_over = True
        unread, self._message_tail = self._message_tail, b""
        if self._buffer_paused:
            self._resume_reading_for_buffer()
        return unread

    def ends_after(self, request: web.BaseRequest) -> bool:
        """Return whether no other request may be read behind this one."""
        chunked = request._message.chunked  # noqa: SLF001 - the parser's verdict, shown nowhere else
        return self.draining or (chunked and not self.parser_is_clean)

    def close(self) -> None:
        """Take no more requests; the body of the one under way still arrives."""
        self.draining = True
        if self._upgraded:
            # aiohttp would lose what arrives now, and it belongs to a tunnel or comes too late.
            return
        request = self._current_request
        if request is None or request.content.is_eof():
            super().close()
        else:
            # aiohttp reads nothing at all from a connection that is to be closed.
            request.content.on_eof(super().close)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what the parser refused, in the gateway's own words, and close."""
        del message
        request_id = os.urandom(12).hex()
        error = _error_of(status, exc)
        if self.transport is not None:
            self.transport.write(write_error(request, error, request_id, keep_alive=False))
        write_access(
            AccessEntry(
                request_id=request_id,
                method="-",
                path="-",
                status=error.status,
                duration_ms=0.0,
                error=error.error,
                cause=str(exc) if exc is error else f"unreadable request: {type(exc).__name__}",
            )
        )
        return Written(keep_alive=False)


def is_busy(connection: RequestHandler) -> bool:
    """Return whether ``connection`` is one of ours with a request under way or bytes unsent."""
    return isinstance(connection, ProxyProtocol) and connection.busy


def why_left(request: web.BaseRequest) -> str:
    """Return why the caller is gone, for the access line."""
    protocol = request.protocol
    cut_because = protocol.cut_because if isinstance(protocol, ProxyProtocol) else None
    return cut_because or "the caller hung up"


def is_upgrading(request: web.BaseRequest) -> bool:
    """Return whether aiohttp, too, read the request as a WebSocket handshake.

    It then keeps what follows unread; of any other request it would read more requests.
    """
    protocol = request.protocol
    return isinstance(protocol, ProxyProtocol) and protocol.upgrading


def may_stay_open(request: web.BaseRequest) -> bool:
    """Return whether, after its answer, the connection may carry another request.

    The caller wants it so, no drain is under way, and the whole body has arrived: an answer that
    comes before that ends the connection (RFC 9112 §9.3). After an upgrade that aiohttp does not
    know, it drops what has arrived behind the request: what comes next could be half a request.
    """
    protocol = request.protocol
    return (
        request.keep_alive
        and request.content.is_eof()
        and not (isinstance(protocol, ProxyProtocol) and protocol.ends_after(request))
        and not (
            request._message.upgrade  # noqa: SLF001 - the parser's verdict, shown nowhere else
            and request.headers.get("Upgrade", "").lower() != "websocket"  # ALLOWED_UPGRADES
        )
    )


def _error_of(status: int, exc: BaseException | None) -> GatewayError:
    if isinstance(exc, LineTooLong):
        return HeaderTooLargeError("a line of the request head is too long")
    if isinstance(exc, GatewayError):
        return exc
    if status < 500:  # noqa: PLR2004 - RFC 9110 §15.6
        return RequestError("the request is not readable HTTP/1.1")
    return GatewayError("the gateway failed")
