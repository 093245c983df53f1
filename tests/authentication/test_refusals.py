"""Refusals remembered, and how long one takes that the provider is not asked for."""

from __future__ import annotations

import asyncio

import pytest

from gateway.authentication.refusals import LONGEST, REMEMBERED, UNKNOWN, Refusals
from gateway.errors import InvalidCredentialsError
from gateway.token_cache.memory import MemoryCache
from tests.authentication.obtaining import outcome_of, waiting_for
from tests.fakes.waiting import until

KEY = b"k" * 32


@pytest.fixture
def slept():
    """Return the list of what was slept."""
    return []


@pytest.fixture
def refusals(slept):
    """Return refusals that are remembered for five seconds."""

    async def sleep(seconds):
        slept.append(seconds)

    return Refusals(MemoryCache(10, 10**6), 5, sleep=sleep)


def test_remembered_for_a_while(refusals):
    """A8: a refusal is remembered for its time, and of one pair."""
    refusals.remember(KEY, (b"john",), 100.0)

    found = [refusals.find(KEY, 104.9), refusals.find(KEY, 105.0), refusals.find(b"other", 101.0)]

    assert found == [True, False, False]


@pytest.mark.parametrize(
    ("took", "waited", "least", "most"),
    [
        pytest.param([], 0.0, *UNKNOWN, id="nothing known"),
        pytest.param([0.07], 0.0, 0.07, 0.07, id="as one did"),
        pytest.param([0.07, 0.3], 0.0, 0.07, 0.3, id="as one of several did"),
        pytest.param([0.3], 0.1, 0.2, 0.2, id="less what was waited"),
        pytest.param([0.3], 0.5, 0.0, 0.0, id="waited for long enough"),
        pytest.param([60.0], 0.0, LONGEST, LONGEST, id="never longer"),
        pytest.param([9.0] + [0.1] * REMEMBERED, 0.0, 0.1, 0.1, id="the latest count"),
    ],
)
async def test_how_long_it_takes(refusals, slept, took, waited, least, most):
    """R7: it takes as long as one of the provider's latest refusals, drawn anew each time."""
    for seconds in took:
        refusals.took("auto", seconds)

    for _ in range(50):
        await refusals.linger("auto", waited)

    assert least - 1e-9 <= min(slept) <= max(slept) <= most + 1e-9
    assert len(set(slept)) == len(set(took[-REMEMBERED:])) or not took


async def test_of_each_mode(refusals, slept):
    """R7: two tries under `auto` take longer than one, so each mode has times of its own."""
    refusals.took("auto", 0.4)
    refusals.took("password", 0.2)

    for mode in ("auto", "password"):
        await refusals.linger(mode)

    assert slept == [0.4, 0.2]


async def test_negative_hit(replica):
    """R7: a pair refused a moment ago is refused no sooner than the provider does it."""
    one = await replica()
    for _ in range(3):
        assert await outcome_of(one.obtain(password="wrong")) is InvalidCredentialsError

    first, second = one.lingered

    assert first == second > 0


async def test_joined(replica, provider):
    """A11: who joins a login that is refused cannot tell that it had begun before."""
    one = await replica()
    provider.gate.clear()
    tasks = [asyncio.create_task(one.obtain(password="wrong")) for _ in range(3)]
    await provider.token_called(1)
    provider.gate.set()

    assert {InvalidCredentialsError} == {await outcome_of(task) for task in tasks}
    assert len(one.lingered) == 2


async def test_told(replica, provider, redis):
    """A11: nor can who is told by another replica."""
    provider.gate.clear()
    pair = [await replica(redis.url) for _ in range(2)]
    first = asyncio.create_task(pair[0].obtain(password="wrong"))
    await provider.token_called(1)
    second = await waiting_for(pair[1], password="wrong")
    provider.gate.set()

    assert {InvalidCredentialsError} == {await outcome_of(task) for task in (first, second)}
    assert (len(pair[0].lingered), len(pair[1].lingered)) == (0, 1)


async def test_another_pair_joins_nothing(replica, provider):
    """A11: another password for a user whose login is under way neither joins it nor ends with it.

    It waits for the user's turn, whether it is right or wrong.
    """
    one = await replica()
    provider.gate.clear()
    right = asyncio.create_task(one.obtain())
    await provider.token_called(1)
    wrong = asyncio.create_task(one.obtain(password="wrong"))
    await until(lambda: len(one.cold_path._flights._flights) == 2)
    provider.gate.set()

    await right
    assert await outcome_of(wrong) is InvalidCredentialsError
    assert (len(provider.token_calls), one.lingered) == (2, [])
