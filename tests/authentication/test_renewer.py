"""Renewing entries in the background: which, when, and once."""

from __future__ import annotations

import asyncio
import random

import pytest

from gateway.authentication.renewal import DUE
from tests.authentication.renewing import USERS, counted, pass_time, renewals, running, used
from tests.fakes.waiting import until


@pytest.fixture
async def provider(provider):
    """Return a provider with refresh tokens, each good for one use."""
    provider.refresh_tokens = True
    provider.users = USERS
    return provider


async def test_used_entry_is_renewed(replica, provider):
    """A12: an entry that was used gets a new token when it is due, and none before that."""
    one = await replica(lifetimes=(3000, 10))
    entry = await used(one)
    async with running(one):
        await asyncio.sleep(0.05)
        assert renewals(provider) == []
    pass_time(one)

    async with running(one):
        await until(lambda: one.find() is not entry)

    renewed = one.find()
    assert [entry.refresh_token] == renewals(provider)
    assert renewed.principal.access_token != entry.principal.access_token
    assert renewed.refresh_token not in (None, entry.refresh_token)
    assert renewed.exchanged_at == entry.exchanged_at
    assert not renewed.used


@pytest.mark.parametrize("seed", range(20))
async def test_when_it_is_due(replica, seed):
    """A12: the time is drawn from 60 to 85 percent of the entry's life."""
    random.seed(seed)
    one = await replica(lifetimes=(3000, 10))
    before = one.clock()
    entry = await used(one)

    ((due, _),) = one.renewer._due

    after = one.clock()
    earliest = before + DUE[0] * (entry.until - before)
    assert earliest <= due <= after + DUE[1] * (entry.until - after)


async def test_entry_that_is_due_before_all_others(replica, provider):
    """A12: the renewer waits for the entry that is due first, whenever it came."""
    one = await replica(lifetimes=(3000, 10))
    async with running(one):
        await asyncio.sleep(0)
        entry = await used(one)
        one.renewer.watch(one.exchange().key, entry, one.clock() - 1000)
        await until(lambda: one.find() is not entry)

    assert [entry.refresh_token] == renewals(provider)


async def test_idle_entry_is_left_alone(replica, provider):
    """A12: what nobody used since it was made is not renewed."""
    one = await replica(lifetimes=(3000, 10))
    idle, _ = await one.obtain(user="user0", password="p")
    entry = await used(one)
    pass_time(one)

    async with running(one):
        await until(lambda: one.find() is not entry)

    assert [entry.refresh_token] == renewals(provider)
    assert one.find(user="user0", password="p") is idle


async def test_planned_once(replica, provider):
    """A12: an entry that takes the place of another is renewed once, when it is due itself."""
    one = await replica(lifetimes=(3000, 10))
    entry = await used(one)
    key = one.exchange().key
    for _ in range(10):
        one.renewer.watch(key, entry, one.clock())
    pass_time(one)

    async with running(one):
        await until(lambda: one.find() is not entry)
        await asyncio.sleep(0.05)

    assert len(renewals(provider)) == 1
    assert [key] == list(one.renewer._planned)


async def test_entry_that_is_gone(replica, provider):
    """A7: what was purged or pushed out meanwhile is not renewed."""
    one = await replica(lifetimes=(3000, 10))
    await used(one, "user0")
    one.memory.clear()
    entry = await used(one)
    pass_time(one)

    async with running(one):
        await until(lambda: one.find() is not entry)

    assert [entry.refresh_token] == renewals(provider)


async def test_purged_while_it_is_renewed(replica, provider):
    """A7: a renewal begun before a purge leaves nothing behind after it."""
    one = await replica(lifetimes=(3000, 10))
    await used(one)
    pass_time(one)
    provider.gate.clear()
    ended = counted("ok")
    async with running(one):
        await provider.token_called(2)
        one.ledger.note(one.owners("john"))
        one.memory.discard_owners(one.owners("john"))
        provider.gate.set()
        await until(lambda: counted("ok") > ended)

    assert one.find() is None


@pytest.mark.parametrize(
    ("ttl_max", "planned"),
    [
        pytest.param(290, False, id="A7-it-ends-with-its-proof"),
        pytest.param(360, False, id="A7-not-worth-it"),
        pytest.param(370, True, id="A7-worth-it"),
    ],
)
async def test_not_beyond_the_bound(replica, ttl_max, planned):
    """A7: what would not live on for long is not renewed: the credentials are proved again."""
    one = await replica(lifetimes=(ttl_max, 10))
    await used(one)

    assert planned is bool(one.renewer._planned)


async def test_renewed_entry_ends_at_the_bound(replica, provider):
    """A7: renewals carry an entry up to ttl_max after the exchange, not further."""
    one = await replica(lifetimes=(400, 10))
    entry = await used(one)
    pass_time(one)
    provider.lifetime = provider.expires_in = 1000
    async with running(one):
        await until(lambda: one.find() is not entry)

    assert one.find().until == entry.exchanged_at + 400
    assert not one.renewer._planned


async def test_many_at_once(replica, provider):
    """R8: of many that are due sixteen at most are under way."""
    one = await replica(lifetimes=(3000, 10))
    for name in list(USERS)[1:]:
        await used(one, name)
    pass_time(one)
    provider.gate.clear()
    async with running(one):
        await provider.token_called(56)
        await asyncio.sleep(0.05)
        under_way = len(renewals(provider))
        provider.gate.set()
        await until(lambda: len(renewals(provider)) == 40)

    assert under_way == 16


async def test_provider_without_rotation(replica, provider):
    """A12: a provider that leaves the refresh token out means the one before (RFC 6749 §6)."""
    one = await replica(lifetimes=(3000, 10))
    entry = await used(one)
    provider.refresh_tokens = False
    pass_time(one)
    async with running(one):
        await until(lambda: one.find() is not entry)

    assert one.find().refresh_token == entry.refresh_token
