"""Renewals that fail, are refused, or meet another replica."""

from __future__ import annotations

import asyncio

import pytest

from gateway.authentication.renewal import DUE
from tests.authentication.renewing import USERS, counted, pass_time, renewals, running, used
from tests.fakes.answers import ANSWERS
from tests.fakes.waiting import until


@pytest.fixture
async def provider(provider):
    """Return a provider with refresh tokens, each good for one use."""
    provider.refresh_tokens = True
    provider.users = USERS
    return provider


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
async def test_failed_renewal_is_tried_again(replica, provider, redis, shared):
    """A12: what failed once is due again later in the entry's life, with Redis and without."""
    provider.lifetime = provider.expires_in = 3000
    one = await replica(redis.url if shared else "", lifetimes=(30000, 10))
    entry = await used(one)
    provider.answer_next_token(ANSWERS["login_page"])
    for outcome in ("failed", "ok"):
        ended = counted(outcome)
        one.clock.ahead += DUE[1] * (one.find().until - one.clock()) + 1
        async with running(one):
            await until(lambda ended=ended, outcome=outcome: counted(outcome) > ended)

    assert [entry.refresh_token] * 2 == renewals(provider)


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
