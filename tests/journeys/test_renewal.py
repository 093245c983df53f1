"""Tokens in use are renewed in the background: one session at the provider, and no second login."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.fakes.answers import ANSWERS
from tests.fakes.caller import basic, request
from tests.fakes.waiting import until

JOHN = basic("john", "doe")
SERVICE = basic("service", "service-secret")
SECRET = "n" * 32
SHORT = {"CACHE_MARGIN": "1", "LEEWAY": "0"}


@pytest.fixture
async def provider(provider):
    """Return a provider with refresh tokens, each good for one use, and tokens of 3 seconds."""
    provider.refresh_tokens = True
    provider.lifetime = provider.expires_in = 3
    return provider


def grants(provider):
    """Tell the grants the provider was asked for."""
    return [call.grant_type for call in provider.token_calls]


async def traffic(caller, seconds):
    """Send a request every 50 ms for so long; return the statuses, and how often nothing went on.

    A machine that stands still for longer than a renewal has time for makes a login of it.
    """
    statuses, stalls = set(), 0
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    while (before := clock()) < end:
        statuses.add((await caller.send(request("GET", "/", [JOHN]))).status)
        await asyncio.sleep(0.05)
        stalls += clock() - before > 0.15
    return statuses, stalls


@pytest.mark.parametrize("rotates", [True, False], ids=["rotating", "not-rotating"])
async def test_used_entries_are_renewed(start_gateway, call, provider, rotates):
    """A12: over several token lifetimes of traffic there is one login and one session."""
    provider.rotates = rotates
    caller = await call(await start_gateway(**SHORT))

    statuses, stalls = await traffic(caller, 7)

    assert {200} == statuses
    logins = grants(provider).count("password")
    assert 1 <= logins <= 1 + stalls
    assert 3 <= len(grants(provider)) <= 9 + stalls
    assert logins == len(provider.sessions)


async def test_idle_entries_expire(start_gateway, call, provider):
    """An entry nobody has used since it was renewed is not renewed again."""
    caller = await call(await start_gateway(**SHORT))
    await caller.send(request("GET", "/", [JOHN]))

    await until(lambda: grants(provider) == ["password", "refresh_token"], within=30)
    await asyncio.sleep(3)

    assert ["password", "refresh_token"] == grants(provider)


async def test_refused_renewal_falls_back_to_one_login(start_gateway, call, provider):
    """T7: when the session is gone, the next request's credentials are asked about once."""
    caller = await call(await start_gateway(**SHORT))
    await caller.send(request("GET", "/", [JOHN]))
    provider.sessions.clear()
    await until(lambda: "refresh_token" in grants(provider), within=30)

    statuses, _ = await traffic(caller, 2.5)

    assert {200} == statuses
    assert ["password", "refresh_token", "password"] == grants(provider)[:3]


async def test_failed_renewal_leaves_the_token(start_gateway, call, provider):
    """A12: while the provider fails, the old token works until its own end."""
    caller = await call(await start_gateway(**SHORT))
    await caller.send(request("GET", "/", [JOHN]))
    provider.answer_next_token(ANSWERS["internal_error_html"])
    await until(lambda: "refresh_token" in grants(provider), within=30)

    response = await caller.send(request("GET", "/", [JOHN]))

    assert 200 == response.status
    assert ["password", "refresh_token"] == grants(provider)


async def test_credentials_are_proved_again_at_the_bound(start_gateway, call, provider):
    """A7: renewals do not carry an entry past CACHE_TTL_MAX; a changed password is noticed."""
    caller = await call(await start_gateway(**SHORT, CACHE_TTL_MAX="4"))
    await caller.send(request("GET", "/", [JOHN]))
    provider.users["john"] = "changed"

    statuses, _ = await traffic(caller, 6)

    assert {200, 401} == statuses
    assert "refresh_token" in grants(provider)
    assert 401 == (await caller.send(request("GET", "/", [JOHN]))).status


