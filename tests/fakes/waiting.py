"""Waiting for something another task does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


async def until(condition: Callable[[], object], within: float = 10.0) -> None:
    """Return as soon as the condition holds; raise ``TimeoutError`` when it does not in time."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - the condition is anything, not an event
            await asyncio.sleep(0.002)
