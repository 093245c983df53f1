"""Redis in trouble behind a running gateway: nobody in memory notices, everybody is served."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from tests.fakes.caller import basic, request
from tests.token_cache.troubles import crashed, demoted, emptied, full, hanging, locked, spoiled

JOHN = basic("john", "john")
SECRET = "s" * 32
BACK_WITHIN = 60.0  # seconds for Redis to be used again, on however slow a machine


async def status(caller, pair):
    """Send one request and return the status of its answer."""
    return (await caller.send(request("GET", "/", [pair]))).status


class Traffic:
    """Callers whose principals are in memory, sending all the time, and others, each once."""

    def __init__(self, call, gateway):
        self._call, self._gateway = call, gateway
        self._stop = asyncio.Event()
        self.cached = []
        self.others = []

    async def __aenter__(self):
        callers = [await self._call(self._gateway) for _ in range(4)]
        self._tasks = [asyncio.create_task(self._send(caller)) for caller in callers]
        self._caller = await self._call(self._gateway)
        return self

    async def __aexit__(self, *_):
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def log_in(self, names, seconds):
        """Send one request of each of these users, spread over so many seconds or more."""
        for name in names:
            await asyncio.sleep(seconds / len(names))
            self.others.append(await status(self._caller, basic(name, "p")))

    async def _send(self, caller):
        while not self._stop.is_set():
            self.cached.append(await status(caller, JOHN))
            await asyncio.sleep(0.01)


async def until_shared_again(first, second, provider):
    """Log new users in through one gateway until another finds one of them in Redis."""
    async with asyncio.timeout(BACK_WITHIN):
        for number in count():
            provider.users[f"later{number}"] = "p"
            calls = len(provider.token_calls)
            for caller in (first, second):
                assert await status(caller, basic(f"later{number}", "p")) == 200
            if len(provider.token_calls) == calls + 1:
                return
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("trouble", "seconds"),
    [
        pytest.param(hanging, 3, id="F10-sigstop"),
        pytest.param(crashed, 2, id="F9-F13-kill-9"),
        pytest.param(locked, 1, id="F15-noauth"),
        pytest.param(emptied, 0.5, id="F12-flushall"),
        pytest.param(spoiled, 0.5, id="F15-garbage"),
        pytest.param(full, 1, id="F15-oom"),
        pytest.param(demoted, 1, id="F14-readonly"),
    ],
)
async def test_trouble(start_gateway, call, provider, start_redis, trouble, seconds):
    """A13: whoever is in memory sees no difference, the others are served by the provider.

    Afterwards what one gateway stores is found by another again, without a restart.
    """
    stored, new = [[f"{kind}{n}" for n in range(20)] for kind in ("stored", "new")]
    provider.users = {"john": "john"} | dict.fromkeys([*stored, *new], "p")
    redis = start_redis()
    settings = {"REDIS_URL": redis.url, "CACHE_SECRET": SECRET}
    gateway, other = [await start_gateway(**settings) for _ in range(2)]
    for name in stored:
        assert await status(await call(other), basic(name, "p")) == 200
    assert await status(await call(gateway), JOHN) == 200

    async with Traffic(call, gateway) as traffic:
        async with trouble(redis):
            await traffic.log_in(stored + new, seconds)
        await until_shared_again(await call(gateway), await call(other), provider)

    assert {200} == set(traffic.cached)
    assert [200] * 40 == traffic.others
    users = [call.form["username"] for call in provider.token_calls]
    assert users.count("john") == 1
    assert max(users.count(name) for name in new) == 1
    assert max(users.count(name) for name in stored) <= 2


async def test_failover(start_gateway, call, provider, sentinels):
    """A13, F14: the primary is killed; nobody notices, and its successor is used."""
    new = [f"new{n}" for n in range(40)]
    provider.users = {"john": "john"} | dict.fromkeys(new, "p")
    settings = {"REDIS_URL": sentinels.url, "CACHE_SECRET": SECRET}
    gateway, other = [await start_gateway(**settings) for _ in range(2)]
    assert await status(await call(gateway), JOHN) == 200

    async with Traffic(call, gateway) as traffic:
        sentinels.primary.stop()
        logins = asyncio.create_task(traffic.log_in(new, 2))
        await asyncio.to_thread(sentinels.wait_for_failover)
        await logins
        await until_shared_again(await call(gateway), await call(other), provider)

    assert {200} == set(traffic.cached)
    assert [200] * 40 == traffic.others
    assert [call.form["username"] for call in provider.token_calls].count("john") == 1
