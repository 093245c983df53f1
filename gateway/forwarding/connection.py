"""One HTTP/1.1 connection to an upstream: bytes out, one response at a time in (RFC 9112).

Rule: a connection is reusable only after a response that ended cleanly while nothing more was
being sent and nothing more had arrived. Anything else poisons it, and a poisoned one is closed.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from typing import TYPE_CHECKING, cast

from gateway.errors import UpstreamError, UpstreamTimeoutError
from gateway.forwarding.cutting import reset
from gateway.forwarding.response_reader import ResponseReader

if TYPE_CHECKING:
    from gateway.forwarding.headers import ResponseHead
    from gateway.outbox import Outbox

# Enough to keep a fast reader busy, little enough to hold for thousands of slow ones.
HIGH_WATER = 128 * 1024


class UpstreamConnection(asyncio.Protocol):
    """Speaks HTTP/1.1 to one upstream; used by one request at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.opened = self._loop.time()
        self._transport: asyncio.Transport | None = None
        self._reader = ResponseReader()
        self._error: UpstreamError | None = None
        self._wake: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._clock: asyncio.TimerHandle | None = None
        self._due: float | None = None  # when the head of the response has to be there
        self._in_use = False
        self._outbox: Outbox | None = None
        self._unsent: bytes | None = None  # the request, as long as nothing of it is written
        self._sending = False
        self._reading_paused = False
        self._poisoned = False
        self._closed = False
        self._ended = False  # the upstream has said that nothing more follows
        self._arrivals = select.poll()

    # The asyncio side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # A cast, not a check: uvloop's transports are no instances of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._arrivals.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def eof_received(self) -> None:
        """Note the end; over TLS only if the upstream said it, and nobody on the way."""
        tls = self._open_transport.get_extra_info("ssl_object")
        try:
            self._ended = tls is None or not tls.read(1)
        except ssl.SSLError:  # there would be more to read: a bare FIN (RFC 9112 §9.8)
            self._ended = False

    def connection_lost(self, exc: Exception | None) -> None:
        """End a body that lasts until the close, or fail the response under way."""
        self._closed = True
        self._stop_clock()
        if not self._in_use:
            self._error = self._error or UpstreamError("the upstream closed the connection")
        elif not self._poisoned:
            self._end(exc)
        self._wake_up()
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Read response bytes; bytes that belong to no request poison the connection."""
        if not self._in_use or self._poisoned or self._unsent is not None:
            self.abort()
            return
        reader = self._reader
        try:
            reader.feed(data)
        except UpstreamError as exc:
            self.fail(exc)
        if reader.buffered > HIGH_WATER and not self._reading_paused and not self._poisoned:
            self._reading_paused = True
            self._open_transport.pause_reading()
        wake = self._wake
        if wake is not None and not wake.done():
            wake.set_result(None)
            if self._outbox is not None:
                self._outbox.expect()

    def pause_writing(self) -> None:
        """Remember that the upstream reads slowly."""
        if self._drained is None:
            self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        """Let a writer go on."""
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    # The gateway's side

    @property
    def reusable(self) -> bool:
        """Whether the next request may be sent here."""
        reader = self._reader
        return not (self._poisoned or self._closed or self._sending) and (
            not self._in_use
            or (
                reader.complete
                and reader.keep_alive
                and not self._reading_paused
                and not self._open_transport.get_write_buffer_size()
            )
        )

    @property
    def silent(self) -> bool:
        """Whether nothing, no end either, has arrived since the loop last looked.

        What is there before a request is sent is no answer to it, and an end means another
        connection. It takes a system call.
        """
        return not self._arrivals.poll(0)

    def start(self, method: str, data: bytes, *, more: bool, outbox: Outbox | None = None) -> None:
        """Send the head of the next request; ``more`` tells that ``write`` follows.

        In ``outbox`` it waits for its turn, and is not sent if anything has arrived by then.
        """
        self._in_use = True
        self._sending = more
        self._reader.begin(method)
        self._outbox = outbox
        if outbox is not None:
            self._unsent = data
            outbox.add(self._send)
        elif not self._closed:  # an upstream may end what it has accepted a moment ago
            self._open_transport.write(data)

    @property
    def missed(self) -> bool:
        """Whether the request never left its outbox: another connection may carry it."""
        return self._unsent is not None

    def _send(self) -> None:
        """Write what has waited in an outbox, unless something has come up in the meantime."""
        data = self._unsent
        if self._closed or self._poisoned or data is None:
            return
        if self.silent:
            self._unsent = None
            self._open_transport.write(data)
        else:
            self.abort()

    async def write(self, data: bytes) -> None:
        """Send body bytes; wait while the upstream reads slowly."""
        if self._closed or self._poisoned:
            raise UpstreamError("the upstream closed the connection")
        self._open_transport.write(data)
        if self._drained is not None:
            await self._drained

    def sent(self) -> None:
        """Tell that the whole request has been written."""
        self._sending = False

    def expect_head_within(self, timeout: float) -> None:
        """Fail the response if its head is not there after ``timeout`` seconds."""
        if self._reader.head is None:
            self._due = due = self._loop.time() + timeout
            if self._clock is None:
                self._clock = self._loop.call_at(due, self._look_at_clock)

    async def read_head(self) -> ResponseHead:
        """Return the head of the final response; a broken one raises ``UpstreamError``."""
        reader = self._reader
        while reader.head is None:
            if self._error is not None:
                raise self._error
            await self._sleep()
        self._due = None
        return reader.head

    async def read_body(self) -> bytes:
        """Return all body bytes that are there, at least one; empty means the clean end.

        A body that breaks off raises ``UpstreamError``.
        """
        while not self._reader.buffered:
            if self._reader.complete:
                return b""
            if self._error is not None:
                raise self._error
            await self._sleep()
        return self._take()

    def take_ready(self) -> tuple[bytes, bool]:
        """Return the body bytes that are there without waiting, and whether they are the last."""
        reader = self._reader
        return (self._take() if reader.buffered else b""), reader.complete

    def release(self) -> None:
        """Forget the request; from now on any byte that arrives poisons the connection."""
        self._in_use = False

    def abort(self) -> None:
        """Close at once, without waiting for anything to be sent."""
        self.fail(UpstreamError("the request was given up"))

    def fail(self, error: UpstreamError) -> None:
        """Close at once; a response that was complete by then stays what it is."""
        self._poisoned = True
        self._error = self._error or error
        self._stop_clock()
        self._wake_up()
        self.resume_writing()
        if self._transport is None or self._closed:
            return
        if self._sending:
            reset(self._transport)  # an end would wait behind what the upstream does not read
        else:
            self._transport.abort()

    @property
    def _open_transport(self) -> asyncio.Transport:
        assert self._transport is not None  # noqa: S101 - connected before it is handed out
        return self._transport

    def _take(self) -> bytes:
        data = self._reader.take()
        if self._reading_paused and not self._closed:
            self._reading_paused = False
            self._open_transport.resume_reading()
        return data

    async def _sleep(self) -> None:
        self._wake = self._loop.create_future()
        try:
            await self._wake
        finally:
            self._wake = None
            if self._outbox is not None:
                self._outbox.resume()

    def _wake_up(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _end(self, exc: Exception | None) -> None:
        """Take the end of the connection for what it means to the response."""
        if exc is not None:
            self._error = UpstreamError(f"the connection to the upstream broke: {exc}")
            return
        try:
            self._reader.feed_end(said=self._ended)
        except UpstreamError as error:
            self._error = error

    def _look_at_clock(self) -> None:
        """Fail the response that is late; one timer serves all requests of a connection."""
        self._clock = None
        if self._due is None:
            return
        if self._loop.time() < self._due:
            self._clock = self._loop.call_at(self._due, self._look_at_clock)
        else:
            self.fail(UpstreamTimeoutError("the upstream did not answer in time"))

    def _stop_clock(self) -> None:
        self._due = None
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
