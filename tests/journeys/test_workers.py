"""WORKERS: several processes on one port, ready and counted together."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from tests.fakes.caller import RawCaller, basic, request
from tests.journeys.running import RunningGateway
from tests.journeys.working import LONG, admin, all_ready, ask, cached_by_both, lookups, stops


@pytest.fixture
def settings(provider, upstream):
    """Return the settings of a gateway of two workers."""
    return {
        "ISSUER": provider.issuer,
        "CLIENT_ID": provider.client_id,
        "CLIENT_SECRET": provider.client_secret,
        "UPSTREAM_URL": upstream.url,
        "SHUTDOWN_GRACE": "10",
        "WORKERS": "2",
    }


async def test_one_gateway(settings, provider):
    """Both workers serve; metrics, readiness and purges are of both, whichever is asked."""
    async with RunningGateway(**settings) as gateway:
        sent = await cached_by_both(gateway, provider)

        assert {float(sent)} == {await lookups(gateway) for _ in range(6)}
        ready = [await admin(gateway, "/readyz") for _ in range(6)]
        assert {(200, True)} == {(status, "2 of 2 ready" in text) for status, text in ready}
        assert (200, '{"purged": 2}') == await admin(gateway, "/cache?user=john", "DELETE")
        for calls in (3, 4):
            await until_called(gateway, provider, calls)

        assert await stops(gateway)


async def until_called(gateway, provider, calls):
    """Send requests until the provider has been asked so often."""
    for _ in range(200):
        await ask(gateway)
        if len(provider.token_calls) == calls:
            return
    raise AssertionError("a purged worker still knows the pair")


async def test_not_ready_until_all_are(settings, provider):
    """Without a provider no worker is ready, with it all become so."""
    await provider.down()
    async with RunningGateway(**settings) as gateway:
        status, text = await admin(gateway, "/readyz")
        assert (503, True) == (status, "0 of 2 ready" in text)

        await provider.up()
        await all_ready(gateway)


async def test_with_redis(settings, provider, start_redis):
    """A10, A7: workers that share Redis are one to the provider, and a purge reaches both."""
    settings |= {"REDIS_URL": start_redis().url, "CACHE_SECRET": "s" * 32}
    async with RunningGateway(**settings) as gateway:
        provider.gate.clear()
        crowd = [asyncio.create_task(ask(gateway)) for _ in range(40)]
        await provider.token_called(1)
        provider.gate.set()

        assert [200] * 40 == await asyncio.gather(*crowd)
        assert 1 == len(provider.token_calls)
        assert (200, '{"purged": 1}') == await admin(gateway, "/cache", "DELETE")
        assert [200] * 40 == await asyncio.gather(*[ask(gateway) for _ in range(40)])
        assert 2 == len(provider.token_calls)


async def test_wrong_passwords_are_counted_together(settings, provider):
    """R2: without Redis, too, five of many wrong passwords reach the provider, and apart."""
    settings |= {"FAILED_LOGINS_SPACING": "0.05"}
    async with RunningGateway(**settings) as gateway:
        guesses = [guess(gateway, f"wrong-{number}") for number in range(60)]
        statuses = sorted(await asyncio.gather(*guesses))
        assert await stops(gateway)

    assert [401] * 5 + [429] * 55 == statuses
    calls = [call.at for call in provider.token_calls if call.grant_type == "password"]
    assert 5 == len(calls)
    assert all(later - earlier >= 0.05 for earlier, later in pairwise(calls))


async def guess(gateway, password):
    """Try a password on a connection of its own; return the status."""
    async with RawCaller(gateway.port, within=LONG) as caller:
        return (await caller.send(request("GET", "/", [basic("john", password)]))).status


def command_line(pid):
    """Return what a process was started with."""
    return Path(f"/proc/{pid}/cmdline").read_text()


async def test_one_key_and_no_secret_in_sight(settings, tmp_path):
    """S6: a generated client key is one for all workers, and no command line has a secret."""
    settings |= {"CLIENT_AUTH": "private_key_jwt", "CLIENT_KEY_FILE": str(tmp_path / "key.pem")}
    async with RunningGateway(**settings) as gateway:
        published = {await admin(gateway, "/openid-connect/jwks") for _ in range(6)}
        seen = map(command_line, (gateway.pid, *gateway.workers))

        assert 1 == len(published)
        assert 1 == gateway.events.count("was generated")
        assert not any(settings["CLIENT_SECRET"] in text for text in seen)
