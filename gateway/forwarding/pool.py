"""Connections to one upstream, opened on demand and kept while they are fresh.

Rule: a connection belongs to one request at a time and comes back only clean (RFC 9112 §9.3).
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from gateway.errors import UpstreamError, UpstreamTimeoutError
from gateway.forwarding.connection import UpstreamConnection
from gateway.forwarding.dialing import Dialer

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.forwarding.dialing import Resolve
    from gateway.routing import Upstream

C = TypeVar("C", bound=UpstreamConnection)

MAX_IDLE = 256


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many connections to one upstream there may be, and for how long, in seconds.

    The idle timeout is shorter than that of common upstreams (Node: 5 s), so that we close first.
    After their lifetime connections are not kept, so that the name is looked up again.
    """

    connections: int = 1024
    idle_timeout: float = 4.0
    lifetime: float = 300.0


DEFAULT_LIMITS = PoolLimits()


class UpstreamPool:
    """Hands out connections to ``upstream``; times are in seconds."""

    def __init__(
        self,
        upstream: Upstream,
        *,
        connect_timeout: float,
        limits: PoolLimits = DEFAULT_LIMITS,
        resolve: Resolve | None = None,
    ) -> None:
        self._dialer = Dialer(upstream, resolve)
        self._connect_timeout = connect_timeout
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._idle: deque[tuple[float, UpstreamConnection]] = deque()
        self._busy: set[UpstreamConnection] = set()
        self._apart: set[UpstreamConnection] = set()
        self._opening = 0
        self._waiting: dict[asyncio.Future[None], None] = {}
        self._called = 0  # how many of those who waited have a place and have not taken it yet
        self._sweeper: asyncio.TimerHandle | None = None

    def find(self, *, look: bool = True) -> UpstreamConnection | None:
        """Return the freshest idle connection, ready for one request, unless others wait.

        Who does not send the request at once has no use for a ``look`` at what has arrived now.
        """
        return None if self._waiting or self._called else self._take(look=look)

    async def connect(self) -> UpstreamConnection:
        """Return a connection that came free or is new; failure raises ``UpstreamError``."""
        if self._waiting or self._called or self._is_full:
            try:
                async with asyncio.timeout(self._connect_timeout):
                    await self._wait_for_place()
            except TimeoutError:
                raise UpstreamTimeoutError("no connection to the upstream came free") from None
            if (connection := self._take()) is not None:
                return connection
        self._opening += 1
        try:
            connection = await self._open(UpstreamConnection)
            self._busy.add(connection)
        finally:
            self._opening -= 1
            self._let_in()
        return connection

    async def connect_apart(self, make: Callable[[], C]) -> C:
        """Return a new connection that ``make`` made; it takes no place from a request."""
        connection = await self._open(make)
        self._apart.add(connection)
        return connection

    async def _open(self, make: Callable[[], C]) -> C:
        try:
            async with asyncio.timeout(self._connect_timeout):
                return await self._dialer.dial(make)
        except TimeoutError:
            raise UpstreamTimeoutError("connecting to the upstream took too long") from None
        except ssl.SSLError as exc:
            raise UpstreamError(f"TLS with the upstream failed: {exc.reason}") from exc
        except OSError as exc:
            reason = exc.strerror or type(exc).__name__
            raise UpstreamError(f"the upstream cannot be reached: {reason}") from exc

    @property
    def busy(self) -> bool:
        """Whether a request is under way on a connection, or waits for one."""
        return bool(self._busy or self._apart or self._opening or self._waiting or self._called)

    def _take(self, *, look: bool = True) -> UpstreamConnection | None:
        """Return the freshest idle connection on which, at a look, nothing has arrived."""
        oldest = self._loop.time() - self._limits.idle_timeout
        while self._idle:
            since, connection = self._idle.pop()
            if since > oldest and connection.reusable and (not look or connection.silent):
                self._busy.add(connection)
                return connection
            connection.abort()
        return None

    @property
    def _is_full(self) -> bool:
        return len(self._busy) + len(self._idle) + self._opening >= self._limits.connections

    async def _wait_for_place(self) -> None:
        """Wait until a connection came back or ended; those who wait are let in in their order."""
        waiter = self._loop.create_future()
        self._waiting[waiter] = None
        self._let_in()
        try:
            await waiter
        except asyncio.CancelledError:
            self._waiting.pop(waiter, None)
            if not waiter.cancelled():
                self._called -= 1
                self._let_in()
            raise
        self._called -= 1

    def _let_in(self) -> None:
        """Give each place that is free to who has waited longest."""
        while self._waiting:
            taken = len(self._busy) + self._opening + self._called
            if taken >= self._limits.connections:
                return
            waiter = next(iter(self._waiting))
            del self._waiting[waiter]
            if not waiter.done():
                self._called += 1
                waiter.set_result(None)

    def release(self, connection: UpstreamConnection) -> None:
        """Take a connection back: kept if it is clean, else closed."""
        self._busy.discard(connection)
        self._apart.discard(connection)
        now = self._loop.time()
        old = now - connection.opened > self._limits.lifetime
        if old or not connection.reusable or len(self._idle) >= MAX_IDLE:
            connection.abort()
        else:
            connection.release()
            self._idle.append((now, connection))
            if self._sweeper is None:
                self._sweeper = self._loop.call_later(self._limits.idle_timeout, self._sweep)
        if self._waiting:
            self._let_in()

    def close(self) -> None:
        """Close every connection at once."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in [*self._busy, *self._apart, *(each for _, each in self._idle)]:
            connection.abort()
        self._idle.clear()

    def _sweep(self) -> None:
        """Close what has been idle too long; the oldest stand first, as they were appended."""
        oldest = self._loop.time() - self._limits.idle_timeout
        while self._idle and self._idle[0][0] <= oldest:
            self._idle.popleft()[1].abort()
        pause = self._idle[0][0] - oldest if self._idle else None
        self._sweeper = None if pause is None else self._loop.call_later(pause, self._sweep)
