"""Renewing entries in the background: which, when, once, and what a failure leaves behind."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager

import pytest

from gateway.authentication.renewal import DUE
from gateway.metrics import RENEWALS
from tests.fakes.answers import ANSWERS
from tests.fakes.waiting import until

USERS = {"john": "doe"} | {f"user{n}": "p" for n in range(40)}


@pytest.fixture
async def provider(provider):
    """Return a provider with refresh tokens, each good for one use."""
    provider.refresh_tokens = True
    provider.users = USERS
    return provider


@asynccontextmanager
async def running(*replicas):
    """Have these replicas renew what is due."""
    tasks = [asyncio.create_task(each.renewer.run()) for each in replicas]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def used(one, name="john"):
    """Log in and use the entry, as every request does; return it."""
    entry, _ = await one.obtain(user=name, password=USERS[name])
    entry.used = True
    return entry


def pass_time(*replicas, part=DUE[1]):
    """Let so much of an entry's life of 290 seconds go by."""
    for one in replicas:
        one.clock.ahead += 290 * part + 1


def renewals(provider):
    """Return the users whose tokens were renewed, in order."""
    return [call.form["refresh_token"] for call in provider.token_calls
            if call.grant_type == "refresh_token"]  # fmt: skip


def counted(outcome):
    """Return how many renewals have ended this way."""
    return RENEWALS.labels(outcome)._value.get()


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

    life = entry.until - one.clock()
    assert DUE[0] * (life - 1) <= due - before <= DUE[1] * (life + 1)


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


async def test_refused_renewal(replica, provider):
    """T7: a session that ended is not asked about again; the token works until its own end."""
    one = await replica(lifetimes=(3000, 10))
    entry = await used(one)
    provider.sessions.clear()
    pass_time(one)
    refused = counted("refused")
    async with running(one):
        await until(lambda: counted("refused") > refused)
        one.renewer.watch(one.exchange().key, entry, one.clock() - 1000)
        await asyncio.sleep(0.05)

    assert one.find() is entry
    assert entry.refresh_token is None
    assert len(renewals(provider)) == 1


async def test_refused_renewal_of_an_entry_that_is_gone(replica, provider):
    """T7, A7: a refusal about an entry that was purged meanwhile harms nothing."""
    one = await replica(lifetimes=(3000, 10))
    entry = await used(one)
    provider.sessions.clear()
    pass_time(one)
    provider.gate.clear()
    async with running(one):
        await provider.token_called(2)
        one.memory.clear()
        provider.gate.set()
        await until(lambda: entry.refresh_token is None)

    assert one.find() is None


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "with-redis"])
@pytest.mark.parametrize("answer", ["internal_error_html", "login_page", "unsupported_grant_type"])
async def test_failed_renewal(replica, provider, redis, answer, shared):
    """A12: a renewal that fails leaves the entry as it was, until its own end."""
    one = await replica(redis.url if shared else "", lifetimes=(3000, 10))
    entry = await used(one)
    provider.answer_next_token(ANSWERS[answer])
    pass_time(one)
    failed = counted("failed")
    async with running(one):
        await until(lambda: counted("failed") > failed)
        await asyncio.sleep(0.05)

    found = one.find()
    assert (found.principal, found.until) == (entry.principal, entry.until)
    assert found.refresh_token == entry.refresh_token
    assert len(renewals(provider)) == 1


async def test_others_go_on_after_a_failure(replica, provider):
    """A12: one renewal that fails keeps no other from being made."""
    one = await replica(lifetimes=(3000, 10))
    entries = [await used(one, name) for name in ("user0", "user1")]
    pass_time(one)
    provider.answer_next_token(ANSWERS["login_page"])
    async with running(one):
        await until(lambda: len(renewals(provider)) == 2)
        john = await used(one)
        pass_time(one)
        one.renewer.watch(one.exchange().key, john, one.clock() - 1000)
        await until(lambda: one.find() is not john)

    assert {entry.refresh_token for entry in entries} <= set(renewals(provider))


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


async def test_replicas_renew_once(replica, provider, redis):
    """A12: of two replicas one renews; the other waits for it and adopts what came of it."""
    pair = [await replica(redis.url, lifetimes=(3000, 10)) for _ in range(2)]
    old = [await used(one) for one in pair]
    pass_time(*pair)
    provider.gate.clear()
    async with running(*pair):
        await provider.token_called(2)
        await until(lambda: any(one.flights._waiting for one in pair))
        provider.gate.set()
        await until(lambda: all(one.find() not in old for one in pair))

    found = [one.find() for one in pair]
    assert found[0].principal.access_token == found[1].principal.access_token
    assert found[0].refresh_token == found[1].refresh_token
    assert len(renewals(provider)) == 1


async def test_a_replica_that_comes_later_adopts(replica, provider, redis):
    """A12: a replica whose turn comes later finds what another has renewed already."""
    pair = [await replica(redis.url, lifetimes=(3000, 10)) for _ in range(2)]
    old = [await used(one) for one in pair]
    pass_time(*pair)
    for one, outcome in zip(pair, ("ok", "adopted"), strict=True):
        ended = counted(outcome)
        async with running(one):  # until it has told the others, which is later than its own memory
            await until(lambda ended=ended, outcome=outcome: counted(outcome) > ended)

    assert all(one.find() is not entry for one, entry in zip(pair, old, strict=True))
    assert len({one.find().principal.access_token for one in pair}) == 1
    assert len(renewals(provider)) == 1


async def test_nothing_to_adopt(replica, provider, redis):
    """A12: when the replica that leads does not renew, the one that waited leaves its own alone."""
    pair = [await replica(redis.url, lifetimes=(3000, 10)) for _ in range(2)]
    old = [await used(one) for one in pair]
    provider.answer_next_token(ANSWERS["login_page"])
    pass_time(*pair)
    provider.gate.clear()
    failed = counted("failed")
    async with running(*pair):
        await provider.token_called(2)
        await until(lambda: any(one.flights._waiting for one in pair))
        provider.gate.set()
        await until(lambda: counted("failed") == failed + 2)

    assert [entry.principal for entry in old] == [one.find().principal for one in pair]
    assert len(renewals(provider)) == 1


async def test_redis_gone(replica, provider, start_redis):
    """A13: without its Redis a replica renews by itself."""
    redis = start_redis()
    one = await replica(redis.url, lifetimes=(3000, 10))
    entry = await used(one)
    redis.stop()
    pass_time(one)
    async with running(one):
        await until(lambda: one.find() is not entry)

    assert [entry.refresh_token] == renewals(provider)


async def test_provider_without_rotation(replica, provider):
    """A12: a provider that leaves the refresh token out means the one before (RFC 6749 §6)."""
    one = await replica(lifetimes=(3000, 10))
    entry = await used(one)
    provider.refresh_tokens = False
    pass_time(one)
    async with running(one):
        await until(lambda: one.find() is not entry)

    assert one.find().refresh_token == entry.refresh_token


async def test_fault_of_ours(replica, provider, caplog):
    """A12: a fault nobody thought of is logged and ends one renewal, not all of them."""
    names = iter(["john", "user0", None, "user0"])
    one = await replica(lifetimes=(3000, 10), pseudonym=lambda _: next(names).upper())
    entries = [await used(one, name) for name in ("john", "user0")]
    pass_time(one)
    failed = counted("failed")

    async with running(one):
        await until(lambda: counted("failed") > failed and len(renewals(provider)) == 2)
        await until(lambda: len([e for e in one.memory._entries.values() if e[0] not in entries]))

    assert "a token was not renewed" in caplog.messages
