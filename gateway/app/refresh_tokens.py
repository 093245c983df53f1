"""Putting together how callers show who they are by a refresh token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.authentication.bearer import BearerAuthenticator
from gateway.authentication.redemption import Kept, Redeemer
from gateway.authentication.refresh_tokens import RefreshTokens
from gateway.authentication.token_carriers import TokenCarriers
from gateway.oauth.credentials import Challenge, read_token_field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AsyncExitStack

    from gateway.app.providers import OpenProvider
    from gateway.app.store import Store
    from gateway.authentication.entries import Entries
    from gateway.authentication.token_carriers import Finder
    from gateway.authentication.token_requests import TokenRequestPlan
    from gateway.request import RequestHead
    from gateway.settings import Settings


def refresh_token_carriers(
    settings: Settings, others: tuple[Finder, ...] = ()
) -> Iterator[TokenCarriers]:
    """Yield where a refresh token is looked for; ``others`` find what must not come beside it.

    It is removed whatever ``HIDE_CREDENTIALS`` says: it is nobody else's (RFC 6749 §10.4).
    """
    if "refresh_token" not in settings.auth_methods:
        return None
    places, name = settings.refresh_token_param_type, settings.refresh_token_param_name
    yield TokenCarriers(
        read_token_field if "header" in places else None,
        name.lower().encode("ascii"),
        name,
        query="query" in places,
        body="body" in places,
        others=others,
    )


def refresh_token_authenticators(
    settings: Settings,
    tokens: RefreshTokens,
    others: tuple[Finder, ...],
    realm: str,
    address_of: Callable[[RequestHead], str],
) -> Iterator[BearerAuthenticator]:
    """Yield the way of bringing a refresh token, where that is one."""
    for carriers in refresh_token_carriers(settings, others):
        yield BearerAuthenticator(carriers, tokens, Challenge("Bearer", realm), address_of)


async def open_refresh_tokens(
    settings: Settings,
    provider: OpenProvider,
    store: Store,
    stack: AsyncExitStack,
    *,
    entries: Entries,
    plan: TokenRequestPlan,
) -> RefreshTokens:
    """Return what redeems refresh tokens as ``plan`` says and keeps tokens in ``entries``."""
    how_long = (settings.refresh_token_kept, settings.cache_ttl_neg)
    tokens = RefreshTokens(
        provider.provider,
        entries,
        Redeemer(
            entries,
            Kept(store.chains, store.refused_tokens, store.flights, *how_long),
            provider.token_attempts,
        ),
        store.redemptions,
        keys=store.keys,
        plan=plan,
    )
    stack.push_async_callback(tokens.aclose)
    return tokens
