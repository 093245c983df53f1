from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from gateway.authentication.attempts import AttemptLimits, AttemptsLimiter
from gateway.errors import TooManyAttemptsError
from gateway.token_cache.attempts import AttemptKeys, Outlook, SharedAttempts
from gateway.token_cache.link import Link
from tests.fakes.waiting import until_told
from tests.peers.children import free_port

LIMITS = {"user": 2, "spread": 3, "address": 4}
HOME, CAFE = "192.0.2.1", "198.51.100.1"
JOHN, MARY = b"john", b"mary"


def keys(user=b"u", address=b"a"):
    """Return what a login is counted under."""
    return AttemptKeys(user=user + address, spread=user, address=address)


@pytest.fixture
async def link(start_redis):
    """Return the way to a Redis of the test's own."""
    link = Link.connect(start_redis().url, timeout=5.0, pause=0.05)
    yield link
    await link.aclose()


async def content(link):
    """Return the names Redis holds and for how many milliseconds, at most."""
    names = [name async for batch in link.scan("*") for name in batch]
    node = await link.listening_node()
    return {name: await node.client.pttl(name) for name in names}


def attempts(link, *, window=60.0, spacing=0.0, life=12.0):
    """Return the attempts of all replicas."""
    return SharedAttempts(link, window=window, spacing=spacing, life=life)


async def refuse(shared, count, taken):
    """Have so many logins refused."""
    for n in range(count):
        assert await shared.take_turn(taken, f"{n}", **LIMITS) == Outlook()
        await shared.end_refused(taken, f"{n} {taken.user.hex()}")


@pytest.mark.parametrize(
    ("before", "taken", "full"),
    [
        pytest.param({keys(): 1}, keys(), None, id="R2: one below the bound"),
        pytest.param({keys(): 2}, keys(), "user", id="R2: at the bound"),
        pytest.param({keys(): 2}, keys(address=b"b"), None, id="R3: another address"),
        pytest.param({keys(): 2}, keys(user=b"v"), None, id="R4: another user"),
        pytest.param(
            {keys(): 2, keys(address=b"b"): 1}, keys(address=b"c"), "spread", id="R3: everywhere"
        ),
        pytest.param(
            {keys(b"1"): 1, keys(b"2"): 1, keys(b"3"): 2}, keys(), "address", id="R4: over users"
        ),
    ],
)
async def test_take_turn(link, before, taken, full):
    """Every replica's refused logins count for all."""
    here, there = attempts(link), attempts(link)
    for each, count in before.items():
        await refuse(here, count, each)

    outlook = await there.take_turn(taken, "turn", **LIMITS)

    waits = {name: getattr(outlook, name) for name in ("user", "spread", "address", "turn")}
    assert [name for name, seconds in waits.items() if seconds > 0] == ([full] if full else [])
    assert max(waits.values()) <= 60


async def test_one_turn_at_a_time(link):
    """R2: while one replica's login of a user is under way, another's waits; other users do not."""
    shared = attempts(link)
    await shared.take_turn(keys(), "mine", **LIMITS)

    outlook = await shared.take_turn(keys(address=b"b"), "yours", **LIMITS)
    await shared.end(keys(), "yours")
    still = await shared.take_turn(keys(), "yours", **LIMITS)
    await shared.end(keys(), "mine")

    assert 0 < outlook.turn <= 12
    assert still.turn > 0
    assert await shared.take_turn(keys(), "yours", **LIMITS) == Outlook()
    assert await shared.take_turn(keys(user=b"v"), "other", **LIMITS) == Outlook()


async def test_spacing(link):
    """After a refused login the turn of its user is nobody's for the spacing."""
    shared = attempts(link, spacing=60.0)
    await shared.take_turn(keys(), "mine", **LIMITS)
    await shared.end_refused(keys(), "mine")

    assert 0 < (await shared.take_turn(keys(), "next", **LIMITS)).turn <= 60


async def test_replica_that_is_gone(link):
    """A turn nobody gives back ends with its lease."""
    gone, shared = attempts(link, life=0.2), attempts(link)
    await gone.take_turn(keys(), "mine", **LIMITS)
    await gone.aclose()

    async def is_free():
        return await shared.take_turn(keys(), "yours", **LIMITS) == Outlook()

    await until_told(is_free)


async def test_login_takes_its_time(link):
    """R2: a turn does not end while the replica that has it lives."""
    shared = attempts(link, life=3)
    await shared.take_turn(keys(), "mine", **LIMITS)
    left = [max((await content(link)).values())]

    async def is_prolonged():
        left.append(max((await content(link)).values()))
        return left[-1] > left[-2]

    await until_told(is_prolonged)
    assert (await shared.take_turn(keys(), "yours", **LIMITS)).turn > 0


