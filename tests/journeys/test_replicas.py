"""Replicas as processes, on one Redis: one call for a crowd, and a leader that dies."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack

import pytest

from gateway.metrics import REDIS_FAILURES
from tests.fakes.answers import ANSWERS
from tests.fakes.caller import RawCaller, basic, request
from tests.fakes.waiting import until, until_told
from tests.journeys.running import RunningGateway

JOHN = basic("john", "doe")
REPLICAS = 3
JOINED = 'bearergate_flights_joined_total{where="worker"}'


@pytest.fixture
async def replicas(provider, upstream, start_redis):
    """Return three running gateways that share a Redis, and wait for the provider patiently."""
    settings = {
        "ISSUER": provider.issuer,
        "CLIENT_ID": provider.client_id,
        "CLIENT_SECRET": provider.client_secret,
        "UPSTREAM_URL": upstream.url,
        "REDIS_URL": start_redis().url,
        "CACHE_SECRET": "s" * 32,
        "IDP_TIMEOUT": "30",
    }
    async with AsyncExitStack() as stack:
        starting = [stack.enter_async_context(RunningGateway(**settings)) for _ in range(REPLICAS)]
        yield [await each for each in starting]


async def ask(port, pair, path="/"):
    """Send one request on a connection of its own and return its status."""
    async with RawCaller(port) as caller:
        return (await caller.send(request("GET", path, [pair]))).status


async def crowd(replicas, size, pair=JOHN):
    """Begin so many requests, spread over the replicas; return them when all of them wait.

    The first of each replica goes ahead: Redis may answer late in a process that accepts a crowd.
    """
    tasks = [asyncio.create_task(ask(each.port, pair)) for each in replicas]
    await asyncio.sleep(0.5)
    for number in range(size - len(replicas)):
        port = replicas[number % len(replicas)].port
        tasks.append(asyncio.create_task(ask(port, pair)))

    async def all_joined():
        counts = [await each.counted(JOINED) for each in replicas]
        return sum(counts) >= size - len(replicas)

    await until_told(all_joined, within=60)
    return tasks


async def test_a_crowd_on_three_replicas_costs_one_login(replicas, provider):
    """A10: 500 first requests with one credential on three replicas make one call."""
    provider.gate.clear()
    waiting = await crowd(replicas, 500)
    provider.gate.set()

    statuses = await asyncio.gather(*waiting)

    assert statuses == [200] * 500
    assert len(provider.token_calls) == 1


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param("keycloak_wrong_password", 401, id="refused"),
        pytest.param("internal_error_html", 503, id="failed"),
        pytest.param("login_page", 502, id="nonsense"),
    ],
)
async def test_the_leaders_failure_is_everybodys(replicas, provider, answer, expected):
    """A10: followers on other replicas get the same answer and do not each try again."""
    provider.answer_next_token(ANSWERS[answer])
    provider.gate.clear()
    waiting = await crowd(replicas, 60)
    provider.gate.set()

    statuses = await asyncio.gather(*waiting)

    assert statuses == [expected] * 60
    # Under `auto` a refused password is followed by one try as a client.
    assert len(provider.token_calls) == (2 if expected == 401 else 1)


async def test_a_leader_that_is_killed_costs_one_more_call(replicas, provider):
    """A10: kill -9 of the replica that leads; the others go on after its lease, with one call."""
    provider.gate.clear()
    leader, *others = replicas
    first = asyncio.create_task(ask(leader.port, JOHN))
    await provider.token_called(1)
    waiting = await crowd(others, 100)
    leader.signal(signal.SIGKILL)
    await leader.exited()
    assert await first == 0
    await until(lambda: len(provider.token_calls) == 2, within=60)
    provider.gate.set()

    statuses = await asyncio.gather(*waiting)

    assert statuses == [200] * 100
    assert len(provider.token_calls) == 2


async def test_credentials_never_mix_across_replicas(replicas, provider, upstream):
    """A10: thirty users at once over three replicas; each request carries its own user's token."""
    provider.users = {f"user{number}": f"password{number}" for number in range(30)}
    tasks = [
        ask(replica.port, basic(name, password), f"/{name}")
        for name, password in provider.users.items()
        for replica in replicas
    ]

    assert await asyncio.gather(*tasks) == [200] * 90
    tokens: dict[bytes, set[bytes]] = {}
    for seen in upstream.requests:
        tokens.setdefault(seen.target, set()).add(seen.values(b"authorization")[0])
    assert len(tokens) == 30
    assert len(set().union(*tokens.values())) == 30
    assert len(provider.token_calls) == 30


async def test_guesses_over_two_replicas(start_gateway, start_redis, provider):
    """R2: of 200 wrong passwords for one user, half on each of two replicas, five get through.

    The user's cached good password is answered 200 all the while. Where a machine is too slow for
    Redis to answer in time each replica counts for itself, which makes ten.
    """
    settings = {
        "REDIS_URL": start_redis().url,
        "CACHE_SECRET": "s" * 32,
        "FAILED_LOGINS_SPACING": "0.05",
    }
    ports = [(await start_gateway(**settings)).port for _ in range(2)]
    assert [await ask(port, JOHN) for port in ports] == [200, 200]
    failures, turns = REDIS_FAILURES._value.get(), asyncio.Semaphore(8)

    async def guess(number):
        async with turns:
            return await ask(ports[number % 2], basic("john", f"wrong-{number}"))

    guesses = asyncio.gather(*(guess(number) for number in range(200)))
    good = []
    while not guesses.done():
        good += [await ask(port, JOHN) for port in ports]
    statuses = await guesses

    most = 5 if REDIS_FAILURES._value.get() == failures else 10
    assert set(good) == {200}
    assert 5 <= statuses.count(401) <= most
    assert statuses.count(401) + statuses.count(429) == 200
    guessed = [call for call in provider.token_calls if call.grant_type == "password"]
    assert len(guessed) == 1 + statuses.count(401)
