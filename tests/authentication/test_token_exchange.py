"""What is kept of exchanged tokens, and that it is used without asking or waiting (RFC 8693)."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from gateway.authentication import Source
from gateway.pipeline import Pipeline
from gateway.request import read_head
from tests.authentication.composed import compose_all
from tests.fakes.caller import basic
from tests.fakes.exchanging_provider import ExchangingProvider

FOR_ORDERS = {"TOKEN_EXCHANGE": "true", "TOKEN_EXCHANGE_AUDIENCE": "orders"}
HEAD = read_head(
    method="GET",
    target=b"/",
    version=(1, 1),
    headers=((b"Host", b"gateway.test"), basic("john", "doe")),
    peer="",
    max_header_bytes=9999,
)


@pytest.fixture
async def fake():
    """Return a provider that exchanges tokens."""
    async with ExchangingProvider() as provider:
        yield provider


@pytest.fixture
async def composed(fake):
    """Return a route with an exchange, and its provider."""
    async with AsyncExitStack() as stack:
        yield await compose_all(stack, fake, **FOR_ORDERS)


async def test_a_known_token_does_not_suspend(fake, composed):
    """A cached request of a route with an exchange is admitted without giving way once."""
    pipeline = Pipeline(composed.routes)
    first = await pipeline.admit(HEAD, None)

    with pytest.raises(StopIteration) as ended:
        pipeline.admit(HEAD, None).send(None)

    again = ended.value.value.authentication
    assert first.authentication.principal is again.principal
    assert (Source.PROVIDER, Source.MEMORY) == (first.authentication.source, again.source)
    assert "orders" == fake.issued[again.principal.access_token]["aud"]
    assert "api" == again.principal.claims.raw["aud"]
    assert 1 == len(fake.exchanges)


async def test_what_is_known_of_the_caller_may_be_newer(fake, composed):
    """The token is exchanged once; what else is known of the caller is that of this request."""
    (route,) = composed.routes
    caller = await route.authenticators[0].authenticate(HEAD, None)
    claims = replace(caller.principal.claims, raw={"sub": "john", "groups": ["new"]})
    newer = replace(caller, principal=replace(caller.principal, claims=claims, expires_at=5.0))

    before, after = [(await route.token_exchange.apply(each)).principal for each in (caller, newer)]

    assert before.access_token == after.access_token != caller.principal.access_token
    assert ["new"] == after.claims.raw["groups"]
    assert 5.0 == after.expires_at < before.expires_at
    assert 1 == len(fake.exchanges)


async def test_another_token_is_another_exchange(fake, composed):
    """X4: what one token of a caller was exchanged for is not sent for another one."""
    (route,) = composed.routes
    caller = await route.authenticators[0].authenticate(HEAD, None)
    other = replace(
        caller, principal=replace(caller.principal, access_token=fake.mint("john", "x"))
    )

    tokens = {
        (await route.token_exchange.apply(each)).principal.access_token for each in (caller, other)
    }

    assert 2 == len(tokens) == len(fake.exchanges)


async def test_a_withdrawn_key(fake, composed):
    """K4: a token by a key the provider has withdrawn is not sent on, and asked for again."""
    (route,) = composed.routes
    provider = composed.known["default"]
    caller = await route.authenticators[0].authenticate(HEAD, None)
    before = await route.token_exchange.apply(caller)
    fake.rotate(keep_old=False)
    await provider.keys.load(provider.require_metadata().jwks_uri)

    after = await route.token_exchange.apply(caller)

    assert before.principal.access_token != after.principal.access_token
    assert 2 == len(fake.exchanges)


async def test_secrets_are_not_shown(fake, composed):
    """L1: no representation holds a token."""
    (route,) = composed.routes
    caller = await route.authenticators[0].authenticate(HEAD, None)
    key = route.token_exchange._key(caller.principal.access_token)
    await route.token_exchange.apply(caller)

    kept = route.token_exchange._known.memory.find(key, 0)

    assert kept.access_token in fake.issued
    assert not any(token in repr((kept, route.token_exchange._plan)) for token in fake.issued)
