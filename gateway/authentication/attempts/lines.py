"""Who may go at once under one key, and who waits for a place.

Rule: a place is taken or handed over without awaiting, so two logins never share one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class LineFullError(Exception):
    """So many wait already that one more would only make the crowd larger."""


@dataclass(frozen=True, slots=True)
class _Waiter:
    group: bytes
    place: asyncio.Future[None]


class Lines:
    """One line for each key, with as many places as ``room`` says at the moment.

    Of those who wait the group with the lowest ``rank`` is next, then who came first. At most
    ``max_waiting`` wait in all lines together, and ``max_of_group`` of one group in one line.
    """

    def __init__(
        self,
        *,
        room: Callable[[bytes], int],
        rank: Callable[[bytes], int],
        max_waiting: int,
        max_of_group: int,
    ) -> None:
        self._room = room
        self._rank = rank
        self._max_waiting = max_waiting
        self._max_of_group = max_of_group
        self._taken: Counter[bytes] = Counter()
        self._waiting: dict[bytes, list[_Waiter]] = {}
        self.waiting = 0

    def __len__(self) -> int:
        return len(self._taken.keys() | self._waiting.keys())

    async def enter(self, key: bytes, group: bytes) -> None:
        """Take a place, waiting for one; ``leave`` gives it back. Raises ``LineFullError``."""
        if key not in self._waiting and self._taken[key] < self._room(key):
            self._taken[key] += 1
            return
        line = self._waiting.get(key, [])
        of_group = sum(waiter.group == group for waiter in line)
        if self.waiting >= self._max_waiting or of_group >= self._max_of_group:
            raise LineFullError
        waiter = _Waiter(group, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(key, line).append(waiter)
        self.waiting += 1
        try:
            await waiter.place
        except asyncio.CancelledError:
            self._give_up(key, waiter)
            raise

    def leave(self, key: bytes) -> None:
        """Give a place back, to the next who waits."""
        self._taken[key] -= 1
        self._hand_over(key)

    def _give_up(self, key: bytes, waiter: _Waiter) -> None:
        if not waiter.place.cancelled():  # the place came together with the cancellation
            self.leave(key)
        elif waiter in self._waiting.get(key, ()):
            self._remove(key, waiter)

    def _hand_over(self, key: bytes) -> None:
        while key in self._waiting and self._taken[key] < self._room(key):
            following = min(self._waiting[key], key=lambda waiter: self._rank(waiter.group))
            self._remove(key, following)
            if not following.place.done():
                self._taken[key] += 1
                following.place.set_result(None)
        if not self._taken[key]:
            del self._taken[key]

    def _remove(self, key: bytes, waiter: _Waiter) -> None:
        line = self._waiting[key]
        line.remove(waiter)
        self.waiting -= 1
        if not line:
            del self._waiting[key]
