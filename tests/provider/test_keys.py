"""The provider's keys, kept: when they are fetched, and what is used meanwhile."""

from __future__ import annotations

import asyncio
import math
import secrets

import pytest

from gateway.errors import ProviderError, ProviderUnavailableError
from gateway.provider.keys import MAX_ABSENT, RemoteKeySet
from gateway.provider.transport import Transport
from tests.fakes.answers import Answer
from tests.fakes.waiting import until

BROKEN = Answer(500, b"")


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        """Return the time."""
        return self.now


@pytest.fixture
async def transport():
    """Return a transport with short times."""
    async with Transport(timeout=5, connect_timeout=2) as opened:
        yield opened


@pytest.fixture
def clock():
    """Return a clock set by hand."""
    return Clock()


@pytest.fixture
async def keys(transport, provider, clock):
    """Return the provider's keys, loaded once."""
    kept = RemoteKeySet(transport, clock=clock)
    await kept.load(f"{provider.issuer}/jwks")
    return kept


async def refetch(keys, kid=None):
    """Tell how a request for a key ends: with a fetch that worked, or with which status."""
    try:
        await keys.refetch(kid)
    except ProviderError as error:
        return error.status
    return 200


async def test_keys_before_discovery(transport):
    """Before the first fetch there are no keys, and asking says so."""
    keys = RemoteKeySet(transport)

    with pytest.raises(ProviderUnavailableError):
        _ = keys.current
    with pytest.raises(ProviderUnavailableError):
        await keys.refetch()
    assert not keys.loaded
    assert math.isnan(keys.age)


async def test_new_key_is_fetched_at_once(keys, provider):
    """K1: the first token by a new key finds it with one fetch."""
    key = provider.rotate()

    assert await refetch(keys, key.kid) == 200
    assert key.kid in keys.current
    assert provider.jwks_calls == 2


async def test_flood_of_random_kids(keys, provider, clock):
    """K2: 10,000 tokens with as many kids cause one fetch in an interval, in total."""
    ends = [await refetch(keys, secrets.token_urlsafe(8)) for _ in range(10_000)]

    assert [200, *[503] * 9_999] == ends
    assert provider.jwks_calls == 2

    clock.now += 29.9
    assert await refetch(keys, "another") == 503
    clock.now += 0.1
    assert await refetch(keys, "another") == 200
    assert provider.jwks_calls == 3


async def test_flood_at_once(keys, provider):
    """K2, K8: a thousand who ask at the same time share one fetch."""
    provider.answer_jwks(Answer(delay=0.05))

    ends = await asyncio.gather(*(refetch(keys, f"kid-{n}") for n in range(1000)))

    assert provider.jwks_calls == 2
    assert ends.count(200) == 1


async def test_braked_caller_is_told_when_to_come_back(keys, clock):
    """K2: while the brake holds, Retry-After is what is left of the interval."""
    await keys.refetch("a")
    clock.now += 10

    with pytest.raises(ProviderUnavailableError) as caught:
        await keys.refetch("b")

    assert caught.value.retry_after == 20


async def test_kid_that_was_not_there_costs_nothing(keys, provider, clock):
    """K2: a kid that a fetch did not bring is not fetched for again, and others still are."""
    assert await refetch(keys, "never-there") == 200
    clock.now += 31

    assert [await refetch(keys, "never-there") for _ in range(5)] == [200] * 5
    assert provider.jwks_calls == 2

    new = provider.rotate()
    assert await refetch(keys, new.kid) == 200
    assert new.kid in keys.current

    clock.now += 31
    await keys.refetch("never-there")
    assert provider.jwks_calls == 4


async def test_memory_of_absent_kids_is_bounded(keys, clock):
    """R8: only so many absent kids are remembered, the latest ones."""
    for number in range(MAX_ABSENT + 10):
        clock.now += 30
        await keys.refetch(f"kid-{number}")

    assert len(keys._absent) == MAX_ABSENT
    assert f"kid-{MAX_ABSENT + 9}" in keys._absent


