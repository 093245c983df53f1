"""``python -m tests.benchmarks.outages``: what callers notice when something around fails.

It prints figures and judges nothing. Each scenario has a gateway of its own, as a process.
Provider, upstream and callers share another process, so the times hold its delays too.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from tests.benchmarks.machine import allow_many_files, describe
from tests.benchmarks.outage_traffic import (
    OWNER,
    Callers,
    Stream,
    address_of,
    mann_whitney,
    milliseconds,
    owner,
    statuses,
    strangers,
)
from tests.fakes.caller import basic
from tests.fakes.provider import FakeProvider
from tests.fakes.upstream import RecordingUpstream
from tests.fakes.waiting import until
from tests.journeys.running import RunningGateway
from tests.token_cache.redis_server import RedisServer
from tests.token_cache.topologies import Sentinels
from tests.token_cache.troubles import crashed, emptied, hanging, locked

SLOW = 0.1  # seconds from which an answer counts as held up


class Everybody(dict):
    """Users with any name, whose password is p; the owner has a good one."""

    def __contains__(self, name):
        return True

    def __getitem__(self, name):
        return "good" if name == "owner" else "p"


@asynccontextmanager
async def site(gateways=1, **settings):
    """Run a provider, an upstream and gateways between them; each has the owner's token cached."""
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(FakeProvider(alg="ES256"))
        provider.users = Everybody()
        upstream = await stack.enter_async_context(RecordingUpstream())
        environ = {
            "ISSUER": provider.issuer,
            "CLIENT_ID": provider.client_id,
            "CLIENT_SECRET": provider.client_secret,
            "UPSTREAM_URL": upstream.url,
            "TRUSTED_PROXIES": "127.0.0.1",
            "CACHE_SECRET": "s" * 32,
            **settings,
        }
        started = [
            await stack.enter_async_context(RunningGateway(**environ)) for _ in range(gateways)
        ]
        for gateway in started:
            assert (await Callers(gateway.port).send(OWNER)).status == 200
        yield provider, [gateway.port for gateway in started]


async def one_by_one(port, name, size):
    """Send so many first requests one after the other."""
    callers = Callers(port)
    seen = [await callers.send(*strangers(name)(number)) for number in range(size)]
    callers.leave()
    return seen


async def queue():
    """Answer at once when the queue is full, and when the breaker is open."""
    async with site(IDP_MAX_QUEUE="100", IDP_TIMEOUT="60") as (provider, [port]):
        provider.gate.clear()
        callers, before = Callers(port), len(provider.token_calls)
        crowd = [
            asyncio.create_task(callers.send(*strangers("crowd")(number))) for number in range(500)
        ]
        await until(lambda: sum(task.done() for task in crowd) >= 500 - 64 - 100, within=60)
        refused = await one_by_one(port, "late", 200)
        under_way = len(provider.token_calls) - before
        provider.gate.set()
        everybody = await asyncio.gather(*crowd)
        yield f"500 new at once: {under_way} calls under way; {statuses(everybody)}"
        yield f"queue full, 200 more: {statuses(refused)}; {milliseconds(refused)} ms"
        await provider.down()
        await one_by_one(port, "probe", 10)
        refused = await one_by_one(port, "open", 200)
        yield f"breaker open, 200 new: {statuses(refused)}; {milliseconds(refused)} ms"


async def provider(seconds=60):
    """Stop the provider under load."""
    async with (
        site() as (fake, [port]),
        Stream(port, 0.004, owner) as cached,
        Stream(port, 0.1, strangers("new")) as new,
    ):
        await asyncio.sleep(5)
        stopped = perf_counter()
        await fake.down()
        await asyncio.sleep(seconds)
        await fake.up()
        back = perf_counter()
        await asyncio.sleep(10)
    served = [seen for seen in new.since(back) if seen.status == 200]
    during = [seen for seen in new.since(stopped) if seen.at < back]
    open_ = during[10:]  # the breaker opens after five
    yield f"cached, {seconds} s without provider: {statuses(cached.since(stopped))}"
    yield f"cached, before and during: {milliseconds(cached.seen)} ms"
    yield f"new: {statuses(during)}; once the breaker is open {milliseconds(open_)} ms"
    yield f"first new login served {served[0].at + served[0].seconds - back:.1f} s after its return"


