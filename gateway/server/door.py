"""How many callers may be connected, all of them and those from one address.

Rule: who is turned away is told so and costs no task, no parser and no place.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.authentication.attempts.decision import network_of
from gateway.errors import TooManyConnectionsError
from gateway.metrics import CONNECTIONS, CONNECTIONS_REFUSED
from gateway.server.answers import UNREAD, write_error

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)

# Who is turned away may read why for so long, in seconds, and so many at once.
FAREWELL = 1.0
MAX_FAREWELLS = 64
# What is read meanwhile of a request nobody will answer, in bytes: an unread one resets the answer.
MAX_IGNORED = 64 * 1024
# Seconds between two warnings.
REMARK_EVERY = 60.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many connections there may be; 0 is no bound of its own for one address."""

    all: int = 10_000
    per_address: int = 0


class Door:
    """Counts the connections of callers; ``exempt`` says which addresses speak for many."""

    def __init__(self, bounds: Bounds, exempt: Callable[[str], bool]) -> None:
        self._bounds = bounds
        self._exempt = exempt
        self._inside = 0
        self._by_network: dict[str, int] = {}
        self._farewells = 0
        self._remarked = -REMARK_EVERY

    def enter(self, address: str) -> str | None:
        """Count a connection in and return ``None``; past a bound return which."""
        if self._inside >= self._bounds.all:
            return "all"
        if self._bounds.per_address and not self._exempt(address):
            network = network_of(address)
            count = self._by_network.get(network, 0)
            if count >= self._bounds.per_address:
                return "address"
            self._by_network[network] = count + 1
        self._inside += 1
        CONNECTIONS.set(self._inside)
        return None

    def leave(self, address: str) -> None:
        """Count a connection out that was let in."""
        self._inside -= 1
        CONNECTIONS.set(self._inside)
        if self._bounds.per_address and not self._exempt(address):
            network = network_of(address)
            self._by_network[network] -= 1
            if not self._by_network[network]:
                del self._by_network[network]

    def turn_away(self, transport: asyncio.Transport, reason: str, request_id: str) -> None:
        """Answer 503 without waiting for a request, and close."""
        CONNECTIONS_REFUSED.labels(reason).inc()
        self._remark(reason)
        error = TooManyConnectionsError("too many connections")
        transport.set_protocol(_Farewell(transport, self._end_farewell))
        transport.write(write_error(UNREAD, error, request_id, keep_alive=False))
        self._farewells += 1
        if self._farewells > MAX_FAREWELLS or not transport.can_write_eof():
            transport.close()
            return
        transport.write_eof()
        asyncio.get_running_loop().call_later(FAREWELL, transport.abort)

    def _end_farewell(self) -> None:
        self._farewells -= 1

    def _remark(self, reason: str) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._remarked < REMARK_EVERY:
            return
        self._remarked = now
        name = "MAX_CONNECTIONS" if reason == "all" else "MAX_CONNECTIONS_PER_ADDRESS"
        _log.warning("callers are turned away with 503: %s are connected", name)


class _Farewell(asyncio.Protocol):
    """Reads and forgets what somebody who was turned away still sends."""

    def __init__(self, transport: asyncio.Transport, end: Callable[[], None]) -> None:
        self._transport = transport
        self._end = end
        self._ignored = 0

    def data_received(self, data: bytes) -> None:
        """Forget the bytes; somebody who sends on and on is not waited for."""
        self._ignored += len(data)
        if self._ignored > MAX_IGNORED:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count this farewell out."""
        del exc
        self._end()
