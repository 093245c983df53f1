"""One flight among replicas (A10): one leads, the others hear, nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis

from gateway.token_cache.bus import Bus
from gateway.token_cache.ledger import Ticket
from gateway.token_cache.link import Link
from gateway.token_cache.lock import POLL_CONNECTED, SharedFlights
from gateway.token_cache.sealing import SealingKeys
from tests.fakes.waiting import until, until_told
from tests.peers.children import free_port

KEYS = SealingKeys([b"n" * 32])
KEY, OTHER = b"k" * 32, b"o" * 32


@pytest.fixture
async def replica():
    """Return a function that makes the flights of one more replica."""
    async with AsyncExitStack() as stack:

        async def start(url, *, life=20.0, longest=60.0, listens=True):
            link = Link.connect(url, timeout=5.0, pause=0.05)
            stack.push_async_callback(link.aclose)
            bus = Bus(link, KEYS)
            flights = SharedFlights(link, bus, KEYS, life=life, longest=longest)
            stack.push_async_callback(flights.aclose)
            if listens:
                await stack.enter_async_context(bus)
            return flights

        yield start


@pytest.fixture(params=["single", "cluster"])
def url(request):
    """Return where Redis is, once as one server and once as a cluster."""
    name = {"single": "shared_redis", "cluster": "cluster"}[request.param]
    return request.getfixturevalue(name).url


@pytest.fixture(autouse=True)
async def empty(shared_redis):
    """Begin with an empty server."""
    async with Redis.from_url(shared_redis.url, protocol=2) as raw:
        await raw.flushall()
        yield raw


async def fly(flights, outcome, tried, key=KEY):
    """Lead the flight or wait for it until there is an outcome; return it and who made it.

    Who leads lands when three have tried to.
    """
    while True:
        lease = await flights.lead(key)
        tried[key] += 1
        if lease is not None:
            await until(lambda: tried[key] >= 3, within=30)
            await lease.land(outcome)
            return outcome, lease.shared
        heard = await flights.wait(key)
        if heard is not None:
            return heard, None


async def test_one_leads(replica, url):
    """A10: of three replicas one leads, and the others get what it said."""
    replicas = [await replica(url) for _ in range(3)]
    tried = Counter()
    flights = [fly(each, b"%d" % n, tried) for n, each in enumerate(replicas)]
    landed = await asyncio.gather(*flights)
    assert sorted(str(shared) for _, shared in landed) == ["None", "None", "True"]
    assert len({outcome for outcome, _ in landed}) == 1


async def test_crowd_of_flights(replica, url):
    """A10: a hundred flights at once are led once each, and no outcome goes to another's key."""
    replicas = [await replica(url) for _ in range(3)]
    keys = [bytes([n]) * 32 for n in range(100)]
    tried = Counter()
    landed = await asyncio.gather(*(fly(r, key, tried, key) for key in keys for r in replicas))
    expected = [key for key in keys for _ in replicas]
    assert [outcome for outcome, _ in landed] == expected
    assert [shared for _, shared in landed].count(True) == 100


async def test_outcome_between_the_questions(replica, url):
    """An outcome published after the lease was refused and before the wait is not missed."""
    first, second = [await replica(url) for _ in range(2)]
    lease = await first.lead(KEY)
    assert await second.lead(KEY) is None
    await lease.land(b"outcome")
    assert await second.wait(KEY) == b"outcome"


async def test_outcome_of_the_flight_before(replica, url):
    """Who waits for a flight does not get the outcome of an earlier one."""
    first, second = [await replica(url) for _ in range(2)]
    await (await first.lead(KEY)).land(b"old")
    lease = await first.lead(KEY)
    waiting = asyncio.create_task(second.wait(KEY))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await lease.land(b"new")
    assert await waiting == b"new"


async def test_no_flight(replica, url):
    """Waiting for a flight that is not there ends at once, with nothing."""
    assert await (await replica(url)).wait(KEY) is None


async def test_abandoned(replica, url):
    """A flight that ends without an outcome lets those who wait lead."""
    first, second = [await replica(url) for _ in range(2)]
    lease = await first.lead(KEY)
    waiting = asyncio.create_task(second.wait(KEY))
    await asyncio.sleep(0.05)
    await lease.abandon()
    assert await waiting is None
    assert (await second.lead(KEY)).shared


@pytest.mark.parametrize("listens", [True, False])
async def test_holder_gone(replica, url, listens):
    """A10: of a holder that is gone nobody hears; its lease runs out and another leads."""
    first, second = await replica(url, life=0.4), await replica(url, life=0.4, listens=listens)
    await first.lead(KEY)
    await first.aclose()
    assert await second.wait(KEY) is None
    assert (await second.lead(KEY)).shared


async def test_holder_takes_its_time(replica, empty, shared_redis):
    """A10: a lease does not run out while its holder lives; when that is gone it does."""
    first, second = [await replica(shared_redis.url, life=3) for _ in range(2)]
    await first.lead(KEY)
    [held] = await empty.keys("*:lease")
    left = [await empty.pttl(held)]

    async def is_prolonged():
        left.append(await empty.pttl(held))
        return left[-1] > left[-2]

    await until_told(is_prolonged)
    await first.aclose()
    assert await second.lead(KEY) is None
    assert await second.wait(KEY) is None
    assert (await second.lead(KEY)).shared


async def test_holder_takes_too_long(replica, url):
    """A10: a holder that never lands is waited for as long as a flight lasts at most."""
    first, second = [await replica(url, life=0.4, longest=0.6) for _ in range(2)]
    await first.lead(KEY)
    assert await second.wait(KEY) is None
    assert (await second.lead(KEY)).shared