async def redis():
    """Let Redis fail in five ways under load."""
    troubles = {
        "SIGSTOP, 30 s": (hanging, 30),
        "kill -9, started again after 3 s": (crashed, 3),
        "NOAUTH, put right after 3 s": (locked, 3),
        "FLUSHALL": (emptied, 1),
    }
    with tempfile.TemporaryDirectory(prefix="bearergate-outages-") as folder:
        for number, (name, (trouble, seconds)) in enumerate(troubles.items()):
            server = RedisServer(Path(folder) / str(number))
            server.start()
            async for line in redis_trouble(server.url, trouble(server), seconds):
                yield f"{name}: {line}"
            server.stop()
        servers = Sentinels(Path(folder) / "sentinels")
        await asyncio.to_thread(servers.start)
        async for line in redis_trouble(servers.url, failover(servers), 1):
            yield f"failover by Sentinel: {line}"
        servers.stop()


@asynccontextmanager
async def failover(servers):
    """Kill the primary, and go on when another has its place."""
    servers.primary.stop()
    await asyncio.to_thread(servers.wait_for_failover)
    yield


async def redis_trouble(url, trouble, seconds):
    """Measure two gateways before and during one fault."""
    async with AsyncExitStack() as stack:
        _, ports = await stack.enter_async_context(site(gateways=2, REDIS_URL=url))
        cached, new = [
            [await stack.enter_async_context(Stream(port, every, pairs(port))) for port in ports]
            for every, pairs in (
                (0.01, lambda _: owner),
                (0.05, lambda port: strangers(f"new{port}-")),
            )
        ]
        await asyncio.sleep(3)
        began = perf_counter()
        async with trouble:
            await asyncio.sleep(seconds)
        await asyncio.sleep(3)
    for kind, streams in (("cached", cached), ("new", new)):
        before = [seen for stream in streams for seen in stream.seen if seen.at < began]
        during = [seen for stream in streams for seen in stream.since(began)]
        slow = [sum(seen.seconds > SLOW for seen in stream.since(began)) for stream in streams]
        yield (
            f"{kind}: {statuses(during)}; {milliseconds(before)} ms before, {milliseconds(during)} "
            f"ms since; over {1000 * SLOW:.0f} ms: {slow} of each gateway"
        )


async def guesses(size=10_000, rate=100):
    """Guess one user's password from fifty addresses while its owner's token is cached."""

    def guess(number):
        return basic("owner", f"wrong{number}"), address_of(number % 50)

    async with site() as (fake, [port]), Stream(port, 0.05, owner) as cached:
        began = perf_counter()
        async with Stream(port, 1 / rate, guess) as guessed:
            await asyncio.sleep(size / rate)
        took = perf_counter() - began
    logins = [call for call in fake.token_calls if call.form.get("username") == "owner"]
    yield f"{len(guessed.seen)} wrong passwords in {took:.0f} s: {statuses(guessed.seen)}"
    yield f"logins of the user that reached the provider: {len(logins) - 1}"
    yield f"the owner meanwhile: {statuses(cached.seen)}; {milliseconds(cached.seen)} ms"


async def timing(size=2000):
    """Compare a refusal of the provider with one from memory (R7)."""
    limits = {"FAILED_LOGINS_MAX": "1000", "FAILED_LOGINS_SPACING": "0"}
    asked, remembered = [], []
    async with site(BASIC_GRANT="password", **limits) as (fake, [port]):
        callers = Callers(port)

        async def measure(number):
            name, address = f"user{number}", address_of(number)
            delay = random.uniform(0.01, 0.04)  # noqa: S311 - the provider's own time
            fake.answers_for[name] = replace(fake.wrong_password, delay=delay)
            for found in (asked, remembered):
                found.append((await callers.send(basic(name, "wrong"), address)).seconds)

        for number in range(size):  # one by one: this process has the provider's work to do as well
            await measure(number)
    calls = len(fake.token_calls) - 1
    warm = slice(64, None)  # until as many are known as are drawn from
    yield f"{2 * size} refusals, of {calls} the provider was asked"
    for name, found in (("asked", asked), ("from memory", remembered)):
        yield f"{name}: {1000 * sum(found) / len(found):.1f} ms on average"
    yield f"Mann-Whitney: p = {mann_whitney(asked[warm], remembered[warm]):.2f}"


SCENARIOS = {each.__name__: each for each in (queue, provider, redis, guesses, timing)}


async def run(names):
    """Run the scenarios and print their figures as they come."""
    for name in names:
        async for line in SCENARIOS[name]():
            print(f"{name}: {line}", flush=True)  # noqa: T201 - what it is run for


def main() -> None:
    """Measure and print; three times in a line are the middle, the 99th of 100, the slowest."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.outages")
    parser.add_argument("scenario", nargs="*", help=f"of {', '.join(SCENARIOS)}; default: all")
    names = parser.parse_args().scenario or list(SCENARIOS)
    if unknown := set(names) - set(SCENARIOS):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    allow_many_files()
    print(describe())  # noqa: T201 - what it is run for
    asyncio.run(run(names))


if __name__ == "__main__":
    main()
