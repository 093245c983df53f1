"""Purging: everywhere, whatever is under way, and only what was asked for (A7)."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis

from gateway.token_cache.ledger import PurgeLedger
from gateway.token_cache.lock import SharedFlights
from gateway.token_cache.memory import MemoryCache
from gateway.token_cache.purge import PURGES, PurgedEntry, Purger, PurgeResult
from gateway.token_cache.redis import EPOCH, OWNER_PREFIX, name_of
from gateway.token_cache.sealing import SealingKeys
from tests.peers.children import free_port
from tests.token_cache.purging import JOHN, MARY, NEW, NOW, OLD, OTHER, Replica


@pytest.fixture
async def replicas():
    """Return a function that starts replicas."""
    async with AsyncExitStack() as stack:

        async def start(url, *, listens=True, **options):
            replica = Replica(url, **options)
            stack.push_async_callback(replica.redis.aclose)
            if listens:
                await stack.enter_async_context(replica.bus)
            return replica

        yield start


@pytest.fixture(params=["single", "cluster"])
def url(request):
    """Return where Redis is, once as one server and once as a cluster."""
    name = {"single": "shared_redis", "cluster": "cluster"}[request.param]
    return request.getfixturevalue(name).url


@pytest.fixture(autouse=True)
async def raw(shared_redis):
    """Begin with an empty server."""
    async with Redis.from_url(shared_redis.url, protocol=2) as client:
        await client.flushall()
        yield client


async def test_everything(replicas, url):
    """A purge of everything empties Redis and the memory of every replica."""
    first, second = [await replicas(url) for _ in range(2)]
    await first.log_in(JOHN, "john")
    await first.log_in(MARY, "mary")
    await second.begin(JOHN, "john")
    first.refusals.store(OTHER, True, NOW + 5, 1)
    assert await second.purger.purge(None) == PurgeResult(2, complete=True)
    await first.forgets(JOHN)
    assert await first.knows(JOHN, "john") == (None, None)
    assert await second.knows(MARY, "mary") == (None, None)
    assert len(first.refusals) == 0
    assert await second.purger.purge(None) == PurgeResult(0, complete=True)


async def test_one_user(replicas, url):
    """A purge of a user takes all that user's entries everywhere, and nobody else's."""
    first, second = [await replicas(url) for _ in range(2)]
    await first.log_in(JOHN, "john")
    await first.log_in(OTHER, "John")  # another password; most providers know one john
    await first.log_in(MARY, "mary")
    assert await second.purger.purge("JOHN") == PurgeResult(2, complete=True)
    await first.forgets(JOHN)
    assert await first.knows(JOHN, "john") == (None, None)
    assert await first.knows(OTHER, "john") == (None, None)
    assert await second.knows(MARY, "mary") == (None, b"token")
    assert first.memory.find(MARY, NOW) == b"token"
    assert await first.purger.purge("nobody") == PurgeResult(0, complete=True)


async def test_alias(replicas, url):
    """Who logged in by e-mail is purged by the name the token gives."""
    replica = await replicas(url)
    found = await replica.begin(JOHN, "john@example.org")
    await replica.end(JOHN, b"token", found.ticket, aliases=replica.owners("john"))
    assert await replica.purger.purge("john") == PurgeResult(1, complete=True)
    assert await replica.knows(JOHN, "john@example.org") == (None, None)


@pytest.mark.parametrize("user", [None, "john"])
@pytest.mark.parametrize("purging", [0, 1], ids=["purged here", "purged elsewhere"])
async def test_login_under_way(replicas, url, user, purging):
    """What comes of a login begun before the purge is not kept: not in Redis, not in memory."""
    both = [await replicas(url) for _ in range(2)]
    found = await both[0].begin(JOHN, "john")
    await both[purging].purger.purge(user)
    async with asyncio.timeout(20):
        while both[0].ledger.stands(found.ticket):  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)
    await both[0].end(JOHN, b"late", found.ticket)
    assert await both[0].knows(JOHN, "john") == (None, None)
    await both[0].log_in(JOHN, "john", b"fresh")
    assert await both[1].knows(JOHN, "john") == (None, b"fresh")


async def test_purge_of_another_user(replicas, url):
    """A login under way is not touched by the purge of another user."""
    replica = await replicas(url)
    found = await replica.begin(JOHN, "john")
    await replica.purger.purge("mary")
    await replica.end(JOHN, b"token", found.ticket)
    assert await replica.knows(JOHN, "john") == (b"token", b"token")


async def test_what_was_purged(replicas, url):
    """The hook gets what each tier held, opened, once for each entry."""
    first, second = [await replicas(url) for _ in range(2)]
    await first.log_in(JOHN, "john", b"john's")
    await first.log_in(MARY, "mary", b"mary's")
    await second.begin(MARY, "mary")
    await first.purger.purge("john")
    await second.purger.purge(None)
    assert first.reported == [PurgedEntry(JOHN, stored=b"john's", kept=b"john's")]
    assert second.reported == [PurgedEntry(MARY, stored=b"mary's", kept=b"mary's")]
    assert "john's" not in repr(first.reported)


async def test_rotation(replicas, shared_redis):
    """A3: while secrets are rotated, old and new replicas purge what the other ones stored."""
    before = await replicas(shared_redis.url, secrets=(OLD,))
    during = await replicas(shared_redis.url, secrets=(NEW, OLD))
    for storing, purging in ((before, during), (during, before)):
        await storing.log_in(JOHN, "john")
        assert await purging.purger.purge("john") == PurgeResult(1, complete=True)
        await storing.forgets(JOHN)
        assert (await storing.knows(JOHN, "john"))[1] is None


async def test_missed_while_cut_off(replicas, start_redis):
    """Who was cut off while something was purged forgets everything on coming back."""
    server = start_redis("user gateway on >secret ~* &* +@all")
    cut_off = await replicas(server.url.replace("//", "//gateway:secret@"))
    other = await replicas(server.url)
    await cut_off.log_in(JOHN, "john")
    async with Redis.from_url(server.url, protocol=2) as admin:
        await admin.execute_command("ACL", "SETUSER", "gateway", "off")
        await admin.execute_command("CLIENT", "KILL", "USER", "gateway")
        assert await other.purger.purge("john") == PurgeResult(1, complete=True)
        assert cut_off.memory.find(JOHN, NOW) == b"token"
        await admin.execute_command("ACL", "SETUSER", "gateway", "on")
    await cut_off.forgets(JOHN)


async def test_message_lost(replicas, shared_redis):
    """A purge whose message got lost is found out at the next heartbeat."""
    listener = await replicas(shared_redis.url, heartbeat=0.1)
    silent = await replicas(shared_redis.url, listens=False)
    silent.purger._bus = None
    await listener.log_in(JOHN, "john")
    assert (await silent.purger.purge("john")).complete
    await listener.forgets(JOHN)


async def test_purge_after_a_missed_one(replicas, shared_redis):
    """A message that tells of a purge after a missed one makes a replica forget everything."""
    listener = await replicas(shared_redis.url)
    other = await replicas(shared_redis.url)
    await listener.log_in(JOHN, "john")
    other.purger._bus = None
    await other.purger.purge("john")
    other.purger._bus = other.bus
    assert listener.memory.find(JOHN, NOW) == b"token"
    await other.purger.purge("mary")
    await listener.forgets(JOHN)


async def test_redis_lost_its_data(replicas, raw, shared_redis):
    """F12: FLUSHALL is no purge: the memory stays, and the next purge works as ever."""
    replica = await replicas(shared_redis.url, heartbeat=0.05)
    await replica.log_in(JOHN, "john")
    await replica.purger.purge("mary")
    await raw.flushall()
    await asyncio.sleep(0.3)
    assert replica.memory.find(JOHN, NOW) == b"token"
    assert await replica.purger.purge("john") == PurgeResult(1, complete=True)


async def test_redis_gone(replicas):
    """A13: without Redis this process is purged, and it says that others may not be."""
    replica = await replicas(f"redis://127.0.0.1:{free_port()}", listens=False)
    replica.memory.store(JOHN, b"token", NOW + 60, 1, replica.owners("john"))
    assert await replica.purger.purge("john") == PurgeResult(1, complete=False)
    assert replica.reported == [PurgedEntry(JOHN, kept=b"token")]


async def test_no_redis():
    """Without Redis a purge is about memory alone, and complete."""
    memory, keys = MemoryCache(10, 1000), SealingKeys([NEW])
    purger = Purger(PurgeLedger(), [memory], owners=lambda user: keys.owners("i", user))
    memory.store(JOHN, b"token", NOW + 60, 1, keys.owners("i", "john"))
    memory.store(MARY, b"token", NOW + 60, 1, keys.owners("i", "mary"))
    assert await purger.purge("john") == PurgeResult(1, complete=True)
    assert memory.find(MARY, NOW) == b"token"
    assert await purger.purge(None) == PurgeResult(1, complete=True)


async def test_full_redis(replicas, start_redis):
    """A13: OOM: a Redis that takes no writes is tidied all the same, and the answer is honest."""
    server = start_redis("maxmemory-policy noeviction")
    replica = await replicas(server.url)
    await replica.log_in(JOHN, "john")
    async with Redis.from_url(server.url, protocol=2) as admin:
        await admin.config_set("maxmemory", "1")
        assert (await replica.purger.purge("john")).complete is False
    assert replica.memory.find(JOHN, NOW) is None


async def test_many(replicas, url):
    """More entries than go into one batch are all removed, and the index goes with them."""
    replica = await replicas(url, reports=False)
    for number in range(450):
        await replica.log_in(number.to_bytes(32), "john")
    assert await replica.purger.purge("john") == PurgeResult(450, complete=True)
    assert await replica.purger.purge(None) == PurgeResult(0, complete=True)


async def test_garbage_in_the_index(replicas, raw, shared_redis):
    """A13: members that are no keys, indices of another type and foreign names do no harm."""
    replica = await replicas(shared_redis.url)
    await replica.log_in(JOHN, "john")
    [index] = [OWNER_PREFIX + owner.hex() for owner in replica.owners("john")]
    await raw.sadd(index, b"short", b"z" * 33)
    assert await replica.purger.purge("john") == PurgeResult(1, complete=True)
    await raw.rpush(index, b"x")
    await replica.log_in(JOHN, "john")
    assert await replica.purger.purge("john") == PurgeResult(1, complete=True)
    await raw.set(name_of(b"").replace("t:", "t:no hex"), b"x")
    await raw.set(name_of(JOHN), b"does not open")
    await raw.set("somebody else's", b"x")
    assert await replica.purger.purge(None) == PurgeResult(1, complete=True)
    assert sorted(await raw.keys("*")) == sorted(
        [b"somebody else's", EPOCH.encode(), PURGES.encode(), *await raw.keys("bearergate:2:p:*")]
    )


async def test_index_life(replicas, raw, shared_redis):
    """The index outlives the entry, and not for ever; a shorter entry does not shorten it."""
    replica = await replicas(shared_redis.url)
    await replica.log_in(JOHN, "john")
    [index] = [OWNER_PREFIX + owner.hex() for owner in replica.owners("john")]
    assert 890_000 < await raw.pttl(index) <= 900_000
    [purged] = [await replica.purger.purge("john"), *await raw.keys("bearergate:2:p:*")][1:]
    assert 900_000 < await raw.pttl(purged) <= 1_500_000


async def test_what_redis_sees(replicas, raw, shared_redis):
    """A13: no name of a user is in Redis, in keys or members."""
    replica = await replicas(shared_redis.url)
    await replica.log_in(JOHN, "CANARY-john")
    await replica.purger.purge("CANARY-john")
    names = await raw.keys("*")
    assert names
    assert [name for name in names if b"canary" in name.lower()] == []


RIGHTS = (
    "~bearergate:* &bearergate:2:bus:* -@all +ping +get +mget +set +getset +del +unlink "
    "+sadd +smembers +pexpire +pttl +scan +eval +evalsha +publish +psubscribe"
)


async def test_rights(replicas, start_redis):
    """These rights are enough for storing, finding, purging, the bus and shared flights."""
    server = start_redis(f"user gateway on >secret {RIGHTS}")
    replica = await replicas(server.url.replace("//", "//gateway:secret@"))
    flights = SharedFlights(replica.redis.link, replica.bus, replica.keys, life=5)
    lease = await flights.lead(JOHN)
    assert lease.shared
    await replica.log_in(JOHN, "john")
    await lease.land(b"outcome")
    assert await replica.knows(JOHN, "john") == (b"token", b"token")
    assert await replica.purger.purge("john") == PurgeResult(1, complete=True)
    assert await replica.purger.purge(None) == PurgeResult(0, complete=True)
    assert replica.bus.connected
    assert await replica.redis.ping()
    assert replica.redis.failures == 0