async def test_lease_that_ran_out(replica, url):
    """Who lands after its lease has run out says nothing and takes nothing from the next."""
    first, second, third = await replica(url, life=0.2), await replica(url), await replica(url)
    late = await first.lead(KEY)
    await first.aclose()
    assert await second.wait(KEY) is None
    lease = await second.lead(KEY)
    await late.land(b"late")
    assert await third.lead(KEY) is None
    await lease.land(b"in time")
    assert await third.wait(KEY) == b"in time"


async def test_without_the_bus(replica, url):
    """Without the bus the outcome is found by looking."""
    first, second = await replica(url, listens=False), await replica(url, listens=False)
    lease = await first.lead(KEY)
    waiting = asyncio.create_task(second.wait(KEY))
    await asyncio.sleep(0.05)
    await lease.land(b"outcome")
    assert await waiting == b"outcome"


async def test_message_lost(replica, empty, shared_redis):
    """A message that never arrives costs a moment and no outcome."""
    first, second = [await replica(shared_redis.url) for _ in range(2)]
    lease = await first.lead(KEY)
    waiting = asyncio.create_task(second.wait(KEY))
    await asyncio.sleep(0.05)
    await empty.client_kill_filter(_type="pubsub")
    await lease.land(b"outcome")
    async with asyncio.timeout(10 * POLL_CONNECTED):
        assert await waiting == b"outcome"


async def test_redis_gone(replica):
    """A13: without Redis everybody leads alone, waits for nobody, and landing does nothing."""
    alone = await replica(f"redis://127.0.0.1:{free_port()}", listens=False)
    lease = await alone.lead(KEY)
    assert lease.shared is False
    assert await alone.wait(KEY) is None
    await lease.land(b"outcome")
    await lease.abandon()


async def test_redis_lost_meanwhile(replica, start_redis):
    """A13: F9: who waits when Redis is killed goes alone; the holder lands without an error."""
    server = start_redis()
    first, second = [await replica(server.url) for _ in range(2)]
    lease = await first.lead(KEY)
    waiting = asyncio.create_task(second.wait(KEY))
    await asyncio.sleep(0.05)
    server.stop()
    assert await waiting is None
    assert (await second.lead(KEY)).shared is False
    await lease.land(b"outcome")


async def test_scripts_forbidden(replica, start_redis, caplog):
    """A13: NOPERM: where scripts are not allowed each replica goes alone, after one error."""
    server = start_redis("user gateway on >secret ~* &* +@all -@scripting")
    flights = await replica(server.url.replace("//", "//gateway:secret@"))
    for _ in range(3):
        assert (await flights.lead(KEY)).shared is False
    assert [r.levelname for r in caplog.records if r.levelname == "ERROR"] == ["ERROR"]


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(b"by somebody", id="not sealed"),
        pytest.param(SealingKeys([b"x" * 32]).seal(b"flight:", b"x", 4e9), id="other secret"),
        pytest.param(KEYS.seal(KEY, b"x", 4e9), id="a value of the cache"),
    ],
)
async def test_forged_outcome(replica, empty, shared_redis, forged):
    """Who can only write to Redis cannot make up an outcome: it is as if it were not there."""
    first, second = [await replica(shared_redis.url) for _ in range(2)]
    lease = await first.lead(KEY)
    [held] = await empty.keys("*:lease")
    await empty.set(held.replace(b":lease", b":outcome"), forged)
    waiting = asyncio.create_task(second.wait(KEY))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await lease.land(b"outcome")
    assert await waiting == b"outcome"


async def test_lease_without_an_end(replica, empty, shared_redis):
    """A lease that outlives what a lease may live is passed by, so nobody waits for ever."""
    first, second = [await replica(shared_redis.url, life=1.5, longest=0.1) for _ in range(2)]
    await first.lead(KEY)
    await first.aclose()
    [held] = await empty.keys("*:lease")
    await empty.persist(held)
    assert await second.lead(KEY) is None
    assert await second.wait(KEY) is None
    assert (await second.lead(KEY)).shared is False
    assert await second.lead(KEY) is None


async def test_key_of_another_type(replica, empty, shared_redis):
    """A13: WRONGTYPE: a list where a lease should be means going alone."""
    first = await replica(shared_redis.url)
    await (await first.lead(KEY)).abandon()
    lease = await first.lead(KEY)
    [held] = await empty.keys("*:lease")
    await empty.delete(held)
    await empty.rpush(held, "x")
    await lease.land(b"outcome")
    assert await first.lead(KEY) is None


async def test_before_and_after_a_purge(replica, url):
    """A login begun before a purge and one begun after are different flights."""
    first, second = [await replica(url) for _ in range(2)]
    before, after = Ticket((), 0, b"1" * 16), Ticket((), 1, b"2" * 16)
    assert (await first.lead(KEY, before)).shared
    assert (await second.lead(KEY, after)).shared
    assert await second.lead(KEY, before) is None
    assert (await second.lead(OTHER, before)).shared


async def test_what_redis_sees(replica, empty, shared_redis):
    """A13: neither the key nor the outcome can be read in Redis."""
    flights = await replica(shared_redis.url)
    await (await flights.lead(KEY)).land(b"CANARY")
    names = await empty.keys("*")
    held = [await empty.get(name) for name in names]
    assert [
        text for text in (KEY, KEY.hex().encode(), b"CANARY") if text in b"".join(names + held)
    ] == []
