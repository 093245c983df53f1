"""What a crowd of callers notices when the provider stops, slows down or changes its keys."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from gateway.metrics import FLIGHTS_JOINED
from tests.fakes.answers import UNAVAILABLE, Answer
from tests.fakes.caller import RawCaller, basic, request
from tests.fakes.waiting import until

JOHN = basic("john", "doe")


async def status(caller, pair=JOHN):
    """Send one request with this pair and return the status of the answer."""
    return (await caller.send(request("GET", "/", [pair]))).status


async def load(caller, seen, stop):
    """Send a cached caller's requests one after the other until told to stop."""
    while not stop.is_set():
        seen.append(await status(caller))


@pytest.fixture
async def under_load(gateway, call):
    """Return the statuses that four cached callers see, all the time, until the test ends."""
    stop, seen = asyncio.Event(), []
    callers = [await call(gateway) for _ in range(4)]
    for caller in callers:
        await status(caller)
    tasks = [asyncio.create_task(load(caller, seen, stop)) for caller in callers]
    yield seen
    stop.set()
    await asyncio.gather(*tasks)


async def test_provider_stops_under_load(gateway, call, provider, under_load):
    """T6, F1: cached callers are served, new ones get 503 at once, and it recovers by itself."""
    caller = await call(gateway)
    await provider.down()
    new = [await status(caller, basic(f"user{n}", "p")) for n in range(30)]
    during = len(under_load)
    await until(lambda: len(under_load) > during + 20)

    assert {503} == set(new)

    provider.users["anna"] = "anna"
    await provider.up()
    await until_let_in(caller, basic("anna", "anna"))

    assert {200} == set(under_load)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(500, b""), id="F3-500"),
        pytest.param(UNAVAILABLE["service_unavailable"], id="F3-503"),
        pytest.param(UNAVAILABLE["too_many_requests"], id="F3-429"),
    ],
)
async def test_provider_fails_under_load(gateway, call, provider, under_load, answer):
    """T6, F3: failures cost one call each, then none; nobody is remembered as refused."""
    provider.users = {f"user{n}": "p" for n in range(20)}
    caller = await call(gateway)
    calls = len(provider.token_calls)
    provider.answer_next_token(answer, times=None)

    began = asyncio.get_running_loop().time()
    new = [await status(caller, basic(name, "p")) for name in provider.users]
    probes = (asyncio.get_running_loop().time() - began) // 0.8  # one after each pause at most

    assert {503} == set(new)
    assert len(provider.token_calls) - calls <= 5 + probes

    provider.behave()
    await until_let_in(caller, basic("user0", "p"))
    assert {200} == set(under_load)


async def until_let_in(caller, pair):
    """Ask again and again until the answer is 200."""
    async with asyncio.timeout(30):
        while await status(caller, pair) != 200:  # noqa: ASYNC110 - the gateway is asked
            await asyncio.sleep(0.02)


async def test_open_breaker_makes_no_call(start_gateway, call, provider):
    """T6, F2: after five silent calls the next logins get 503 with Retry-After, without a call."""
    gateway = await start_gateway(IDP_TIMEOUT="0.2")
    provider.answer_next_token(Answer(delay=30), times=None)
    callers = [await call(gateway) for _ in range(5)]
    silent = await asyncio.gather(
        *(status(caller, basic(f"user{n}", "p")) for n, caller in enumerate(callers))
    )

    response = await callers[0].send(request("GET", "/", [JOHN]))

    assert ([504] * 5, 503) == (silent, response.status)
    assert 1 <= int(response.values(b"retry-after")[0]) <= 5
    assert len(provider.token_calls) == 5


async def test_wrong_passwords_never_open_the_breaker(gateway, call, provider):
    """T6: however many wrong passwords there are, the next good one is let in."""
    caller = await call(gateway)
    wrong = [await status(caller, basic(f"user{n}", "wrong")) for n in range(20)]

    assert {401} == set(wrong)
    assert await status(caller) == 200


