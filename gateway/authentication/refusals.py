"""Which credentials were refused a moment ago, and how long the provider takes to refuse.

Rule: a refusal that the provider was not asked for takes as long as one that it was, so nobody can
tell by a watch that somebody tried the same credentials before.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.authentication.grant_choice import Mode
    from gateway.token_cache.memory import MemoryCache

REMEMBERED = 64  # refusals of the provider whose time is known, of each mode
UNKNOWN = (0.1, 0.2)  # seconds a refusal takes while none is known
LONGEST = 2.0  # seconds nobody is kept waiting beyond


class Refusals:
    """The refusals of one worker, each remembered for ``ttl`` seconds."""

    def __init__(
        self,
        memory: MemoryCache[bool],
        ttl: float,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._memory = memory
        self._ttl = ttl
        self._sleep = sleep
        self._took: dict[Mode, deque[float]] = defaultdict(lambda: deque(maxlen=REMEMBERED))

    def find(self, key: bytes, now: float) -> bool:
        """Tell whether the credentials of this key were refused a moment ago."""
        return self._memory.find(key, now) is not None

    def remember(self, key: bytes, owners: tuple[bytes, ...], now: float) -> None:
        """Remember that the credentials of this key were refused; a purge of an owner ends it."""
        self._memory.store(key, True, now + self._ttl, len(key), owners)

    def took(self, mode: Mode, seconds: float) -> None:
        """Note how long the provider took to refuse somebody."""
        self._took[mode].append(min(seconds, LONGEST))

    async def linger(self, mode: Mode, waited: float = 0.0) -> None:
        """Wait as long as one of the latest refusals took, less what was ``waited`` already."""
        known = self._took.get(mode)
        seconds = random.choice(known) if known else random.uniform(*UNKNOWN)  # noqa: S311 - no secret
        await self._sleep(max(0.0, seconds - waited))
