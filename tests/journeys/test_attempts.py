"""Wrong passwords: how many the provider sees of them, and who notices."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from tests.fakes.answers import ANSWERS
from tests.fakes.caller import RawCaller, basic, request

JOHN = basic("john", "doe")
SERVICE = basic("service", "service-secret")
SPACING = 0.05
QUICK = {"FAILED_LOGINS_SPACING": str(SPACING)}


async def send(gateway, pair, source=None):
    """Send one request with these credentials on a connection of its own."""
    async with RawCaller(gateway.port, source=source) as caller:
        return await caller.send(request("GET", "/", [pair]))


async def guess(gateway, count, user="john"):
    """Send so many different wrong passwords at once; return the statuses in order."""
    tries = [send(gateway, basic(user, f"wrong-{n}")) for n in range(count)]
    return sorted(response.status for response in await asyncio.gather(*tries))


def password_calls(provider):
    """Return the password grants that reached the provider."""
    return [call for call in provider.token_calls if call.grant_type == "password"]


async def test_same_wrong_password(gateway, provider):
    """R1: two hundred callers with one wrong password cost one login."""
    wrong = basic("john", "wrong")
    responses = await asyncio.gather(*(send(gateway, wrong) for _ in range(200)))

    assert {response.status for response in responses} == {401}
    assert len(password_calls(provider)) == 1


async def test_different_wrong_passwords(start_gateway, provider):
    """R2: of a hundred wrong passwords at once five reach the provider, apart from each other."""
    gateway = await start_gateway(**QUICK)

    statuses = await guess(gateway, 100)

    assert statuses == [401] * 5 + [429] * 95
    calls = password_calls(provider)
    assert len(calls) == 5
    assert all(later.at - earlier.at >= SPACING for earlier, later in pairwise(calls))


async def test_good_credentials_meanwhile(start_gateway, provider):
    """R2: whoever has logged in before notices nothing of an attack, from the same address even."""
    gateway = await start_gateway(**QUICK)
    await send(gateway, JOHN)
    attack = asyncio.create_task(guess(gateway, 100))

    statuses = set()
    while not attack.done():
        statuses.add((await send(gateway, JOHN)).status)
    await attack
    statuses.add((await send(gateway, JOHN)).status)

    assert statuses == {200}
    assert len(password_calls(provider)) == 6


async def test_owner_from_elsewhere(start_gateway, provider):
    """R3: a user under attack from one address logs in from another."""
    gateway = await start_gateway(**QUICK)
    await guess(gateway, 20)

    here = await send(gateway, JOHN)
    elsewhere = await send(gateway, JOHN, source="127.0.0.2")

    assert (here.status, elsewhere.status) == (429, 200)


async def test_stuffing(start_gateway):
    """R4: one address fails twenty users at one password each, and then nobody more."""
    gateway = await start_gateway(FAILED_LOGINS_MAX="1", **QUICK)
    tries = [send(gateway, basic(f"user-{n}", "summer")) for n in range(50)]

    statuses = sorted(response.status for response in await asyncio.gather(*tries))

    assert statuses == [401] * 20 + [429] * 30
    assert (await send(gateway, JOHN, source="127.0.0.2")).status == 200


async def test_answer(start_gateway):
    """A 429 says when to come again, asks for no other credentials and is not kept."""
    gateway = await start_gateway(FAILED_LOGINS_MAX="1", **QUICK)
    await send(gateway, basic("john", "wrong"))

    response = await send(gateway, JOHN)

    assert (response.status, response.reason) == (429, b"Too Many Requests")
    (retry_after,) = response.values("retry-after")
    assert 1 <= int(retry_after) <= 60
    assert response.values("www-authenticate") == []
    assert response.values("cache-control") == [b"no-store"]
    assert response.json()["error"] == "too_many_attempts"
    assert "john" not in response.body.decode()


async def test_window_passes(start_gateway, provider):
    """After the window the user may try again."""
    gateway = await start_gateway(
        FAILED_LOGINS_MAX="1", FAILED_LOGINS_WINDOW="2", FAILED_LOGINS_SPACING="0"
    )
    before = [(await send(gateway, pair)).status for pair in (basic("john", "wrong"), JOHN)]
    await asyncio.sleep(2.1)

    assert (before, (await send(gateway, JOHN)).status) == ([401, 429], 200)


async def test_one_count_for_all_spellings(start_gateway, provider):
    """R2: a provider that ignores case is not asked more often for a name in capitals."""
    gateway = await start_gateway(**QUICK)
    for spelling in ("john", "JOHN", "John", "jOhN", " john ", "joHN", "JOhn"):
        await send(gateway, basic(spelling, "wrong"))

    assert len(password_calls(provider)) == 5


async def test_clients_are_not_users(start_gateway, provider):
    """A client whose pair is tried as a user's first does not fail for that."""
    gateway = await start_gateway(CACHE_TTL_MAX="0", **QUICK)

    statuses = [(await send(gateway, SERVICE)).status for _ in range(8)]

    assert statuses == [200] * 8


async def test_client_step_hides_no_refusal(start_gateway, provider):
    """R2: a password the provider refused counts, whatever it says to the second grant."""
    provider.wrong_client = ANSWERS["unsupported_grant_type"]
    gateway = await start_gateway(**QUICK)

    statuses = [(await send(gateway, basic("john", f"wrong-{n}"))).status for n in range(8)]

    assert statuses == [502] * 5 + [429] * 3
    assert len(password_calls(provider)) == 5


@pytest.mark.parametrize("answer", ["service_unavailable_bare", "connection_dropped"])
async def test_provider_trouble_counts_for_nothing(start_gateway, provider, answer):
    """R4: what the provider did not decide is held against nobody."""
    gateway = await start_gateway(FAILED_LOGINS_MAX="1", **QUICK)
    provider.answer_next_token(ANSWERS[answer])

    statuses = [(await send(gateway, JOHN)).status for _ in range(2)]

    assert statuses == [503, 200]


async def test_two_gateways(start_gateway, start_redis, provider):
    """R2: through two gateways with one Redis an attacker gets as far as through one."""
    settings = {"REDIS_URL": start_redis().url, "CACHE_SECRET": "s" * 32, **QUICK}
    gateways = [await start_gateway(**settings) for _ in range(2)]

    statuses = [await guess(gateway, 4) for gateway in gateways]

    assert statuses == [[401] * 4, [401, 429, 429, 429]]
    assert len(password_calls(provider)) == 5


async def test_a_throttled_guess_has_a_line_with_its_user(start_gateway, call, provider, written):
    """R2, L5: the access line of a 429 names the user by pseudonym, as that of a 401 does."""
    caller = await call(await start_gateway(FAILED_LOGINS_MAX="1", CACHE_TTL_NEG="0"))
    for password in ("wrong", "wronger"):
        await caller.send(request("GET", "/", [basic("john", password)]))

    lines = [line for line in written() if line["logger"] == "gateway.access"]

    assert [401, 429] == [line["status"] for line in lines]
    assert 1 == len({line["user"] for line in lines})
    assert lines[0]["user"]
