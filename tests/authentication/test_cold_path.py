"""From a miss in memory to an entry, on one replica: one call for a crowd, and refusals."""

from __future__ import annotations

import asyncio

import pytest

from gateway.authentication import Source
from gateway.errors import (
    InvalidCredentialsError,
    ProviderError,
    TooManyAttemptsError,
)
from gateway.metrics import NEGATIVE_HITS, THROTTLED
from tests.authentication.obtaining import outcome_of
from tests.authentication.replica import HERE, NEW, OLD, THERE
from tests.fakes.answers import ANSWERS
from tests.token_cache.topologies import ask


async def test_a_crowd_costs_one_call(replica, provider):
    """A10: a thousand callers with one credential make one call and share its entry."""
    one = await replica()

    obtained = await asyncio.gather(*(one.obtain() for _ in range(1000)))

    assert {Source.PROVIDER} == {source for _, source in obtained}
    assert {id(one.find())} == {id(entry) for entry, _ in obtained}
    assert len(provider.token_calls) == 1


async def test_throttled_leader_of_a_crowd(replica, provider):
    """R2, R3: callers of one flight are throttled by their own address, not by the leader's."""
    one = await replica(limit=1)
    with pytest.raises(InvalidCredentialsError):
        await one.obtain(password="wrong")

    tasks = [
        asyncio.create_task(one.obtain(peer=peer)) for peer in (HERE, HERE, THERE, HERE, THERE)
    ]
    outcomes = [await outcome_of(task) for task in tasks]

    assert outcomes[0] is TooManyAttemptsError
    assert [Source.PROVIDER] * 2 == [outcomes[2], outcomes[4]]
    assert len(provider.token_calls) == 2


async def test_throttled_crowd_is_answered_at_once(replica, provider):
    """R8: two thousand throttled callers behind one address, an IPv6 /64 say, cost one decision."""
    one = await replica(limit=1)
    with pytest.raises(InvalidCredentialsError):
        await one.obtain(password="wrong", peer="2001:db8::1")
    before = THROTTLED.labels("user")._value.get()

    tasks = [one.obtain(peer=f"2001:db8::{n:x}") for n in range(1, 2001)]
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert {TooManyAttemptsError} == {type(outcome) for outcome in outcomes}
    assert (THROTTLED.labels("user")._value.get() - before, len(provider.token_calls)) == (1, 1)


async def test_refusal_is_remembered(replica, provider):
    """A8, R1: refused credentials are not asked about again for ttl_neg seconds, others are."""
    one = await replica(ttl_neg=5)
    hits = NEGATIVE_HITS._value.get()
    provider.users["john"] = "new"

    for _ in range(3):
        assert await outcome_of(one.obtain()) is InvalidCredentialsError
    assert (len(provider.token_calls), NEGATIVE_HITS._value.get() - hits) == (1, 2)

    assert await outcome_of(one.obtain(password="new")) == Source.PROVIDER
    provider.users["john"] = "doe"
    one.clock.ahead = 6
    assert await outcome_of(one.obtain()) == Source.PROVIDER


@pytest.mark.parametrize("answer", ["internal_error_html", "login_page", "invalid_scope"])
async def test_failures_are_not_remembered(replica, provider, answer):
    """A8, F3: only a refusal is remembered; after any other failure the next caller asks."""
    one = await replica()
    provider.answer_next_token(ANSWERS[answer])

    with pytest.raises(ProviderError):
        await one.obtain()
    assert await outcome_of(one.obtain()) == Source.PROVIDER


async def test_refusal_leaves_the_entry_alone(replica, provider, redis):
    """A9: a wrong password neither removes nor prolongs what the good one has."""
    one = await replica(redis.url)
    entry, _ = await one.obtain()
    end = entry.until

    assert await outcome_of(one.obtain(password="wrong")) is InvalidCredentialsError

    assert (one.find(), one.find().until) == (entry, end)
    assert len(ask(redis, "KEYS", "*:t:*")) == 1


async def test_after_a_rotation(replica, provider, redis):
    """A3: with a new secret in front what was stored under the old one is found, for no call."""
    await (await replica(redis.url, secrets=[OLD])).obtain()
    rotated = await replica(redis.url, secrets=[NEW, OLD])

    _, source = await rotated.obtain()

    assert (source, len(provider.token_calls)) == (Source.REDIS, 1)


async def test_successes_count_for_nothing(replica, provider):
    """R2: only refused logins are counted against a user and an address."""
    one = await replica(limit=1)
    for copied in range(5):
        await one.obtain(copied=(("otp", str(copied)),))

    assert await outcome_of(one.obtain(password="wrong")) is InvalidCredentialsError
    assert await outcome_of(one.obtain(password="wronger")) is TooManyAttemptsError
