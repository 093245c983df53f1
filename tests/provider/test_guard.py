"""The bound on calls to the provider."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import ProviderUnavailableError
from gateway.provider.guard import Guard


async def test_waits_for_a_turn_and_refuses_beyond_the_queue():
    """T5: one call at a time, one waiting, the third is refused at once."""
    guard, order, gate = Guard(1, 1), [], asyncio.Event()

    async def work(name):
        async with guard.turn():
            order.append(name)
            await gate.wait()

    tasks = [asyncio.create_task(work(name)) for name in ("first", "second")]
    await asyncio.sleep(0)
    with pytest.raises(ProviderUnavailableError):
        await work("third")
    gate.set()
    await asyncio.gather(*tasks)

    assert order == ["first", "second"]


async def test_a_waiter_that_leaves_frees_its_place():
    """A cancelled waiter is counted neither as waiting nor as working."""
    guard, gate = Guard(1, 1), asyncio.Event()

    async def work():
        async with guard.turn():
            await gate.wait()

    first, leaver = asyncio.create_task(work()), asyncio.create_task(work())
    await asyncio.sleep(0)
    leaver.cancel()
    await asyncio.gather(leaver, return_exceptions=True)
    second = asyncio.create_task(work())
    gate.set()

    assert await asyncio.gather(first, second) == [None, None]
