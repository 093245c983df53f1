"""A tunnel: what arrives on one of two connections is written to the other, unread.

Rule: whoever reads slowly stops the other from being read, so a tunnel holds two write buffers of
bytes and no more.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.forwarding.upgrade import SwitchingConnection
    from gateway.server.protocol import ProxyProtocol

# How long either side may take for what was written to it when the tunnel ends, in seconds.
LINGER = 10.0


class End(StrEnum):
    """Why a tunnel ended: what its access line says."""

    CALLER = "the caller hung up"
    UPSTREAM = "the upstream hung up"
    EXPIRED = "the access token expired"
    PURGED = "the user was purged"
    IDLE = "nothing was sent for too long"
    SHUTDOWN = "cut by the shutdown"


class Side(asyncio.Protocol):
    """One end of a tunnel; ``size`` counts the bytes that arrived there."""

    __slots__ = ("_tunnel", "error", "lost", "other", "size", "transport")

    transport: asyncio.Transport
    other: asyncio.Transport

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel
        self.error: Exception | None = None
        self.lost = False
        self.size = 0

    def data_received(self, data: bytes) -> None:
        """Write the bytes to the other end."""
        self.size += len(data)
        self._tunnel.touch()
        self.other.write(data)

    def pause_writing(self) -> None:
        """Stop reading the other end: this one reads slowly."""
        if not self.other.is_closing():
            self.other.pause_reading()

    def resume_writing(self) -> None:
        """Read the other end again."""
        if not self.other.is_closing():
            self.other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the tunnel."""
        self.lost = True
        self.error = exc
        self._tunnel.lose(self)


class Tunnel:
    """Bytes between a caller and an upstream, until one of them hangs up or it is ended."""

    def __init__(
        self, front: ProxyProtocol, connection: SwitchingConnection, linger: float = LINGER
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._linger = linger
        self._front = front
        self._connection = connection
        self._caller = Side(self)
        self._upstream = Side(self)
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._expiry: asyncio.TimerHandle | None = None
        self._clock: asyncio.TimerHandle | None = None
        self._touched = self._loop.time()
        self.reason: End | None = None

    @property
    def cause(self) -> str:
        """Why it ended, and how much went across."""
        reason = self.reason or End.SHUTDOWN
        up, down = self._caller.size, self._upstream.size
        return f"{reason.value}, {up} bytes to the upstream, {down} to the caller"

    def open(self, transport: asyncio.Transport, head: bytes) -> None:
        """Tell the caller with ``head`` and let everything that has arrived already go across.

        An upstream that switched before it had read the request raises ``UpstreamError``.
        """
        caller, upstream = self._caller, self._upstream
        upstream.transport, downward = self._connection.hand_over(upstream)
        caller.transport = upstream.other = transport
        caller.other = upstream.transport
        paused = self._front.writing_paused
        upward = self._front.hand_over(caller)
        transport.write(head)
        if paused:
            upstream.transport.pause_reading()
        if downward:
            upstream.data_received(downward)
        if upward:
            caller.data_received(upward)
        if self._connection.closed:
            upstream.connection_lost(None)

    def limit(self, *, idle: float, life: float | None) -> None:
        """End the tunnel after ``life`` seconds, and after ``idle`` seconds of silence if not 0."""
        if self.reason is not None:
            return  # its timers would hold it, and the one that cuts it would be lost
        if life is not None:
            self._expiry = self._loop.call_later(max(0.0, life), self.end, End.EXPIRED)
        if idle:
            self._clock = self._loop.call_later(idle, self._watch, idle)

    async def ended(self) -> None:
        """Wait for the end; when that is given up, both connections are cut."""
        try:
            await self._over
        finally:
            self.end(End.SHUTDOWN)
            self._cut()

    def end(self, reason: End) -> None:
        """Close both connections as soon as they have taken what was written to them."""
        if self.reason is not None:
            return
        self.reason = reason
        if self._expiry is not None:
            self._expiry.cancel()
        self._set_clock(self._loop.call_later(self._linger, self._cut))
        self._caller.transport.close()
        self._upstream.transport.close()

    def touch(self) -> None:
        """Note that bytes went across."""
        self._touched = self._loop.time()

    def lose(self, side: Side) -> None:
        """Take note that one connection is gone; the tunnel is over with the second."""
        self.end(End.CALLER if side is self._caller else End.UPSTREAM)
        if self._caller.lost and self._upstream.lost:
            self._set_clock(None)
            if not self._over.done():
                self._over.set_result(None)
            # aiohttp takes note of the end only now, because it cancels whoever waits for it.
            self._front.connection_lost(self._caller.error)

    def _watch(self, idle: float) -> None:
        """Look whether it was silent for so long; if not, look again when it would be."""
        silent = self._loop.time() - self._touched
        if silent >= idle:
            self.end(End.IDLE)
        else:
            self._clock = self._loop.call_later(idle - silent, self._watch, idle)

    def _set_clock(self, clock: asyncio.TimerHandle | None) -> None:
        if self._clock is not None:
            self._clock.cancel()
        self._clock = clock

    def _cut(self) -> None:
        self._caller.transport.abort()
        self._upstream.transport.abort()
