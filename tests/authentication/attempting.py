"""Logins refused and admitted by a limiter whose time is the test's."""

from __future__ import annotations

import asyncio

from gateway.authentication.attempts import AttemptLimits, AttemptsLimiter
from gateway.errors import TooManyAttemptsError

LIMITS = AttemptLimits.of(5, 60.0, 1.1)


KEYCLOAK_QUICK = 1.0  # its default quickLoginCheckMilliSeconds, in seconds


JOHN, MARY = b"john", b"mary"


HOME, CAFE = "192.0.2.1", "198.51.100.1"


class Clock:
    """A time that passes only when it is told to, or slept."""

    def __init__(self):
        self.time = 1000.0

    def now(self):
        """Return the seconds."""
        return self.time

    async def sleep(self, seconds):
        """Let the time pass at once."""
        self.time += seconds
        await asyncio.sleep(0)


def limiter_in(clock, limits=LIMITS, **bounds):
    """Return a limiter in the time of this clock."""
    return AttemptsLimiter(limits, key=b"k" * 32, now=clock.now, sleep=clock.sleep, **bounds)


async def fail(limiter, user, address):
    """Try a wrong password; tell whether it reached the provider."""
    try:
        await limiter.admit(user, address)
    except TooManyAttemptsError:
        return False
    limiter.refused(user, address)
    return True


def within_any(reached, seconds):
    """Return the largest number of these times that lie within so many seconds."""
    return max(sum(start <= time < start + seconds for time in reached) for start in reached)


def assert_idle(limiter):
    """Nothing is under way and nothing waits: no place was lost."""
    assert (len(limiter._users), len(limiter._addresses), len(limiter._turns)) == (0, 0, 0)
