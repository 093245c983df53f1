"""What is counted about calls to the provider, and under which labels (L4)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math

import pytest

from gateway.errors import GatewayError
from gateway.metrics import REGISTRY
from gateway.oauth.client_auth import Client
from gateway.oauth.grants import ClientCredentialsGrant, PasswordGrant
from gateway.provider.breaker import Breaker
from gateway.provider.client import Provider
from gateway.provider.guard import Guard
from gateway.provider.transport import Transport
from tests.fakes.answers import WRONG_PASSWORD, Answer

CLIENT = Client("gateway", "gateway-secret")
NAME = "bearergate_provider_requests_total"


def value(name, **labels):
    """Return what a metric says now."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


def requests(endpoint, grant, outcome):
    """Return how many calls were counted so."""
    return value(NAME, endpoint=endpoint, grant=grant, outcome=outcome)


@pytest.fixture
async def kept(provider):
    """Return a provider that is discovered."""
    gc.collect()  # providers of other tests are not looked at any more
    async with Transport(timeout=0.3, connect_timeout=0.3) as transport:
        kept = Provider(provider.issuer, transport, Guard(9, 9), breaker=Breaker(100), timeout=0.3)
        await kept.discover()
        yield kept


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        pytest.param(Answer(), "ok", id="ok"),
        pytest.param(WRONG_PASSWORD["invalid_grant_bare"], "refused", id="refused"),
        pytest.param(Answer(200, b"<html>", "text/html"), "error", id="error"),
        pytest.param(Answer(delay=5), "timeout", id="timeout"),
        pytest.param(Answer(500, b""), "unavailable", id="unavailable"),
    ],
)
async def test_calls_are_counted_by_their_end(kept, provider, answer, outcome):
    """Each call to the token endpoint is counted once, under how it ended."""
    provider.answer_next_token(answer)
    before = requests("token", "password", outcome)
    timed = value("bearergate_provider_request_seconds_count", endpoint="token")

    with contextlib.suppress(GatewayError):
        await kept.exchange(CLIENT, PasswordGrant("john", "doe", ""))

    assert requests("token", "password", outcome) == before + 1
    assert value("bearergate_provider_request_seconds_count", endpoint="token") == timed + 1


async def test_grants_and_endpoints(kept):
    """The grant is a label, and so is the endpoint."""
    before = requests("token", "client_credentials", "ok"), requests("jwks", "none", "ok")

    await kept.exchange(Client("service", "service-secret"), ClientCredentialsGrant(""))
    await kept.keys.refetch()

    after = requests("token", "client_credentials", "ok"), requests("jwks", "none", "ok")
    assert (before[0] + 1, before[1] + 1) == after
    assert requests("discovery", "none", "ok") >= 1


async def test_call_nobody_waits_for(kept, provider):
    """A cancelled call is not counted: nobody knows how it would have ended."""
    provider.gate.clear()
    before = counted()
    task = asyncio.create_task(kept.exchange(CLIENT, PasswordGrant("john", "doe", "")))
    await provider.token_called(1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert before == counted()


def counted():
    """Return how many calls were counted in all."""
    samples = [sample for metric in REGISTRY.collect() for sample in metric.samples]
    return sum(sample.value for sample in samples if sample.name == NAME)


async def test_gauges_show_the_one_worst_off(kept, provider):
    """Of several providers the gauges show the open breaker and the oldest keys."""
    assert value("bearergate_breaker_state") == 0
    assert 0 <= value("bearergate_key_set_age_seconds") < 60

    async with Transport(timeout=0.3, connect_timeout=0.3) as transport:
        other = Provider(provider.issuer, transport, Guard(9, 9), breaker=Breaker(1))
        assert math.isnan(value("bearergate_key_set_age_seconds"))
        await other.discover()
        provider.answer_next_token(Answer(500, b""))
        with pytest.raises(GatewayError):
            await other.exchange(CLIENT, PasswordGrant("john", "doe", ""))

        assert value("bearergate_breaker_state") == 2
        assert other.breaker_state == 2