async def test_fetch_answered_before_the_rotation(keys, provider):
    """K1: who joined a fetch that began before the key was published fetches again."""
    new = provider.rotate()
    published, provider.keys = provider.keys, provider.keys[:1]
    provider.answer_jwks(Answer(delay=0.05))
    loading = asyncio.create_task(keys.load(f"{provider.issuer}/jwks"))
    await until(lambda: provider.jwks_calls == 2)
    waiting = asyncio.create_task(keys.refetch(new.kid))
    await loading
    provider.keys = published
    await waiting

    assert new.kid in keys.current
    assert provider.jwks_calls == 3


@pytest.mark.parametrize("kid", [None, "known"])
async def test_fetch_under_way_is_joined(keys, provider, kid):
    """K8: a fetch that brings the key is not followed by another one."""
    provider.answer_jwks(Answer(delay=0.05))
    loading = asyncio.create_task(keys.load(f"{provider.issuer}/jwks"))
    await until(lambda: provider.jwks_calls == 2)

    await keys.refetch(None if kid is None else provider.key.kid)
    await loading

    assert provider.jwks_calls == 2


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(500, b""), id="K3-500"),
        pytest.param(Answer(200, b"{"), id="K3-garbage"),
        pytest.param(Answer(200, b'{"keys":[]}'), id="K3-empty-set"),
        pytest.param(Answer(200, b" " * (513 * 1024)), id="K7-too-large"),
        pytest.param(Answer(drop="before"), id="K3-dropped"),
        pytest.param(Answer(302, b"", None, (("Location", "/jwks"),)), id="K7-redirect"),
    ],
)
async def test_failed_fetch_keeps_the_old_keys(keys, provider, clock, answer):
    """K3, F6: a failed fetch replaces nothing, and is tried again half a minute later."""
    known = keys.thumbprints
    provider.answer_jwks(answer, times=None)

    with pytest.raises(ProviderError):
        await keys.load(f"{provider.issuer}/jwks")
    provider.behave()

    assert known == keys.thumbprints
    assert 30 <= keys.due - clock.now <= 36
    assert await refetch(keys, "new") == 503
    clock.now += 30
    assert await refetch(keys, "new") == 200


async def test_failed_refetch(keys, provider):
    """K3, F6: when the fetch for an unknown key fails, that token is 503 and the others work."""
    known = keys.thumbprints
    provider.answer_jwks(BROKEN)

    assert await refetch(keys, "new") == 503
    assert known == keys.thumbprints


async def test_keys_nobody_confirmed_for_a_day(keys, provider, clock, caplog):
    """K3: keys that could not be fetched for 24 hours are given up, and the log says so."""
    provider.answer_jwks(BROKEN)
    clock.now += 86_400
    keys.give_up_stale()
    assert keys.loaded

    clock.now += 1
    with pytest.raises(ProviderError):
        await keys.load(f"{provider.issuer}/jwks")
    keys.give_up_stale()
    keys.give_up_stale()

    assert (keys.loaded, keys.thumbprints) == (False, frozenset())
    assert [each.levelname for each in caplog.records if "hours" in each.message] == ["ERROR"]
    with pytest.raises(ProviderUnavailableError):
        _ = keys.current

    await keys.load(f"{provider.issuer}/jwks")
    assert keys.loaded


async def test_unused_keys_are_told_once(keys, provider, caplog):
    """K5: a key that cannot be used is told when it appears, not at each refresh."""
    caplog.set_level("INFO")
    provider.extra_jwks = [{"kty": "oct", "k": "AAAA"}]
    for _ in range(3):
        await keys.load(f"{provider.issuer}/jwks")

    assert len([each for each in caplog.records if "is not used" in each.message]) == 1


async def test_caller_that_leaves_does_not_end_the_fetch(keys, provider):
    """K8: the fetch goes on for the others when the one who began it leaves."""
    new = provider.rotate()
    provider.answer_jwks(Answer(delay=0.05))
    leaver = asyncio.create_task(keys.refetch(new.kid))
    await until(lambda: provider.jwks_calls == 2)
    leaver.cancel()

    await keys.refetch(new.kid)

    assert new.kid in keys.current
    assert provider.jwks_calls == 2