async def test_full_address_takes_no_turn(link):
    """R3: an address without room does not keep the user waiting."""
    shared = attempts(link)
    await refuse(shared, 2, keys(b"1"))
    await refuse(shared, 2, keys(b"2"))

    assert (await shared.take_turn(keys(), "cafe", **LIMITS)).address > 0
    assert await shared.take_turn(keys(address=b"b"), "home", **LIMITS) == Outlook()


async def test_window_passes(link):
    """What was refused a window ago is forgotten, and so are the keys in Redis."""
    shared = attempts(link, window=0.1)
    await refuse(shared, 2, keys())
    await asyncio.sleep(0.15)

    assert await content(link) == {}
    assert await shared.take_turn(keys(), "turn", **LIMITS) == Outlook()


async def test_everything_expires(link):
    """R8: nothing stays in Redis for good, and no name or address is there at all."""
    limiter = limiter_of(link)
    await limiter.admit(JOHN, CAFE)
    limiter.refused(JOHN, CAFE)
    await limiter.aclose()
    await limiter.admit(MARY, CAFE)

    held = await content(link)

    assert len(held) == 4  # user, user and address, address; the turn of the one under way
    assert all(0 < milliseconds <= 60_000 for milliseconds in held.values())
    assert [word for word in ("john", "mary", CAFE) if word in " ".join(held)] == []
    limiter.succeeded(MARY, CAFE)
    await limiter.aclose()


def limiter_of(link, spacing=0.0, key=b"k" * 32):
    """Return the limiter of one replica."""
    return AttemptsLimiter(AttemptLimits.of(5, 60.0, spacing), key=key, link=link)


async def guess(limiter, count, address=CAFE):
    """Try so many wrong passwords of John; return how many reached the provider."""
    reached = 0
    for _ in range(count):
        try:
            await limiter.admit(JOHN, address)
        except TooManyAttemptsError:
            continue
        limiter.refused(JOHN, address)
        reached += 1
    await limiter.aclose()
    return reached


async def test_two_replicas_one_count(link):
    """R2: through two gateways an attacker gets as far as through one."""
    here, there = limiter_of(link), limiter_of(link)

    assert [await guess(here, 3), await guess(there, 9), await guess(here, 9)] == [3, 2, 0]
    assert await guess(there, 1, HOME) == 1  # R3: the user from elsewhere


async def test_two_replicas_at_once(link):
    """R2: a crowd at two gateways: five reach the provider and never two at a time."""
    replicas = [limiter_of(link, spacing=0.02), limiter_of(link, spacing=0.02)]
    under_way, most, reached = 0, 0, 0

    async def attempt(limiter):
        nonlocal under_way, most, reached
        await limiter.admit(JOHN, CAFE)
        reached, under_way = reached + 1, under_way + 1
        most = max(most, under_way)
        await asyncio.sleep(0.005)
        under_way -= 1
        limiter.refused(JOHN, CAFE)

    tasks = [attempt(replicas[n % 2]) for n in range(100)]
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    for replica in replicas:
        await replica.aclose()

    assert (reached, most) == (5, 1)
    assert sum(isinstance(end, TooManyAttemptsError) for end in ends) == 95


@pytest.mark.parametrize("fault", ["stop", "pause"])
async def test_redis_gone(start_redis, fault):
    """A13: without Redis each gateway keeps to its own count, and no login fails for it."""
    server = start_redis()
    link = Link.connect(server.url, pause=60)
    here, there = limiter_of(link), limiter_of(link)
    before = await guess(here, 2)
    getattr(server, fault)()

    after = [await guess(here, 9), await guess(there, 9)]

    assert (before, after) == (2, [3, 5])
    await link.aclose()


async def test_scripts_are_forbidden(start_redis):
    """A13: a Redis that runs no scripts for this user is still a token cache, and no outage."""
    server = start_redis("user default on nopass ~* &* +@all -eval")
    link = Link.connect(server.url, pause=60)

    assert await guess(limiter_of(link), 9) == 5
    assert await link.find(["name"]) == [None]
    await link.aclose()


async def test_redis_never_there():
    """A13: a Redis that nobody started opens no gate and closes none."""
    link = Link.connect(f"redis://127.0.0.1:{free_port()}", pause=60)

    assert await guess(limiter_of(link), 9) == 5
    await link.aclose()


async def test_other_secret(link):
    """Replicas without the same key do not share counts, and see nothing of each other's."""
    here, there = limiter_of(link), limiter_of(link, key=b"j" * 32)

    assert [await guess(here, 9), await guess(there, 9)] == [5, 5]


async def test_foreign_values(start_redis):
    """A13: something else under the same keys counts as no answer."""
    server = start_redis()
    link = Link.connect(server.url, pause=60)
    client = Redis.from_url(server.url)
    limiter = limiter_of(link)
    await guess(limiter, 1)
    for name in await client.keys("*"):
        await client.set(name, "text")

    assert await guess(limiter, 9) == 4
    await client.aclose()
    await link.aclose()
