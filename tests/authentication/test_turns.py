"""What the workers of one gateway know together about refused logins."""

from __future__ import annotations

import pytest

from gateway.authentication.attempts import AttemptLimits, Turns
from gateway.token_cache.attempts import AttemptKeys, Outlook

LIMITS = AttemptLimits(2, 3, 4, 60.0, 1.5)
FREE = Outlook()
HERE = AttemptKeys(b"john here", b"john", b"here")
THERE = AttemptKeys(b"john there", b"john", b"there")
MARY = AttemptKeys(b"mary here", b"mary", b"here")
ANNE = AttemptKeys(b"anne here", b"anne", b"here")


class Clock:
    """A time that passes only when it is told to."""

    def __init__(self):
        self.time = 1000.0

    def now(self):
        """Return the seconds."""
        return self.time


@pytest.fixture
def clock():
    """Return a time the test controls."""
    return Clock()


@pytest.fixture
def turns(clock):
    """Return turns in that time."""
    return Turns(LIMITS, lease=6.0, now=clock.now)


def test_one_login_of_a_user_at_a_time(turns):
    """R2: while one has a user's turn nobody else gets it, whatever the address; others do."""
    assert FREE == turns.take(HERE, "a", holder=1)
    assert Outlook(turn=6.0) == turns.take(HERE, "b", holder=1)
    assert Outlook(turn=6.0) == turns.take(THERE, "b", holder=1)
    assert FREE == turns.take(MARY, "b", holder=1)

    turns.end(HERE, "a")
    assert FREE == turns.take(THERE, "b", holder=1)


def test_refused(turns, clock):
    """R2: after a refused login the next one waits for the spacing."""
    turns.take(HERE, "a", holder=1)
    turns.end_refused(HERE)

    assert Outlook(turn=1.5) == turns.take(THERE, "b", holder=1)
    clock.time += 1.5
    assert FREE == turns.take(THERE, "b", holder=1)


@pytest.mark.parametrize(
    ("refused", "asked", "outlook"),
    [
        pytest.param([HERE] * 2, HERE, Outlook(user=60.0), id="user and address"),
        pytest.param([HERE] * 2, MARY, FREE, id="another user"),
        pytest.param([HERE, HERE, THERE], THERE, Outlook(spread=60.0), id="user everywhere"),
        pytest.param([HERE, HERE, MARY, MARY], ANNE, Outlook(address=60.0), id="address"),
    ],
)
def test_no_room(turns, clock, refused, asked, outlook):
    """R2, R3, R4: what was refused to any worker counts, until the window has passed."""
    for keys in refused:
        turns.take(keys, "a", holder=1)
        turns.end_refused(keys)
    turns.end(asked, "refused")  # the spacing is another test

    assert outlook == turns.take(asked, "b", holder=1)
    clock.time += 60.0
    turns.end(asked, "b")
    assert FREE == turns.take(asked, "c", holder=1)


def test_holder_is_gone(turns, clock):
    """A turn nobody gives back ends, and its holder cannot give back who came next."""
    turns.take(HERE, "a", holder=1)
    clock.time += 6.0
    assert FREE == turns.take(HERE, "b", holder=1)

    turns.end(HERE, "a")

    assert Outlook(turn=6.0) == turns.take(HERE, "c", holder=1)


def test_worker_is_gone(turns):
    """The turns of a worker that is gone are free at once, those of others are not."""
    turns.take(HERE, "a", holder=1)
    turns.take(MARY, "b", holder=2)

    turns.leave(1)

    assert FREE == turns.take(HERE, "c", holder=2)
    assert FREE != turns.take(MARY, "d", holder=1)
