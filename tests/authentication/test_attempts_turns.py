"""Whose turn it is among the logins of a user and of an address."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import TooManyAttemptsError
from tests.authentication.attempting import (
    CAFE,
    HOME,
    JOHN,
    KEYCLOAK_QUICK,
    MARY,
    assert_idle,
    fail,
    limiter_in,
    within_any,
)


async def test_spacing(limiter, clock):
    """A login waits until the last refused one of its user is the spacing ago."""
    await fail(limiter, JOHN, CAFE)
    clock.time += 0.5
    await limiter.admit(MARY, CAFE)
    others = clock.now()
    await limiter.admit(JOHN, HOME)

    assert (others, clock.now()) == (1000.5, pytest.approx(1001.1))


async def test_crowd_against_one_user(limiter, clock):
    """R2: 200 different wrong passwords at once: five reach the provider, one after the other."""
    under_way, most, reached = 0, 0, []

    async def attempt():
        nonlocal under_way, most
        await limiter.admit(JOHN, CAFE)
        under_way += 1
        most = max(most, under_way)
        reached.append(clock.now())
        await asyncio.sleep(0.001)
        under_way -= 1
        limiter.refused(JOHN, CAFE)

    ends = await asyncio.gather(*(attempt() for _ in range(200)), return_exceptions=True)

    assert (len(reached), most) == (5, 1)
    assert within_any(reached, KEYCLOAK_QUICK) == 1
    assert sum(isinstance(end, TooManyAttemptsError) for end in ends) == 195
    assert_idle(limiter)


async def test_crowd_of_users_from_one_address(limiter):
    """R4: 500 users at once from one address: a hundred logins reach the provider."""
    reached = []

    async def attempt(user):
        await limiter.admit(user, CAFE)
        reached.append(user)
        await asyncio.sleep(0.001)
        limiter.refused(user, CAFE)

    ends = await asyncio.gather(*(attempt(b"%d" % n) for n in range(500)), return_exceptions=True)

    assert len(reached) == 100
    assert sum(isinstance(end, TooManyAttemptsError) for end in ends) == 400
    assert_idle(limiter)


async def test_good_crowd_behind_one_address(limiter):
    """R4: a thousand users who log in at once behind one address all get in."""

    async def attempt(user):
        await limiter.admit(user, CAFE)
        await asyncio.sleep(0.001)
        limiter.succeeded(user, CAFE)

    await asyncio.gather(*(attempt(b"%d" % n) for n in range(1000)))

    assert_idle(limiter)


async def test_owner_overtakes(limiter):
    """R3: the user waits behind one guess of an attacker, not behind all that wait."""
    order = []

    async def attempt(address):
        await limiter.admit(JOHN, address)
        order.append(address)
        await asyncio.sleep(0.001)
        (limiter.succeeded if address == HOME else limiter.refused)(JOHN, address)

    guesses = [asyncio.create_task(attempt(CAFE)) for _ in range(10)]
    await asyncio.sleep(0)
    await attempt(HOME)
    await asyncio.gather(*guesses, return_exceptions=True)

    assert order == [CAFE, HOME, CAFE, CAFE, CAFE, CAFE]


async def test_callers_that_leave(limiter):
    """A caller that leaves while it waits gives its place back."""
    await limiter.admit(JOHN, CAFE)
    waiting = [asyncio.create_task(limiter.admit(JOHN, CAFE)) for _ in range(10)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    limiter.abandoned(JOHN, CAFE)

    assert_idle(limiter)


async def test_patience(clock):
    """R8: a login that waits too long for another of its user is told to come again."""
    limiter = limiter_in(clock, patience=0.01)
    await limiter.admit(JOHN, CAFE)

    with pytest.raises(TooManyAttemptsError) as raised:
        await limiter.admit(JOHN, HOME)
    limiter.abandoned(JOHN, CAFE)

    assert raised.value.retry_after == 2
    assert_idle(limiter)


async def test_bounded_waiting(clock):
    """R8: one more than may wait is refused at once."""
    limiter = limiter_in(clock, max_waiting=3)
    await limiter.admit(JOHN, CAFE)
    waiting = [asyncio.create_task(limiter.admit(JOHN, CAFE)) for _ in range(3)]
    await asyncio.sleep(0)

    with pytest.raises(TooManyAttemptsError) as raised:
        await limiter.admit(JOHN, CAFE)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    limiter.abandoned(JOHN, CAFE)

    assert raised.value.retry_after == 1
    assert_idle(limiter)
