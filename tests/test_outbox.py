"""Writes that wait for the end of a turn."""

from __future__ import annotations

import asyncio

from gateway.outbox import Outbox
from tests.fakes.waiting import until


async def test_order():
    """What waits is written in its order, after the tasks that were ready, and once."""
    seen = []

    async def ready():
        seen.append("task")

    outbox = Outbox(asyncio.get_running_loop())
    task = asyncio.create_task(ready())
    for number in range(3):
        outbox.add(lambda number=number: seen.append(number))
    assert seen == []
    await until(lambda: len(seen) == 4)
    await task
    outbox.add(lambda: seen.append("later"))
    await until(lambda: len(seen) == 5)

    assert ["task", 0, 1, 2, "later"] == seen


async def test_failing_write():
    """A write that fails takes nothing from the others."""
    seen, failed = [], []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: failed.append(context["exception"]))
    outbox = Outbox(loop)

    outbox.add(lambda: 1 / 0)
    outbox.add(lambda: seen.append("written"))
    await until(lambda: seen)

    assert [ZeroDivisionError] == [type(each) for each in failed]
