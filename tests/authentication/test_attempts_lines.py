from __future__ import annotations

import asyncio

import pytest

from gateway.authentication.attempts.lines import LineFullError, Lines

JOHN, MARY = b"john", b"mary"
HERE, THERE = b"here", b"there"


def one_at_a_time(rank=lambda _: 0, *, max_waiting=100, max_of_group=100):
    """Return lines with one place each."""
    return Lines(room=lambda _: 1, rank=rank, max_waiting=max_waiting, max_of_group=max_of_group)


async def settle():
    """Let every task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


def queue(lines, key, *groups):
    """Start tasks that enter in this order; return the list their groups appear in as they do."""
    entered = []

    async def enter(group):
        await lines.enter(key, group)
        entered.append(group)

    return entered, [asyncio.create_task(enter(group)) for group in groups]


async def test_order():
    """Who came first goes first, one after the other."""
    lines = one_at_a_time()
    entered, tasks = queue(lines, JOHN, b"1", b"2", b"3")
    seen = []
    for _ in range(3):
        await settle()
        seen.append(list(entered))
        lines.leave(JOHN)

    assert seen == [[b"1"], [b"1", b"2"], [b"1", b"2", b"3"]]
    await asyncio.gather(*tasks)
    assert (len(lines), lines.waiting) == (0, 0)


async def test_lines_do_not_touch():
    """A line of one key keeps nobody of another waiting."""
    lines = one_at_a_time()
    await lines.enter(JOHN, HERE)
    await lines.enter(MARY, HERE)

    assert (len(lines), lines.waiting) == (2, 0)


async def test_rank():
    """R3: a group that failed less goes before all that came earlier."""
    lines = one_at_a_time(rank={HERE: 2, THERE: 0}.get)
    entered, tasks = queue(lines, JOHN, HERE, HERE, HERE, THERE)
    for _ in range(4):
        await settle()
        lines.leave(JOHN)

    assert entered == [HERE, THERE, HERE, HERE]
    await asyncio.gather(*tasks)


async def test_room_that_changes():
    """What ``room`` says now decides, also when it has grown or shrunk."""
    room = [2]
    lines = Lines(room=lambda _: room[0], rank=lambda _: 0, max_waiting=9, max_of_group=9)
    entered, tasks = queue(lines, JOHN, *[HERE] * 6)
    await settle()
    before = len(entered)
    room[0] = 1
    lines.leave(JOHN)
    await settle()
    shrunk = len(entered)
    room[0] = 4
    lines.leave(JOHN)
    await settle()

    assert (before, shrunk, len(entered)) == (2, 2, 6)
    await asyncio.gather(*tasks)


@pytest.mark.parametrize(
    ("bounds", "groups"),
    [
        pytest.param({"max_waiting": 3}, [b"1", b"2", b"3", b"4", b"5"], id="R8: in all lines"),
        pytest.param({"max_of_group": 3}, [HERE] * 5, id="R8: of one group"),
    ],
)
async def test_full(bounds, groups):
    """R8: one more than may wait is told so at once."""
    lines = one_at_a_time(**bounds)
    _, tasks = queue(lines, JOHN, *groups)
    await settle()

    assert [task.done() for task in tasks] == [True, False, False, False, True]
    assert isinstance(tasks[-1].exception(), LineFullError)
    assert lines.waiting == 3
    await cancel(tasks)


async def test_a_full_group_keeps_no_other_out():
    """R3: the crowd of one address leaves room in the line for the user's own."""
    lines = one_at_a_time(max_of_group=2)
    _, tasks = queue(lines, JOHN, HERE, HERE, HERE, HERE, THERE)
    await settle()

    assert [task.done() for task in tasks] == [True, False, False, True, False]
    await cancel(tasks)
    assert isinstance(tasks[3].exception(), LineFullError)


async def test_who_leaves_the_line():
    """A caller that gives up waiting is passed over."""
    lines = one_at_a_time()
    entered, tasks = queue(lines, JOHN, b"1", b"2", b"3")
    await settle()
    tasks[1].cancel()
    await settle()
    lines.leave(JOHN)
    await settle()

    assert entered == [b"1", b"3"]
    lines.leave(JOHN)
    assert (len(lines), lines.waiting) == (0, 0)


@pytest.mark.parametrize("leaving_first", [True, False])
async def test_place_and_cancellation_at_once(leaving_first):
    """A place handed to a caller that is leaving in the same moment goes on to the next."""
    lines = one_at_a_time()
    entered, tasks = queue(lines, JOHN, b"1", b"2", b"3")
    await settle()
    steps = [tasks[1].cancel, lambda: lines.leave(JOHN)]
    for step in steps if leaving_first else reversed(steps):
        step()
    await settle()

    assert entered == [b"1", b"3"]
    lines.leave(JOHN)
    assert (len(lines), lines.waiting) == (0, 0)


async def cancel(tasks):
    """End what still waits."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
