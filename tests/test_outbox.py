"""Writes that wait for those who are ready with them."""

from __future__ import annotations

import asyncio

import pytest

from gateway.outbox import Outbox
from tests.fakes.waiting import until


@pytest.fixture
async def outbox():
    """Return an outbox of the running loop."""
    return Outbox(asyncio.get_running_loop())


async def test_alone(outbox):
    """Who is ready alone writes at once."""
    seen = []
    outbox.expect()
    outbox.resume()

    outbox.add(lambda: seen.append("written"))

    assert ["written"] == seen


async def test_last_writes_for_all(outbox):
    """Of those who are ready together the last one writes what all have to write, in order."""
    seen = []
    for _ in range(3):
        outbox.expect()

    for number in range(3):
        assert [] == seen
        outbox.resume()
        outbox.add(lambda number=number: seen.append(number))

    assert [0, 1, 2] == seen


async def test_last_has_nothing_to_write(outbox):
    """What waits is written when the turn is over, once, whatever became of the others."""
    seen = []
    for _ in range(3):
        outbox.expect()
    outbox.resume()
    outbox.add(lambda: seen.append("first"))
    outbox.resume()
    outbox.add(lambda: seen.append("second"))

    await until(lambda: seen)
    await asyncio.sleep(0)

    assert ["first", "second"] == seen


async def test_more_resumed_than_expected(outbox):
    """One that was not counted changes nothing for the next turn."""
    seen = []
    outbox.resume()
    outbox.expect()
    outbox.expect()
    outbox.resume()

    outbox.add(lambda: seen.append("first"))
    assert [] == seen
    outbox.resume()
    outbox.add(lambda: seen.append("second"))

    assert ["first", "second"] == seen


async def test_failing_write(outbox):
    """A write that fails takes nothing from the others."""
    seen, failed = [], []
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: failed.append(context["exception"])
    )
    outbox.expect()

    outbox.add(lambda: 1 / 0)
    outbox.add(lambda: seen.append("written"))
    await until(lambda: seen)

    assert [ZeroDivisionError] == [type(each) for each in failed]
