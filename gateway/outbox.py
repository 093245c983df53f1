"""What is to be written at the end of a turn of the event loop, and not at once.

Whoever reads at the other end sleeps while it has nothing to do, and to wake it up costs more than
the write: many writes in a row wake it up once.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class Outbox:
    """Writes that wait until the tasks that are ready now have run."""

    __slots__ = ("_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Callable[[], None]] = deque()

    def add(self, write: Callable[[], None]) -> None:
        """Call ``write`` at the end of this turn, in the order in which they were added."""
        if not self._waiting:
            self._loop.call_soon(self._empty)
        self._waiting.append(write)

    def _empty(self) -> None:
        waiting = self._waiting
        try:
            while waiting:
                waiting.popleft()()
        finally:
            if waiting:  # one has failed: the others still have their turn
                self._loop.call_soon(self._empty)
