"""From a miss in memory to an entry, on several replicas: one leads, the others hear of it."""

from __future__ import annotations

import asyncio

import pytest

from gateway.authentication import Source
from gateway.authentication.landing import NOT_STORED, RETRY, STORED, write_failure
from gateway.errors import (
    InvalidCredentialsError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    TooManyAttemptsError,
)
from tests.authentication.obtaining import lease_of, outcome_of, waiting_for
from tests.authentication.replica import THERE
from tests.fakes.answers import ANSWERS
from tests.token_cache.topologies import ask


@pytest.fixture
async def pair(replica, redis):
    """Return two replicas that share a Redis."""
    return [await replica(redis.url) for _ in range(2)]


async def test_a_crowd_on_two_replicas_costs_one_call(pair, provider):
    """A10: callers of another replica wait for the one that leads, and find what it stored."""
    provider.gate.clear()
    first = asyncio.create_task(pair[0].obtain())
    await provider.token_called(1)
    others = [await waiting_for(pair[1]) for _ in range(50)]
    provider.gate.set()

    assert await outcome_of(first) == Source.PROVIDER
    assert {Source.REDIS} == {source for _, source in await asyncio.gather(*others)}
    assert len(provider.token_calls) == 1


@pytest.mark.parametrize(
    ("told", "source", "calls"),
    [
        pytest.param(NOT_STORED, Source.PROVIDER, 1, id="too-short-lived-to-share"),
        pytest.param(RETRY, Source.PROVIDER, 1, id="leader-gave-up"),
        pytest.param(STORED, Source.PROVIDER, 1, id="stored-and-gone-since"),
        pytest.param(None, Source.PROVIDER, 1, id="no-outcome"),
        pytest.param(
            write_failure(InvalidCredentialsError("")), InvalidCredentialsError, 0, id="refused"
        ),
        pytest.param(write_failure(ProviderError("")), ProviderError, 0, id="502"),
        pytest.param(write_failure(ProviderTimeoutError("")), ProviderTimeoutError, 0, id="504"),
        pytest.param(
            write_failure(ProviderUnavailableError("", 7)), ProviderUnavailableError, 0, id="503"
        ),
        pytest.param(b"another version's", ProviderUnavailableError, 0, id="unknown"),
    ],
)
async def test_what_a_leader_told(pair, provider, told, source, calls):
    """A10: a follower does what the leader's outcome asks of it; a failure costs no call."""
    lease = await lease_of(pair[0])
    followers = [await waiting_for(pair[1]) for _ in range(10)]
    await (lease.abandon() if told is None else lease.land(told))

    outcomes = [await outcome_of(task) for task in followers]

    assert {source} == set(outcomes)
    assert calls == len(provider.token_calls)


async def test_retry_after_is_told(pair):
    """A10: followers hear from the leader when to come again."""
    lease = await lease_of(pair[0])
    follower = await waiting_for(pair[1])
    await lease.land(write_failure(ProviderUnavailableError("", 7)))

    with pytest.raises(ProviderUnavailableError) as caught:
        await follower
    assert caught.value.retry_after == 7


@pytest.mark.parametrize(
    ("lifetime", "calls"), [pytest.param(300, 1, id="shared"), pytest.param(5, 2, id="too-short")]
)
async def test_tokens_too_short_to_be_stored(pair, provider, lifetime, calls):
    """A5, A10: what lives too short to be stored is asked for by each replica, without a wait."""
    provider.lifetime = provider.expires_in = lifetime
    provider.gate.clear()
    first = asyncio.create_task(pair[0].obtain())
    await provider.token_called(1)
    second = await waiting_for(pair[1])
    provider.gate.set()

    tokens = {(await task)[0].principal.access_token for task in (first, second)}

    assert calls == len(tokens) == len(provider.token_calls)


@pytest.mark.parametrize(
    ("lifetime", "told"),
    [pytest.param(300, STORED, id="A10"), pytest.param(5, NOT_STORED, id="A5")],
)
async def test_what_a_leader_tells(pair, provider, lifetime, told):
    """A10: a leader says whether the others find an entry in Redis."""
    provider.lifetime = provider.expires_in = lifetime
    await pair[0].obtain()

    _, ticket = await pair[1].look()

    assert told == await pair[1].flights.wait(pair[1].exchange().key, ticket)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param("keycloak_wrong_password", InvalidCredentialsError, id="refused"),
        pytest.param("internal_error_html", ProviderUnavailableError, id="500"),
        pytest.param("login_page", ProviderError, id="nonsense"),
        pytest.param("unsupported_grant_type", ProviderError, id="refused-us"),
    ],
)
async def test_a_leaders_failure_is_everybodys(pair, provider, answer, expected):
    """A10: callers of both replicas get the leader's failure for one call."""
    provider.answer_next_token(ANSWERS[answer])
    provider.gate.clear()
    tasks = [asyncio.create_task(pair[0].obtain()) for _ in range(10)]
    await provider.token_called(1)
    tasks += [await waiting_for(pair[1]) for _ in range(10)]
    provider.gate.set()

    assert {expected} == {await outcome_of(task) for task in tasks}
    assert len(provider.token_calls) == 1


async def test_a_leader_that_is_stopped_says_so(pair, provider, redis):
    """A10: a replica that ends while it leads lands something; nobody waits out its lease."""
    provider.gate.clear()
    first = asyncio.create_task(pair[0].obtain())
    await provider.token_called(1)
    follower = await waiting_for(pair[1])

    await pair[0].cold_path.aclose()

    assert await outcome_of(follower) is ProviderUnavailableError
    assert first.cancelled()
    assert len(provider.token_calls) == 1
    assert [] == ask(redis, "KEYS", "*:lease")


