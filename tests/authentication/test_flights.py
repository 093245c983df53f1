"""One flight per key, in one worker."""

from __future__ import annotations

import asyncio

import pytest

from gateway.authentication.flights import Flights


async def test_a_crowd_shares_one_flight():
    """A10: everybody who comes while it is under way gets its outcome; the next starts anew."""
    flights, gate, started = Flights(), asyncio.Event(), []

    async def fly():
        started.append(None)
        await gate.wait()
        return len(started)

    crowd = [asyncio.create_task(flights.join(b"key", fly)) for _ in range(100)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert b"key" in flights
    gate.set()

    assert [1] * 100 == await asyncio.gather(*crowd)
    assert 2 == await flights.join(b"key", fly)
    assert b"key" not in flights


async def test_a_failure_is_everybodys():
    """A10: followers get the leader's failure and do not each try again."""
    flights, started = Flights(), []

    async def fail():
        started.append(None)
        await asyncio.sleep(0)
        raise LookupError

    outcomes = await asyncio.gather(
        *(flights.join(b"key", fail) for _ in range(10)), return_exceptions=True
    )

    assert [LookupError] * 10 == [type(outcome) for outcome in outcomes]
    assert 1 == len(started)


async def test_a_leader_that_leaves_ends_it_for_nobody():
    """A10: the flight goes on when the caller that began it is cancelled."""
    flights, gate = Flights(), asyncio.Event()

    async def fly():
        await gate.wait()
        return "landed"

    leader = asyncio.create_task(flights.join(b"key", fly))
    await asyncio.sleep(0)
    follower = asyncio.create_task(flights.join(b"key", fly))
    await asyncio.sleep(0)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    gate.set()

    assert "landed" == await follower


async def test_keys_never_share():
    """A10: flights under different keys have nothing to do with each other."""
    flights = Flights()

    async def fly(name):
        await asyncio.sleep(0)
        return name

    names = [bytes([number]) for number in range(100)]

    assert names == await asyncio.gather(*(flights.join(n, lambda n=n: fly(n)) for n in names))


async def test_closing_ends_what_is_under_way():
    """Whoever still waits when the gateway closes is told so."""
    flights = Flights()
    waiting = asyncio.create_task(flights.join(b"key", asyncio.Event().wait))
    await asyncio.sleep(0)

    await flights.aclose()

    with pytest.raises(asyncio.CancelledError):
        await waiting
