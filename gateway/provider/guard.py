"""How many calls to the provider may be under way, and how many may wait for their turn.

Rule: a queue that is full answers at once; waiting longer would only make the crowd larger.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from gateway.errors import ProviderTimeoutError, ProviderUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Guard:
    """Admits ``max_concurrency`` calls at once and lets ``max_queue`` more wait."""

    def __init__(self, max_concurrency: int, max_queue: int) -> None:
        self._turns = asyncio.Semaphore(max_concurrency)
        self._max_queue = max_queue
        self._waiting = 0

    @asynccontextmanager
    async def turn(self, within: float | None = None) -> AsyncIterator[None]:
        """Hold one of the places; a full queue raises ``ProviderUnavailableError``.

        Who does not get one ``within`` so many seconds gets ``ProviderTimeoutError``.
        """
        try:
            async with asyncio.timeout(within):
                await self._enter()
        except TimeoutError:
            raise ProviderTimeoutError("a login waited for its turn in vain") from None
        try:
            yield
        finally:
            self._turns.release()

    async def _enter(self) -> None:
        if self._turns.locked() and self._waiting >= self._max_queue:
            raise ProviderUnavailableError("too many logins are waiting for the provider")
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