async def test_waiting_callers_share_the_failure(gateway, call, provider):
    """T6, A10: who waits for a login that fails gets its answer; nobody tries again."""
    provider.answer_next_token(Answer(500, b""), times=None)
    provider.gate.clear()
    joined = FLIGHTS_JOINED.labels("worker")
    before = joined._value.get()
    callers = [await call(gateway) for _ in range(50)]
    waiting = [asyncio.create_task(status(caller)) for caller in callers]
    await until(lambda: joined._value.get() == before + 49)
    provider.gate.set()

    assert await asyncio.gather(*waiting) == [503] * 50
    assert len(provider.token_calls) == 1


async def test_crowd_of_different_credentials(start_gateway, provider):
    """T5, R8: of 500 logins at once 16 are in flight, 100 wait, and the others get 503."""
    gateway = await start_gateway(
        IDP_MAX_CONCURRENCY="16", IDP_MAX_QUEUE="100", IDP_TIMEOUT="120", FAILED_LOGINS_MAX="1000"
    )
    provider.users = {f"user{n}": "p" for n in range(500)}
    provider.gate.clear()

    async def attempt(name):
        async with RawCaller(gateway.port, within=120) as caller:
            return await status(caller, basic(name, "p"))

    waiting = [asyncio.create_task(attempt(name)) for name in provider.users]
    await until(lambda: sum(task.done() for task in waiting) == 384, within=120)
    await until(lambda: len(provider.token_calls) == 16, within=60)
    in_flight = len(provider.token_calls)
    provider.gate.set()
    statuses = await asyncio.gather(*waiting)

    assert in_flight == 16
    assert (statuses.count(200), statuses.count(503)) == (116, 384)
    assert len(provider.token_calls) == 116


async def test_tokens_with_random_kids(gateway, call, provider, under_load):
    """K2: 200 tokens that name keys nobody publishes cause one fetch; cached callers go on."""
    provider.users = {f"user{n}": "p" for n in range(200)}
    caller = await call(gateway)
    statuses = []
    for name in provider.users:
        provider.header = {"kid": secrets.token_urlsafe(8)}
        statuses.append(await status(caller, basic(name, "p")))

    assert [502, *[503] * 199] == statuses
    assert provider.jwks_calls == 2
    assert {200} == set(under_load)


async def test_rotation_with_overlap_under_load(gateway, call, provider, under_load):
    """K1, F5: while the provider changes its key and publishes both, no request fails."""
    provider.users = {"john": "doe"} | {f"user{n}": "p" for n in range(40)}
    callers = [await call(gateway) for _ in range(8)]

    async def log_in(numbers):
        pairs = [basic(f"user{n}", "p") for n in numbers]
        return [await status(callers[n % 8], pair) for n, pair in zip(numbers, pairs, strict=True)]

    before = await asyncio.gather(*(log_in(range(n, 20, 8)) for n in range(8)))
    provider.rotate()
    after = await asyncio.gather(*(log_in(range(20 + n, 40, 8)) for n in range(-4, 4)))

    assert {200} == {each for statuses in (*before, *after) for each in statuses}
    assert {200} == set(under_load)
    assert provider.jwks_calls == 2


async def test_slow_key_set(gateway, call, provider):
    """K8: while a fetch of the keys hangs, tokens by known keys are verified without waiting."""
    provider.users = {f"user{n}": "p" for n in range(3)} | {"john": "doe"}
    caller, other = await call(gateway), await call(gateway)
    await status(caller)
    old = provider.key
    provider.rotate()
    provider.answer_jwks(Answer(delay=4))
    waiting = asyncio.create_task(status(other, basic("user0", "p")))
    await until(lambda: provider.jwks_calls == 2)
    provider.key = old

    known = [await status(caller, basic(f"user{n}", "p")) for n in (1, 2)]
    cached = await status(caller)

    assert ([200, 200], 200, False) == (known, cached, waiting.done())
    assert await waiting == 200
