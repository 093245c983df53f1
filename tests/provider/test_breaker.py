"""When the provider is asked and when not, decided without a clock (T6)."""

from __future__ import annotations

import pytest

from gateway.provider import pauses
from gateway.provider.breaker import Breaker, State


def breaker_after(*failures, limit=3):
    """Return a breaker with pauses of 1, 2, 4, 5 seconds after failures at these times."""
    breaker = Breaker(limit, lambda openings: pauses.grown(openings, lambda: 0.0))
    for now in failures:
        breaker.fail(breaker.admit(now), now)
    return breaker


@pytest.mark.parametrize(
    ("failures", "now", "state", "remaining"),
    [
        pytest.param((), 0, State.CLOSED, None, id="T6-new"),
        pytest.param((0, 0), 0, State.CLOSED, None, id="T6-one-failure-less"),
        pytest.param((0, 0, 0), 0, State.OPEN, 1, id="T6-opens"),
        pytest.param((0, 100, 200), 200.5, State.OPEN, 0.5, id="T6-in-a-row-however-slowly"),
        pytest.param((0, 0, 0), 1, State.OPEN, None, id="T6-a-probe-is-due"),
        pytest.param((0, 0, 0, 1), 1, State.OPEN, 2, id="T6-second-pause"),
        pytest.param((0, 0, 0, 1, 3), 3, State.OPEN, 4, id="T6-third-pause"),
        pytest.param((0, 0, 0, 1, 3, 7), 7, State.OPEN, 5, id="T6-longest-pause"),
        pytest.param((0, 0, 0, 1, 3, 7, 12), 12, State.OPEN, 5, id="T6-stays-longest"),
    ],
)
def test_failures_in_a_row(failures, now, state, remaining):
    """Failures in a row open the breaker, and each failed probe makes the pause longer."""
    breaker = breaker_after(*failures)

    assert (state, remaining) == (breaker.state, breaker.remaining(now))


def test_success_in_between():
    """T6: a success forgets the failures before it."""
    breaker = breaker_after(0, 0)
    breaker.succeed(breaker.admit(0))

    breaker.fail(breaker.admit(0), 0)

    assert breaker.state is State.CLOSED


def test_exactly_one_probe():
    """T6: after the pause one call is let through, and the others wait for its end."""
    breaker = breaker_after(0, 0, 0)

    permits = [breaker.admit(1) for _ in range(3)]

    assert [True, False, False] == [permit is not None for permit in permits]
    assert (State.HALF_OPEN, pauses.FIRST) == (breaker.state, breaker.remaining(1))


def test_probe_that_succeeds():
    """T6: a probe that succeeds closes the breaker, and the next pause is the first again."""
    breaker = breaker_after(0, 0, 0, 1)
    breaker.succeed(breaker.admit(3))

    assert (State.CLOSED, None) == (breaker.state, breaker.remaining(3))

    for _ in range(3):
        breaker.fail(breaker.admit(4), 4)

    assert breaker.remaining(4) == 1


def test_probe_that_is_abandoned():
    """T6: a cancelled probe neither closes the breaker nor leaves it half open."""
    breaker = breaker_after(0, 0, 0)
    breaker.abandon(breaker.admit(1), 1)

    assert (State.OPEN, None) == (breaker.state, breaker.remaining(1))
    assert breaker.admit(1).probe


def test_call_that_is_abandoned():
    """T6: a cancelled call counts neither as a failure nor as a success."""
    breaker = breaker_after(0, 0)
    breaker.abandon(breaker.admit(0), 0)

    breaker.fail(breaker.admit(0), 0)

    assert breaker.state is State.OPEN


@pytest.mark.parametrize("late", ["succeed", "fail", "abandon"])
@pytest.mark.parametrize("probing", [False, True])
def test_calls_from_before_the_opening(late, probing):
    """T6: what was under way when the breaker opened changes nothing any more."""
    breaker = breaker_after(limit=1)
    old, first = breaker.admit(0), breaker.admit(0)
    breaker.fail(first, 0)
    if probing:
        breaker.admit(1)
    before = (breaker.state, breaker.remaining(1))

    getattr(breaker, late)(old, *([] if late == "succeed" else [1]))

    assert before == (breaker.state, breaker.remaining(1))


@pytest.mark.parametrize(
    ("retry_after", "remaining"),
    [
        pytest.param(3, 3, id="T6-as-long-as-asked"),
        pytest.param(60, 5, id="T6-capped"),
        pytest.param(0, 1, id="T6-not-shorter-than-the-pause"),
    ],
)
def test_provider_that_asks_for_a_pause(retry_after, remaining):
    """T6: a Retry-After opens the breaker at the first failure, for that time within bounds."""
    breaker = breaker_after(limit=3)

    breaker.fail(breaker.admit(0), 0, retry_after)

    assert (State.OPEN, remaining) == (breaker.state, breaker.remaining(0))


@pytest.mark.parametrize("tries", [1, 2, 3, 4, 1000])
def test_pauses_are_spread_and_bounded(tries):
    """A pause is at most five seconds, and up to a fifth shorter."""
    longest = min(5, 2 ** (tries - 1))

    assert longest == pauses.grown(tries, lambda: 0.0)
    assert 0.8 * longest <= pauses.grown(tries) <= longest
    assert 8 < pauses.shortened(10, lambda: 0.99) <= 10 <= pauses.lengthened(10) < 12
