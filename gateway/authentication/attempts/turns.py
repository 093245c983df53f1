"""What the workers of one gateway know together about refused logins, kept by one process for all.

Rule: the same questions and answers as with Redis, and bounded as each worker's own tables are.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from gateway.authentication.attempts.decision import time_until_room
from gateway.authentication.attempts.ledgers import MAX_BYTES, Ledgers
from gateway.token_cache.attempts import AttemptKeys, Outlook
from gateway.token_cache.leases import LONGEST
from gateway.token_cache.memory import MemoryCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.authentication.attempts.decision import AttemptLimits

MAX_ENTRIES = 10_000
_TURN_BYTES = 250


class SharedTurns(Protocol):
    """Refused logins of several processes, and whose turn it is; Redis or another process."""

    async def take_turn(
        self, keys: AttemptKeys, turn: str, *, user: int, spread: int, address: int
    ) -> Outlook | None:
        """Take the user's turn if all have room; ``None`` when there is no answer."""

    async def end_refused(self, keys: AttemptKeys, turn: str) -> None:
        """Record that the login was refused, and let the next one wait for the spacing."""

    async def end(self, keys: AttemptKeys, turn: str) -> None:
        """Give the turn back; nothing was refused."""

    async def aclose(self) -> None:
        """Leave the turns that are still taken."""


class Turns:
    """Whose turn it is among several workers, and when logins of any of them were refused.

    A turn nobody gives back ends after ``lease`` seconds.
    """

    def __init__(
        self,
        limits: AttemptLimits,
        *,
        lease: float = LONGEST,
        max_entries: int = MAX_ENTRIES,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._lease = lease
        self._now = now
        self._ledgers = Ledgers(limits, b"", max_entries)
        self._turns = MemoryCache[tuple[str, float]](max_entries, MAX_BYTES)

    def take(self, keys: AttemptKeys, turn: str, *, holder: int) -> Outlook:
        """Take the user's turn, for a worker, if all have room and nobody else has it."""
        now, limits = self._now(), self._limits
        counts = self._ledgers.counts(keys, now)
        user, spread, address = (
            time_until_room(times, limit, limits.window, now)
            for times, limit in (
                (counts.user, limits.user),
                (counts.spread, limits.spread),
                (counts.address, limits.address),
            )
        )
        if user or spread or address:
            return Outlook(user=user, spread=spread, address=address)
        taken = self._turns.find(keys.spread, now)
        if taken is not None:
            return Outlook(turn=taken[1] - now)
        self._keep(keys, turn, now + self._lease, holder)
        return Outlook()

    def end_refused(self, keys: AttemptKeys) -> None:
        """Record that a login was refused; the turn is nobody's for the spacing."""
        now = self._now()
        self._ledgers.record(keys, now)
        self._keep(keys, "refused", now + self._limits.spacing)

    def end(self, keys: AttemptKeys, turn: str) -> None:
        """Give the turn back; what another took after the lease had passed stays."""
        taken = self._turns.find(keys.spread, self._now())
        if taken is not None and taken[0] == turn:
            self._turns.discard(keys.spread)

    def leave(self, holder: int) -> None:
        """Give back the turns of a worker that is gone."""
        self._turns.discard_owners((_name(holder),))

    def _keep(self, keys: AttemptKeys, turn: str, until: float, holder: int = 0) -> None:
        self._turns.store(keys.spread, (turn, until), until, _TURN_BYTES, (_name(holder),))


def _name(holder: int) -> bytes:
    return holder.to_bytes(4, "big")
