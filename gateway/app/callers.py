"""Putting together how callers show who they are by a token of their own."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from gateway.authentication.bearer import BearerAuthenticator
from gateway.authentication.callers_tokens import CallersTokens, KnownTokens
from gateway.authentication.introspection import Introspector
from gateway.authentication.token_carriers import BASIC_TOKEN, TokenCarriers
from gateway.authentication.user_info import UserInfo
from gateway.authentication.verification import Verifier
from gateway.oauth.credentials import Challenge, read_bearer
from gateway.oauth.metadata import issuers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AsyncExitStack

    from gateway.app.providers import OpenProvider
    from gateway.app.store import Store
    from gateway.authentication.token_carriers import Finder
    from gateway.request import RequestHead
    from gateway.settings import Settings


def open_verifier(
    settings: Settings,
    provider: OpenProvider,
    store: Store,
    *,
    user_info: bool,
    id_tokens: bool = False,
) -> Verifier:
    """Return what verifies tokens; only a client of the gateway's own can ask about them.

    With ``user_info`` it asks for more claims of users, with ``id_tokens`` it has their ID tokens.
    """
    client = provider.own.client
    return Verifier(
        provider.provider,
        leeway=settings.leeway,
        pseudonym=store.pseudonyms().of,
        introspector=Introspector(provider.provider, client) if client.client_id else None,
        user_info=UserInfo(provider.provider) if user_info else None,
        id_tokens=id_tokens,
    )


async def open_callers_tokens(
    settings: Settings,
    provider: OpenProvider,
    store: Store,
    verifier: Verifier,
    stack: AsyncExitStack,
    *,
    kept_for: Sequence[tuple[str, str]],
) -> CallersTokens:
    """Return what finds out whose a caller's token is, and remembers it with these lifetimes."""
    known = KnownTokens(
        store.tokens,
        store.refused_tokens,
        store.ledger,
        partial(store.keys.owners, issuers_of(settings.issuer)[0]),
        settings.cache_ttl_max,
        settings.cache_ttl_neg,
    )
    tokens = CallersTokens(
        provider.provider,
        verifier,
        keys=store.keys,
        known=known,
        attempts=provider.token_attempts,
        kept_for=kept_for,
        verifies="bearer" in settings.auth_methods,
        introspects="introspection" in settings.auth_methods,
        client_id=settings.client_id,
    )
    stack.push_async_callback(tokens.aclose)
    return tokens


def bearer_authenticators(
    settings: Settings,
    tokens: CallersTokens,
    others: tuple[Finder, ...],
    realm: str,
    address_of: Callable[[RequestHead], str],
) -> Iterator[BearerAuthenticator]:
    """Yield the ways of bringing a token; ``others`` find what must not come beside one.

    ``address_of`` tells the address refused tokens are counted for.
    """
    if not {"bearer", "introspection"} & set(settings.auth_methods):
        return
    places = settings.bearer_token_param_type
    carriers = TokenCarriers(
        read_bearer if "header" in places else None,
        query="query" in places,
        body="body" in places,
        hide=settings.hide_credentials,
        others=others,
    )
    yield BearerAuthenticator(carriers, tokens, Challenge("Bearer", realm), address_of)
    if settings.bearer_token_as_password:
        as_password = replace(BASIC_TOKEN, hide=settings.hide_credentials, others=others)
        yield BearerAuthenticator(as_password, tokens, Challenge("Basic", realm), address_of)
