"""How many refused logins of a user and of an address reach the provider (R2, R3, R4, R8)."""

from __future__ import annotations

import pytest

from gateway.authentication.attempts import AttemptLimits
from gateway.errors import TooManyAttemptsError
from gateway.metrics import THROTTLED
from tests.authentication.attempting import (
    CAFE,
    HOME,
    JOHN,
    KEYCLOAK_QUICK,
    LIMITS,
    MARY,
    assert_idle,
    fail,
    limiter_in,
    within_any,
)

KEYCLOAK_FAILURES = 30  # its default failureFactor: so many failures lock a user


async def attack(limiter, clock, targets, per_second):
    """Try a wrong password for each target; return when one reached the provider."""
    reached = []
    for user, address in targets:
        if await fail(limiter, user, address):
            reached.append(clock.now())
        clock.time += 1 / per_second
    return reached


async def test_one_address_against_one_user(limiter, clock):
    """R2: of 10,000 wrong passwords the provider sees five a minute, never two in a second."""
    reached = await attack(limiter, clock, [(JOHN, CAFE)] * 10_000, per_second=100)

    assert within_any(reached, LIMITS.window) == 5
    assert within_any(reached, KEYCLOAK_QUICK) == 1
    assert len(reached) == 10  # in about 105 seconds


async def test_many_addresses_against_one_user(limiter, clock):
    """R2, R3: a botnet's wrong passwords stay below the provider's own lock, window by window."""
    targets = [(JOHN, f"203.0.113.{n % 250}") for n in range(10_000)]
    reached = await attack(limiter, clock, targets, per_second=100)

    assert within_any(reached, LIMITS.window) == 15 < KEYCLOAK_FAILURES
    assert within_any(reached, KEYCLOAK_QUICK) == 1


@pytest.mark.parametrize(
    "addresses",
    [
        pytest.param([CAFE], id="R4: IPv4"),
        pytest.param([f"2001:db8::{n:x}" for n in range(1, 999)], id="R4: IPv6, one /64"),
    ],
)
async def test_one_address_against_many_users(limiter, clock, addresses):
    """R4: stuffing from one network ends after a hundred refused logins a minute."""
    targets = [(b"%d" % n, addresses[n % len(addresses)]) for n in range(3_000)]
    reached = await attack(limiter, clock, targets, per_second=100)

    assert len(reached) == 100
    await limiter.admit(JOHN, "2001:db8:0:1::1")  # the neighbour network is not concerned


async def test_retry_after(limiter, clock):
    """A refused caller is told in how many seconds there is room again, and then there is."""
    await attack(limiter, clock, [(JOHN, CAFE)] * 5, per_second=100)
    with pytest.raises(TooManyAttemptsError) as raised:
        await limiter.admit(JOHN, CAFE)
    clock.time += raised.value.retry_after

    assert (raised.value.status, raised.value.error) == (429, "too_many_attempts")
    assert 50 < raised.value.retry_after <= 60
    assert await fail(limiter, JOHN, CAFE)


async def test_user_from_elsewhere(limiter, clock):
    """R3: with one address blocked, the user logs in from another, and so do others from it."""
    await attack(limiter, clock, [(JOHN, CAFE)] * 200, per_second=100)

    await limiter.admit(JOHN, HOME)
    limiter.succeeded(JOHN, HOME)
    await limiter.admit(MARY, CAFE)
    limiter.succeeded(MARY, CAFE)
    assert not await fail(limiter, JOHN, CAFE)


@pytest.mark.parametrize("end", ["succeeded", "abandoned"])
async def test_only_refusals_count(limiter, clock, end):
    """R4: logins that worked, or that nobody answered, hold up neither user nor address."""
    for n in range(300):
        for user in (JOHN, b"%d" % n):
            await limiter.admit(user, CAFE)
            getattr(limiter, end)(user, CAFE)

    assert clock.now() == 1000.0


async def test_success_forgives_nothing(limiter, clock):
    """R2: an attacker who owns an account cannot wash the count with logins that work."""
    for _ in range(5):
        assert await fail(limiter, JOHN, CAFE)
        clock.time += 2
        if len(limiter._ledgers.spread) < 5:
            await limiter.admit(JOHN, HOME)
            limiter.succeeded(JOHN, HOME)

    assert not await fail(limiter, JOHN, CAFE)


async def test_bounded_tables(clock):
    """R8: one more user or address than a table holds leaves it as large; the oldest goes."""
    limiter = limiter_in(clock, max_entries=50)
    for n in range(51):
        await fail(limiter, b"%d" % n, f"198.51.100.{n}")
    ledgers = limiter._ledgers

    sizes = [len(table) for table in (ledgers.user, ledgers.spread, ledgers.address)]

    assert sizes == [50, 50, 50]
    assert ledgers.counts(ledgers.keys(b"0", "198.51.100.0"), clock.now()).spread == ()
    assert_idle(limiter)


async def test_bounded_entries(clock):
    """R8: an entry keeps as many times as its limit, not more."""
    limiter = limiter_in(clock, AttemptLimits(2, 2, 2, 60.0, 0.0))
    for _ in range(10):
        await fail(limiter, JOHN, CAFE)
        clock.time += 29.0
    ledgers = limiter._ledgers

    assert len(ledgers.counts(ledgers.keys(JOHN, CAFE), clock.now()).address) == 2


async def test_ledgers_hold_no_names(limiter):
    """What is remembered names neither user nor address."""
    await fail(limiter, JOHN, CAFE)
    ledgers = limiter._ledgers
    keys = ledgers.keys(JOHN, CAFE)

    assert {len(key) for key in (keys.user, keys.spread, keys.address)} == {16}
    assert ledgers.keys(JOHN + b"1", "92.0.2.1") != ledgers.keys(JOHN, "192.0.2.1")
    assert [word for word in (b"john", b"198") if word in b"".join(ledgers.user._entries)] == []


@pytest.mark.parametrize(
    ("reason", "targets"),
    [
        ("user", [(JOHN, CAFE)] * 6),
        ("spread", [(JOHN, f"198.51.100.{n}") for n in range(16)]),
        ("address", [(b"%d" % n, CAFE) for n in range(101)]),
    ],
)
async def test_counted(limiter, clock, reason, targets):
    """Each refusal is counted under its reason."""
    counter = THROTTLED.labels(reason)
    before = counter._value.get()

    await attack(limiter, clock, targets, per_second=1000)

    assert counter._value.get() - before == 1
