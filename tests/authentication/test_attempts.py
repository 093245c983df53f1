from __future__ import annotations

import asyncio

import pytest

from gateway.authentication.attempts import AttemptLimits, AttemptsLimiter
from gateway.errors import TooManyAttemptsError
from gateway.metrics import THROTTLED

LIMITS = AttemptLimits.of(5, 60.0, 1.1)
KEYCLOAK_FAILURES = 30  # its default failureFactor: so many failures lock a user
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


@pytest.fixture
def clock():
    """Return a time the test controls."""
    return Clock()


@pytest.fixture
def limiter(clock):
    """Return a limiter in that time."""
    return limiter_in(clock)


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


async def attack(limiter, clock, targets, per_second):
    """Try a wrong password for each target; return when one reached the provider."""
    reached = []
    for user, address in targets:
        if await fail(limiter, user, address):
            reached.append(clock.now())
        clock.time += 1 / per_second
    return reached


def within_any(reached, seconds):
    """Return the largest number of these times that lie within so many seconds."""
    return max(sum(start <= time < start + seconds for time in reached) for start in reached)


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


def assert_idle(limiter):
    """Nothing is under way and nothing waits: no place was lost."""
    assert (len(limiter._users), len(limiter._addresses), len(limiter._turns)) == (0, 0, 0)
