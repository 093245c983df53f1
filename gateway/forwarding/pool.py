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

if TYPE_CHECKING:
    from collections.abc import Callable

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
    ) -> None:
        self._upstream = upstream
        self._connect_timeout = connect_timeout
        # Without a context of its own asyncio's: https is never spoken in the clear.
        self._tls = (upstream.tls or True) if upstream.scheme == "https" else None
        self._idle_timeout = limits.idle_timeout
        self._lifetime = limits.lifetime
        self._max_connections = limits.connections
        self._opening = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._loop = asyncio.get_running_loop()
        self._idle: deque[tuple[float, UpstreamConnection]] = deque()
        self._busy: set[UpstreamConnection] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    def find(self) -> UpstreamConnection | None:
        """Return the freshest idle connection, ready for one request."""
        oldest = self._loop.time() - self._idle_timeout
        while self._idle:
            since, connection = self._idle.pop()
            if since > oldest and connection.reusable:
                self._busy.add(connection)
                return connection
            connection.abort()
        return None

    async def connect(self) -> UpstreamConnection:
        """Return a connection that came free or is new; failure raises ``UpstreamError``."""
        if self._is_full:
            try:
                async with asyncio.timeout(self._connect_timeout):
                    while self._is_full:
                        await self._wait_for_room()
                        if (connection := self.find()) is not None:
                            return connection
            except TimeoutError:
                raise UpstreamTimeoutError("no connection to the upstream came free") from None
        return await self.connect_with(UpstreamConnection)

    async def connect_with(self, make: Callable[[], C]) -> C:
        """Return a new connection that ``make`` made, as ``connect`` does."""
        self._opening += 1
        try:
            async with asyncio.timeout(self._connect_timeout):
                connection = await self._open(make)
        except TimeoutError:
            raise UpstreamTimeoutError("connecting to the upstream took too long") from None
        except ssl.SSLError as exc:
            raise UpstreamError(f"TLS with the upstream failed: {exc.reason}") from exc
        except OSError as exc:
            reason = exc.strerror or type(exc).__name__
            raise UpstreamError(f"the upstream cannot be reached: {reason}") from exc
        finally:
            self._opening -= 1
            if self._waiting:
                self._let_in()
        self._busy.add(connection)
        return connection

    async def _open(self, make: Callable[[], C]) -> C:
        upstream = self._upstream
        if upstream.socket:
            _, connection = await self._loop.create_unix_connection(make, upstream.socket)
        else:
            _, connection = await self._loop.create_connection(
                make, upstream.host, upstream.port, ssl=self._tls
            )
        return connection

    @property
    def busy(self) -> bool:
        """Whether a request is under way on a connection, or waits for one."""
        return bool(self._busy or self._opening or self._waiting)

    @property
    def _is_full(self) -> bool:
        return len(self._busy) + len(self._idle) + self._opening >= self._max_connections

    async def _wait_for_room(self) -> None:
        """Wait until a connection came back or ended; those who wait are let in in their order."""
        waiter = self._loop.create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._let_in()
            raise

    def _let_in(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def release(self, connection: UpstreamConnection) -> None:
        """Take a connection back: kept if it is clean, else closed."""
        self._busy.discard(connection)
        if self._waiting:
            self._let_in()
        now = self._loop.time()
        old = now - connection.opened > self._lifetime
        if old or not connection.reusable or len(self._idle) >= MAX_IDLE:
            connection.abort()
            return
        connection.release()
        self._idle.append((now, connection))
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._idle_timeout, self._sweep)

    def close(self) -> None:
        """Close every connection at once."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in [*self._busy, *(each for _, each in self._idle)]:
            connection.abort()
        self._idle.clear()

    def _sweep(self) -> None:
        """Close what has been idle too long; the oldest stand first, as they were appended."""
        oldest = self._loop.time() - self._idle_timeout
        while self._idle and self._idle[0][0] <= oldest:
            self._idle.popleft()[1].abort()
        pause = self._idle[0][0] - oldest if self._idle else None
        self._sweeper = None if pause is None else self._loop.call_later(pause, self._sweep)
