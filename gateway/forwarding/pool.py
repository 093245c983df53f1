"""Connections to one upstream, opened on demand and kept while they are fresh.

Rule: a connection belongs to one request at a time and comes back only clean (RFC 9112 §9.3).
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import TYPE_CHECKING, TypeVar

from gateway.errors import UpstreamError, UpstreamTimeoutError
from gateway.forwarding.connection import UpstreamConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.routing import Upstream

C = TypeVar("C", bound=UpstreamConnection)

# Shorter than the idle timeout of common upstreams (Node: 5 s), so that we close first.
IDLE_TIMEOUT = 4.0
MAX_IDLE = 256


class UpstreamPool:
    """Hands out connections to ``upstream``; times are in seconds."""

    def __init__(
        self,
        upstream: Upstream,
        *,
        connect_timeout: float,
        tls: ssl.SSLContext | None,
        idle_timeout: float = IDLE_TIMEOUT,
    ) -> None:
        self._upstream = upstream
        self._connect_timeout = connect_timeout
        self._tls = tls if upstream.scheme == "https" else None
        self._idle_timeout = idle_timeout
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
        """Return a new connection, ready for one request; failure raises ``UpstreamError``."""
        return await self.connect_with(UpstreamConnection)

    async def connect_with(self, make: Callable[[], C]) -> C:
        """Return a new connection that ``make`` made, as ``connect`` does."""
        upstream = self._upstream
        try:
            async with asyncio.timeout(self._connect_timeout):
                _, connection = await self._loop.create_connection(
                    make, upstream.host, upstream.port, ssl=self._tls
                )
        except TimeoutError:
            raise UpstreamTimeoutError("connecting to the upstream took too long") from None
        except ssl.SSLError as exc:
            raise UpstreamError(f"TLS with the upstream failed: {exc.reason}") from exc
        except OSError as exc:
            reason = exc.strerror or type(exc).__name__
            raise UpstreamError(f"the upstream cannot be reached: {reason}") from exc
        self._busy.add(connection)
        return connection

    def release(self, connection: UpstreamConnection) -> None:
        """Take a connection back: kept if it is clean, else closed."""
        self._busy.discard(connection)
        if not connection.reusable or len(self._idle) >= MAX_IDLE:
            connection.abort()
            return
        connection.release()
        self._idle.append((self._loop.time(), connection))
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
