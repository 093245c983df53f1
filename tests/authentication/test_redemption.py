"""One of all replicas redeems a refresh token: what happens when it cannot be told which."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

import pytest

from gateway.authentication import Source
from gateway.authentication.attempts import AttemptLimits, AttemptsLimiter
from gateway.authentication.landing import NOT_STORED, RETRY, STORED, lead, write_failure
from gateway.authentication.redemption import Kept, Redeemer, Redemption
from gateway.errors import (
    InvalidAccessTokenError,
    ProviderError,
    ProviderUnavailableError,
    TooManyAttemptsError,
)
from gateway.token_cache.chains import RefreshChains
from gateway.token_cache.memory import MemoryCache
from tests.authentication.replica import HERE
from tests.fakes.waiting import until
from tests.peers.children import free_port

ASKED = Redemption("marys-first", (b"k" * 32,), (b"c" * 32,), HERE)


@pytest.fixture
async def redeemer(provider):
    """Return a function that makes what redeems for one replica, with the leases of another."""
    provider.refresh_tokens = True
    provider.sessions = {"marys-first": "mary"}
    async with AsyncExitStack() as stack:

        async def start(replica, leases, *, limit=5):
            limits = AttemptLimits.of(limit, 60, 0.0)
            limits = replace(limits, user=limits.address, spread=limits.address)
            attempts = AttemptsLimiter(limits, key=b"k" * 32)
            stack.push_async_callback(attempts.aclose)
            chains = RefreshChains(MemoryCache(10, 1000), replica.redis.link, replica.keys)
            kept = Kept(chains, MemoryCache(10, 1000), leases.flights, 60.0, 5.0)
            return Redeemer(replica.entries, kept, attempts)

        yield start


async def test_redeemed(replica, redeemer, provider, redis):
    """With a lease that all know of the refresh token is redeemed."""
    one = await replica(redis.url)

    entry, _ = await (await redeemer(one, one)).redeem(ASKED)

    assert "mary" == entry.principal.claims.sub
    assert ASKED.refresh_token not in repr(ASKED)


async def test_nobody_knows_of_the_lease(replica, redeemer, provider, redis):
    """A lease that Redis does not confirm is none, though Redis may answer a moment later."""
    one, cut_off = await replica(redis.url), await replica(f"redis://127.0.0.1:{free_port()}")

    with pytest.raises(ProviderUnavailableError):
        await (await redeemer(one, cut_off)).redeem(ASKED)

    assert [] == provider.token_calls


async def waiting(replica, redeemer):
    """Begin a redemption that another replica leads; return it when it waits."""
    task = asyncio.create_task(redeemer.redeem(ASKED))
    await until(lambda: replica.flights._waiting)
    return task


@pytest.mark.parametrize(
    ("told", "error"),
    [
        pytest.param(
            write_failure(InvalidAccessTokenError("no")), InvalidAccessTokenError, id="no"
        ),
        pytest.param(
            write_failure(ProviderUnavailableError("x", 7)), ProviderUnavailableError, id="down"
        ),
        pytest.param(write_failure(ProviderError("x")), ProviderError, id="nonsense"),
        pytest.param(None, ProviderUnavailableError, id="R6-nothing-is-said"),
    ],
)
async def test_told_a_failure(replica, redeemer, provider, redis, told, error):
    """A10: who waited gets the leader's failure, or 503 where there is no word of it."""
    one, other = await replica(redis.url), await replica(redis.url)
    follower = await redeemer(other, other)
    lease = await one.flights.lead(ASKED.turn)
    task = await waiting(other, follower)
    await (lease.abandon() if told is None else lease.land(told))

    with pytest.raises(error):
        await task
    assert [] == provider.token_calls
    assert follower.refused(ASKED.keys[0]) is (error is InvalidAccessTokenError)


@pytest.mark.parametrize("told", [RETRY, NOT_STORED, STORED])
async def test_told_to_go_on(replica, redeemer, provider, redis, told):
    """Where nothing is found of what another one redeemed, one who waited takes its turn."""
    one, other = await replica(redis.url), await replica(redis.url)
    lease = await one.flights.lead(ASKED.turn)
    task = await waiting(other, await redeemer(other, other))
    await lease.land(told)

    _, source = await task

    assert (Source.PROVIDER, 1) == (source, len(provider.token_calls))


async def test_found_by_who_waited(replica, redeemer, provider, redis):
    """A10: what the leader stored is there for who waited, and for who comes into its place."""
    one, other = await replica(redis.url), await replica(redis.url)
    leader, follower = await redeemer(one, one), await redeemer(other, other)
    provider.gate.clear()
    leading = asyncio.create_task(leader.redeem(ASKED))
    await provider.token_called(1)
    following = await waiting(other, follower)
    provider.gate.set()

    assert [Source.PROVIDER, Source.REDIS] == [(await each)[1] for each in (leading, following)]
    find = partial(follower._find_stored, ASKED, other.entries.ticket(""))
    late = await lead(await other.flights.lead(b"x"), find, partial(follower._ask, ASKED))
    assert Source.REDIS == late[1]
    assert 1 == len(provider.token_calls)


async def test_too_many_refused(replica, redeemer, provider, redis):
    """R4: a leader whose address has used up its tries says nothing about the refresh token."""
    one = await replica(redis.url)
    redeem = await redeemer(one, one, limit=1)
    for number in range(20):
        invented = Redemption(f"invented-{number}", (bytes([number]) * 32,), (b"i" * 32,), HERE)
        with pytest.raises(InvalidAccessTokenError):
            await redeem.redeem(invented)

    with pytest.raises(TooManyAttemptsError):
        await redeem.redeem(ASKED)
    assert RETRY == await one.flights.wait(ASKED.turn)
