"""One flight per credential: whoever comes while an exchange is under way waits for its outcome.

Rule: a flight is a task of its own; a caller that leaves ends it for nobody, and a failure is the
answer for everybody who waited.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

from gateway.metrics import FLIGHTS_JOINED

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

T = TypeVar("T")

_JOINED = FLIGHTS_JOINED.labels("worker")


class Flights(Generic[T]):
    """The flights of one worker, by key."""

    def __init__(self) -> None:
        self._flights: dict[bytes, asyncio.Task[T]] = {}

    async def join(self, key: bytes, start: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the outcome of the flight under this key, started now if there is none."""
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(start())
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._land(key, done))
        else:
            _JOINED.inc()
        return await asyncio.shield(flight)

    def __contains__(self, key: bytes) -> bool:
        return key in self._flights

    async def finished(self) -> None:
        """Wait for the end of what is under way."""
        await asyncio.gather(*self._flights.values(), return_exceptions=True)

    async def aclose(self) -> None:
        """Cancel what is under way and wait for its end."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _land(self, key: bytes, flight: asyncio.Task[T]) -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # every caller may have left: the failure counts as seen