async def test_clients_are_not_renewed(start_gateway, call, provider):
    """A client's token is asked for again with the client's own secret, which nobody keeps."""
    caller = await call(
        await start_gateway(**SHORT, CLIENT_CREDENTIALS_IDS="service", CACHE_TTL_MAX="60")
    )
    await caller.send(request("GET", "/", [SERVICE]))
    await asyncio.sleep(2.2)

    await caller.send(request("GET", "/", [SERVICE]))

    assert ["client_credentials"] * 2 == grants(provider)


@pytest.mark.parametrize(
    "lifetime", [pytest.param(3, id="3-seconds"), pytest.param(2, id="ends-in-the-same-second")]
)
async def test_replicas_renew_once(start_gateway, call, provider, start_redis, lifetime):
    """A12: two replicas in use share each renewal, so that no refresh token is used twice."""
    provider.lifetime = provider.expires_in = lifetime
    settings = {
        **SHORT,
        "CACHE_MARGIN": str(lifetime / 4),
        "REDIS_URL": start_redis().url,
        "CACHE_SECRET": SECRET,
    }
    callers = [await call(await start_gateway(**settings)) for _ in range(2)]

    seen = await asyncio.gather(*(traffic(caller, 7) for caller in callers))

    assert [{200}, {200}] == [statuses for statuses, _ in seen]
    assert 1 <= grants(provider).count("password") <= 1 + sum(stalls for _, stalls in seen)
    assert 3 <= len(grants(provider)) <= 15
    used = [call.form["refresh_token"] for call in provider.token_calls
            if call.grant_type == "refresh_token"]  # fmt: skip
    assert len(used) == len(set(used))


@pytest.mark.parametrize("revoke", [True, False], ids=["revoke", "leave"])
async def test_purge_ends_the_session(start_gateway, call, provider, start_redis, revoke):
    """REVOKE_ON_PURGE ends the provider's session behind a purged entry; else it is left alone."""
    gateway = await start_gateway(
        REVOKE_ON_PURGE=str(revoke).lower(), REDIS_URL=start_redis().url, CACHE_SECRET=SECRET
    )
    provider.lifetime = provider.expires_in = 60
    await (await call(gateway)).send(request("GET", "/", [JOHN]))

    async with (
        aiohttp.ClientSession() as session,
        session.delete(f"http://127.0.0.1:{gateway.admin_port}/cache?user=john") as response,
    ):
        document = await response.json()

    assert {"purged": 1} == document
    assert (0 if revoke else 1) == len(provider.sessions)
    await (await call(gateway)).send(request("GET", "/", [JOHN]))
    assert 2 == grants(provider).count("password")


@pytest.mark.parametrize("revoke", [True, False], ids=["revoke", "leave"])
async def test_shutdown_ends_the_sessions(provider, upstream, revoke):
    """With REVOKE_ON_PURGE and no Redis, nobody is left to use the entries of a process."""
    from gateway.app import Gateway  # noqa: PLC0415 - closed within the test
    from gateway.settings import load  # noqa: PLC0415 - as above
    from tests.fakes.caller import RawCaller  # noqa: PLC0415 - as above

    provider.lifetime = provider.expires_in = 60
    environ = {
        "ISSUER": provider.issuer,
        "CLIENT_ID": provider.client_id,
        "CLIENT_SECRET": provider.client_secret,
        "UPSTREAM_URL": upstream.url,
        "HOST": "127.0.0.1",
        "PORT": "0",
        "ADMIN_PORT": "0",
        "REVOKE_ON_PURGE": str(revoke).lower(),
    }
    async with Gateway(load(None, environ).settings) as gateway, RawCaller(gateway.port) as caller:
        await caller.send(request("GET", "/", [JOHN]))
        assert 1 == len(provider.sessions)

    assert (0 if revoke else 1) == len(provider.sessions)
