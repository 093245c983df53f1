"""Whether the provider is asked at all: a breaker that opens after failures in a row.

Rule: it decides and keeps no time. Who acts says what time it is, asks ``admit`` right before a
call and tells its end exactly once: ``succeed``, ``fail`` or ``abandon``. Only the call that was
admitted as the probe ends a pause, so what was under way when the breaker opened changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from gateway.provider import pauses

if TYPE_CHECKING:
    from collections.abc import Callable

FAILURES = 5


class State(IntEnum):
    """Where the breaker stands; the numbers are those of the metric."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one call; ``era`` tells the pause it was given in or before."""

    era: int
    probe: bool


class Breaker:
    """Open after ``failures`` in a row, closed again by one probe that succeeds."""

    def __init__(
        self, failures: int = FAILURES, pause: Callable[[int], float] = pauses.grown
    ) -> None:
        self._limit = failures
        self._pause = pause
        self._failures = 0
        self._openings = 0
        self._era = 0
        self._until = 0.0
        self.state = State.CLOSED

    def remaining(self, now: float) -> float | None:
        """Return how long calls are refused, ``None`` when one may be tried.

        While the probe is under way nobody knows; callers are told the shortest pause.
        """
        if self.state is State.HALF_OPEN:
            return pauses.FIRST
        if self.state is State.OPEN and now < self._until:
            return self._until - now
        return None

    def admit(self, now: float) -> Permit | None:
        """Return leave for one call, maybe as the probe; ``None`` while calls are refused."""
        if self.remaining(now) is not None:
            return None
        probe = self.state is State.OPEN
        if probe:
            self.state = State.HALF_OPEN
        return Permit(self._era, probe)

    def succeed(self, permit: Permit) -> None:
        """Note that the provider did its work, whatever it said."""
        if self._is_current(permit):
            self.state = State.CLOSED
            self._failures = self._openings = 0

    def fail(self, permit: Permit, now: float, retry_after: float | None = None) -> None:
        """Note that the provider failed; ``retry_after`` is a pause it asked for itself."""
        if not self._is_current(permit):
            return
        self._failures += 1
        if permit.probe or retry_after is not None or self._failures >= self._limit:
            self._open(now, retry_after)

    def abandon(self, permit: Permit, now: float) -> None:
        """Note that nobody saw the end of the call: it says nothing, and another one may probe."""
        if permit.probe and self._is_current(permit):
            self.state = State.OPEN
            self._until = now

    def _open(self, now: float, retry_after: float | None) -> None:
        self._era += 1
        self._openings += 1
        self._failures = 0
        self.state = State.OPEN
        pause = self._pause(self._openings)
        if retry_after is not None:
            # Capped: a provider that slows one user down must not stop everybody for a minute.
            pause = min(max(retry_after, pause), pauses.LONGEST)
        self._until = now + pause

    def _is_current(self, permit: Permit) -> bool:
        """Whether the permit is of this era, and in a pause the probe's."""
        return permit.era == self._era and (permit.probe or self.state is State.CLOSED)
