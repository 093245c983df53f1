"""What is written when all that is ready in a turn of the event loop has run, and not at once.

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
    """Writes that wait for the tasks that are ready with them; alone, one does not wait."""

    __slots__ = ("_loop", "_ready", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ready = 0
        self._waiting: deque[Callable[[], None]] = deque()

    def expect(self) -> None:
        """Count a task that has become ready."""
        self._ready += 1

    def resume(self) -> None:
        """Note that such a task runs; one that was not counted makes others wait less."""
        if self._ready:
            self._ready -= 1

    def add(self, write: Callable[[], None]) -> None:
        """Call ``write`` after those before it: now, or else before the loop's turn is over."""
        waiting = self._waiting
        if waiting or self._ready:
            if not waiting:  # the last one that is ready may have nothing to write
                self._loop.call_soon(self._empty)
            waiting.append(write)
            if not self._ready:
                self._empty()
        else:
            write()

    def _empty(self) -> None:
        waiting = self._waiting
        try:
            while waiting:
                waiting.popleft()()
        finally:
            if waiting:  # one has failed: the others still have their turn
                self._loop.call_soon(self._empty)
