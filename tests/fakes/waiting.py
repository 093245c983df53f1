"""Waiting for something another task does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def until(condition: Callable[[], object], within: float = 20.0) -> None:
    """Return as soon as the condition holds; raise ``TimeoutError`` when it does not in time."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - the condition is anything, not an event
            await asyncio.sleep(0.002)


async def until_told(ask: Callable[[], Awaitable[object]], within: float = 20.0) -> None:
    """Return as soon as who is asked says yes; raise ``TimeoutError`` when not in time."""
    async with asyncio.timeout(within):
        while not await ask():  # noqa: ASYNC110 - the answer comes from elsewhere, without an event
            await asyncio.sleep(0.02)
