"""One call to the provider: bounds, deadline and breaker around a real token endpoint."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import (
    GatewayError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
)
from gateway.oauth.client_auth import Client
from gateway.oauth.grants import PasswordGrant
from gateway.oauth.tokens import TokenErrorResponse, TokenSet
from gateway.provider.breaker import Breaker, State
from gateway.provider.client import Provider
from gateway.provider.guard import Guard
from gateway.provider.transport import Transport
from tests.fakes.answers import NONSENSE, UNAVAILABLE, WRONG_CLIENT, WRONG_PASSWORD, Answer, refusal

CLIENT = Client("gateway", "gateway-secret")
BROKEN = Answer(500, b"")


@pytest.fixture
async def transport():
    """Return a transport."""
    async with Transport(timeout=5, connect_timeout=2) as opened:
        yield opened


@pytest.fixture
async def open_provider(transport, provider):
    """Return a function that discovers a provider with these bounds."""

    async def discover(**options):
        options.setdefault("breaker", Breaker(2, lambda _: 60))
        guard = Guard(*options.pop("bounds", (64, 512)))
        kept = Provider(provider.issuer, transport, guard, **options)
        await kept.discover()
        return kept

    return discover


async def log_in(kept, username="john"):
    """Log a user in; return the answer or the error."""
    try:
        return await kept.exchange(CLIENT, PasswordGrant(username, "doe", ""))
    except GatewayError as error:
        return error


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(BROKEN, id="T6-500"),
        pytest.param(UNAVAILABLE["service_unavailable"], id="T6-503"),
        pytest.param(Answer(429, b"", None), id="T6-429-bare"),
        pytest.param(Answer(drop="before"), id="T6-dropped"),
        pytest.param(Answer(drop="mid_body"), id="T6-dropped-mid-body"),
        pytest.param(Answer(delay=30), id="T6-silent"),
    ],
)
async def test_failures_open_the_breaker(open_provider, provider, answer):
    """T6, F1, F2, F3: after failures in a row new logins are refused without a call."""
    kept = await open_provider(timeout=0.3)
    provider.answer_next_token(answer, times=None)
    for _ in range(2):
        assert isinstance(await log_in(kept), ProviderError)

    error = await log_in(kept)

    assert type(error) is ProviderUnavailableError
    assert error.retry_after == 60
    assert len(provider.token_calls) == 2
    assert kept.breaker_state is State.OPEN


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(WRONG_PASSWORD["keycloak_wrong_password"], id="T6-invalid_grant"),
        pytest.param(WRONG_CLIENT["keycloak_unknown_client"], id="T6-invalid_client"),
        pytest.param(refusal(400, "invalid_scope"), id="T6-invalid_scope"),
        pytest.param(Answer(403, b"", None), id="T6-403"),
        pytest.param(NONSENSE["login_page"], id="T6-F4-html"),
        pytest.param(NONSENSE["redirect"], id="T6-F4-redirect"),
        pytest.param(NONSENSE["too_large"], id="T6-F4-too-large"),
    ],
)
async def test_answers_never_open_the_breaker(open_provider, provider, answer):
    """T6: whatever is an answer, a refusal first of all, counts as a provider that works."""
    kept = await open_provider()
    provider.answer_next_token(answer, times=5)
    for _ in range(5):
        await log_in(kept)

    assert isinstance(await log_in(kept), TokenSet)
    assert kept.breaker_state is State.CLOSED


async def test_too_many_requests_opens_at_once(open_provider, provider):
    """T6: a 429 with Retry-After opens the breaker for that time, five seconds at most."""
    kept = await open_provider(breaker=Breaker(5))
    provider.answer_next_token(UNAVAILABLE["too_many_requests"])

    first, second = await log_in(kept), await log_in(kept)

    assert [first.retry_after, second.retry_after] == [7, 5]
    assert len(provider.token_calls) == 1


async def test_nobody_listens(open_provider, provider):
    """T6, F1: refused connections open the breaker."""
    kept = await open_provider()
    await provider.down()
    for _ in range(2):
        await log_in(kept)

    assert kept.breaker_state is State.OPEN


async def test_one_probe_closes_it_again(open_provider, provider, caplog):
    """T6: of a crowd after the pause exactly one call is made, and its success lets all in."""
    caplog.set_level("INFO")
    kept = await open_provider(breaker=Breaker(2, lambda _: 0))
    provider.answer_next_token(BROKEN, times=2)
    for _ in range(2):
        await log_in(kept)
    provider.gate.clear()
    crowd = [asyncio.create_task(log_in(kept)) for _ in range(20)]
    await provider.token_called(3)
    await asyncio.sleep(0)
    provider.gate.set()
    ends = [type(each) for each in await asyncio.gather(*crowd)]

    assert [TokenSet, *[ProviderUnavailableError] * 19] == ends
    assert len(provider.token_calls) == 3
    assert isinstance(await log_in(kept), TokenSet)
    assert ["the provider fails", "the provider answers again"] == [
        each.getMessage().split(":")[0] for each in caplog.records if "calls" in each.name
    ]


async def test_cancelled_probe(open_provider, provider):
    """T6: a probe that is cancelled leaves the breaker open, and the next call is the probe."""
    kept = await open_provider(breaker=Breaker(1, lambda _: 0))
    provider.answer_next_token(BROKEN)
    await log_in(kept)
    provider.gate.clear()
    probe = asyncio.create_task(log_in(kept))
    await provider.token_called(2)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    assert kept.breaker_state is State.OPEN
    provider.gate.set()

    assert isinstance(await log_in(kept), TokenSet)
    assert kept.breaker_state is State.CLOSED


async def test_queue_at_the_opening(open_provider, provider):
    """T6: who waits for a turn when the breaker opens gets the same answer, and no call is made."""
    kept = await open_provider(bounds=(1, 9), breaker=Breaker(1, lambda _: 60))
    provider.answer_next_token(BROKEN, times=None)
    provider.gate.clear()
    crowd = [asyncio.create_task(log_in(kept)) for _ in range(10)]
    await provider.token_called(1)
    provider.gate.set()

    assert [type(each) for each in await asyncio.gather(*crowd)] == [ProviderUnavailableError] * 10
    assert len(provider.token_calls) == 1


async def test_deadline_includes_the_queue(open_provider, provider):
    """T4, T5: the time for a login counts from when it is asked for, with its wait for a turn."""
    kept = await open_provider(bounds=(1, 9), timeout=0.3)
    provider.gate.clear()
    ends = await asyncio.gather(*(log_in(kept) for _ in range(5)))

    assert [type(each) for each in ends] == [ProviderTimeoutError] * 5
    assert len(provider.token_calls) <= 2
    assert kept.breaker_state is State.CLOSED


async def test_call_that_began_late(open_provider, provider):
    """T6: a call cut short because it had waited for its turn tells nothing about the provider."""
    kept = await open_provider(bounds=(1, 9), timeout=0.5, breaker=Breaker(1, lambda _: 60))
    provider.answer_next_token(Answer(delay=0.4))
    provider.answer_next_token(Answer(delay=0.4))

    first, second = await asyncio.gather(log_in(kept), log_in(kept))

    assert (type(first), type(second)) == (TokenSet, ProviderTimeoutError)
    assert kept.breaker_state is State.CLOSED


async def test_bounds_under_a_crowd(open_provider, provider):
    """T5, R8: 500 at once: never more than the bound in flight, and beyond the queue 503."""
    kept = await open_provider(bounds=(8, 100), timeout=5)
    provider.users = {f"user{n}": "doe" for n in range(500)}
    provider.gate.clear()
    crowd = [asyncio.create_task(log_in(kept, name)) for name in provider.users]
    await provider.token_called(8)
    refused = [task for task in crowd if task.done()]
    in_flight = len(provider.token_calls)
    provider.gate.set()
    ends = await asyncio.gather(*crowd)

    assert (in_flight, len(refused)) == (8, 392)
    assert {ProviderUnavailableError} == {type(task.result()) for task in refused}
    assert [type(each) for each in ends].count(TokenSet) == 108
    assert len(provider.token_calls) == 108


async def test_revocation(open_provider, provider):
    """A session is ended at the provider (RFC 7009); a provider that refuses is an error."""
    kept = await open_provider()
    await kept.revoke(CLIENT, "refresh-token")
    assert provider.revoked == ["refresh-token"]

    provider.answer_next_token(BROKEN, times=2)
    await log_in(kept)
    await log_in(kept)
    with pytest.raises(ProviderUnavailableError):
        await kept.revoke(CLIENT, "another")
    assert provider.revoked == ["refresh-token"]


async def test_revocation_refused(open_provider, provider):
    """A revocation that fails is an error, and opens no breaker: logins may work."""
    provider.metadata = {"revocation_endpoint": f"{provider.issuer}/nowhere"}
    kept = await open_provider(breaker=Breaker(1))

    with pytest.raises(ProviderError, match="status 404"):
        await kept.revoke(CLIENT, "refresh-token")
    assert isinstance(await log_in(kept, "nobody"), TokenErrorResponse)