async def test_being_throttled_is_not_told(pair, provider):
    """A10, R2: what is wrong with the leader's address is no answer for another's callers."""
    for password in ("a", "b", "c", "d", "e"):
        with pytest.raises(InvalidCredentialsError):
            await pair[0].obtain(password=password)
    lease = await lease_of(pair[1])
    throttled = await waiting_for(pair[0])
    other = await waiting_for(pair[1], peer=THERE)
    await lease.abandon()

    assert await outcome_of(throttled) in {TooManyAttemptsError, Source.REDIS}
    assert (await other)[0].principal.claims.sub == "john"
    assert len(provider.token_calls) == 6


async def test_leader_told_to_retry(pair):
    """A10, R2: a throttled leader lands `retry`, and names its user in its own error only."""
    for password in ("a", "b", "c", "d", "e"):
        with pytest.raises(InvalidCredentialsError):
            await pair[0].obtain(password=password)

    with pytest.raises(TooManyAttemptsError) as caught:
        await pair[0].obtain()

    _, ticket = await pair[1].look()
    assert await pair[1].flights.wait(pair[1].exchange().key, ticket) == RETRY
    assert caught.value.user == b"john".hex()


async def test_a_told_refusal_is_remembered(pair, provider):
    """A8, R1: what another replica was refused is not asked about here either."""
    lease = await lease_of(pair[0])
    follower = await waiting_for(pair[1])
    await lease.land(write_failure(InvalidCredentialsError("")))
    assert await outcome_of(follower) is InvalidCredentialsError

    with pytest.raises(InvalidCredentialsError) as caught:
        await pair[1].obtain()

    assert caught.value.user == b"john".hex()
    assert provider.token_calls == []


async def test_another_leader_landed_meanwhile(pair, provider):
    """A10: between a miss in Redis and the lease, another may have stored the entry."""
    lease = await lease_of(pair[0])
    follower = await waiting_for(pair[1])
    exchange, now = pair[0].exchange(), pair[0].clock()
    grant, tokens = await pair[0].requests.exchange(exchange, lambda: None)
    await pair[0].keep(tokens, grant=grant, at=now)
    await lease.abandon()

    assert await outcome_of(follower) == Source.REDIS
    assert len(provider.token_calls) == 1


async def test_credentials_never_share(pair, provider):
    """A10: a hundred exchanges begun at once that differ in anything have each their own."""
    provider.users = {f"user{n}": "p" for n in range(45)} | {"ab": "c", "a": "bc"}
    told = [{"user": user, "password": password} for user, password in provider.users.items()]
    told.append({"user": "user0", "password": "p", "copied": (("scope", "x"),)})
    told.append({"user": "user0", "password": "p", "copied": (("scope", "y"),)})

    tasks = [(each, one.obtain(**each)) for each in told for one in pair]
    entries = await asyncio.gather(*(task for _, task in tasks))

    asked = [(each["user"], each.get("copied", (("", "openid"),))[0][1]) for each, _ in tasks]
    got = [(entry.principal.claims.sub, entry.principal.claims.scope) for entry, _ in entries]
    assert asked == got
    assert len(told) == len(provider.token_calls)


async def test_redis_goes_while_another_leads(replica, provider, start_redis):
    """A13: a follower whose Redis is gone logs in by itself."""
    redis = start_redis()
    pair = [await replica(redis.url) for _ in range(2)]
    assert await lease_of(pair[0])
    follower = await waiting_for(pair[1])
    redis.stop()

    assert await outcome_of(follower) == Source.PROVIDER
    assert len(provider.token_calls) == 1


async def test_a_lease_that_runs_out(replica, provider, redis):
    """A10: a leader that is gone is waited for as long as its lease lives, then replaced."""
    pair = [await replica(redis.url, life=0.3) for _ in range(2)]
    assert await lease_of(pair[0])
    await pair[0].flights.aclose()

    obtained = await asyncio.gather(*(pair[1].obtain() for _ in range(50)))

    assert {Source.PROVIDER} == {source for _, source in obtained}
    assert len(provider.token_calls) == 1


async def test_what_a_purge_keeps_from_being_stored(pair, provider):
    """A7, A10: after a purge meanwhile a leader says that nothing is stored, and nobody queues."""
    provider.gate.clear()
    first = asyncio.create_task(pair[0].obtain())
    await provider.token_called(1)
    second = await waiting_for(pair[1])
    pair[0].ledger.note(pair[0].owners("john"))
    provider.gate.set()

    assert [await outcome_of(task) for task in (first, second)] == [Source.PROVIDER] * 2
    _, ticket = await pair[1].look()
    assert await pair[1].flights.wait(pair[1].exchange().key, ticket) == NOT_STORED
    assert len(provider.token_calls) == 2


async def test_a_caller_that_leaves_ends_it_for_nobody(pair, provider):
    """A10: the caller that began the exchange hangs up; what comes of it is everybody's."""
    provider.gate.clear()
    first = asyncio.create_task(pair[0].obtain())
    await provider.token_called(1)
    follower = await waiting_for(pair[1])
    first.cancel()
    await asyncio.wait([first])
    provider.gate.set()

    assert await outcome_of(follower) == Source.REDIS
    assert len(provider.token_calls) == 1
