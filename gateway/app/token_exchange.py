"""Putting together the exchange of callers' tokens for those the upstream gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.app.callers import open_verifier
from gateway.app.exchange import EXCHANGE
from gateway.app.parts import made_of
from gateway.authentication.token_exchange import (
    KnownExchanges,
    TokenExchange,
    TokenExchangePlan,
)
from gateway.oauth.grants import ACCESS_TOKEN_TYPE, JWT_TYPE
from gateway.settings.model.authentication import TokenExchangeRequest
from gateway.settings.model.cache import Lifetimes

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from gateway.app.parts import Parts
    from gateway.app.providers import OpenProvider
    from gateway.app.store import Store
    from gateway.settings import Settings

_DEPENDS_ON = (*TokenExchangeRequest.model_fields, *Lifetimes.model_fields, "leeway")
REQUESTED_TYPES = {"access_token": ACCESS_TOKEN_TYPE, "jwt": JWT_TYPE}


async def obtain_token_exchange(
    settings: Settings, provider: OpenProvider, store: Store, parts: Parts
) -> TokenExchange | None:
    """Return what exchanges the tokens of a route's callers; None where they go on as they are.

    Routes that ask for the same share what comes of it.
    """
    if not settings.token_exchange:
        return None

    async def open_token_exchange(stack: AsyncExitStack) -> TokenExchange:
        exchange = TokenExchange(
            provider.provider,
            open_verifier(settings, provider, store, user_info=False),
            _plan(settings, provider),
            KnownExchanges(store.exchanged, store.refused_tokens, store.ledger),
        )
        stack.push_async_callback(exchange.aclose)
        return exchange

    key = made_of(settings, _DEPENDS_ON, EXCHANGE, "callers' tokens", provider.key)
    return await parts.obtain(key, open_token_exchange)


def _plan(settings: Settings, provider: OpenProvider) -> TokenExchangePlan:
    return TokenExchangePlan(
        provider.own.client,
        audience=settings.token_exchange_audience,
        scope=settings.token_exchange_scopes,
        resource=settings.token_exchange_resource,
        requested_token_type=REQUESTED_TYPES[settings.token_exchange_requested_token_type],
        ttl_max=settings.cache_ttl_max,
        ttl_neg=settings.cache_ttl_neg,
        margin=settings.cache_margin,
    )
