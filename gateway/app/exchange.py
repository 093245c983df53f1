"""Putting the exchange together: what the settings say about credentials, tokens and caches."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from gateway.app.callers import bearer_authenticators, open_callers_tokens, open_verifier
from gateway.app.parts import made_of
from gateway.app.providers import run_in_background
from gateway.app.refresh_tokens import (
    open_refresh_tokens,
    refresh_token_authenticators,
    refresh_token_carriers,
)
from gateway.authentication.carriers import Carriers
from gateway.authentication.cold_path import ColdPath
from gateway.authentication.entries import Entries
from gateway.authentication.entries import Lifetimes as EntryLifetimes
from gateway.authentication.exchange import ExchangeAuthenticator
from gateway.authentication.grant_choice import GrantChoice, Mode
from gateway.authentication.refusals import Refusals
from gateway.authentication.renewal import Renewer
from gateway.authentication.token_requests import TokenRequestPlan, TokenRequests
from gateway.oauth.credentials import Challenge, Kind
from gateway.oauth.metadata import issuers_of
from gateway.settings.model.authentication import Callers, TokenRequest
from gateway.settings.model.authorization import Rules
from gateway.settings.model.cache import Lifetimes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AsyncExitStack

    from gateway.app.parts import Parts
    from gateway.app.providers import OpenProvider
    from gateway.app.store import Store
    from gateway.authentication import Authenticator
    from gateway.authentication.callers_tokens import CallersTokens
    from gateway.authentication.verification import Verifier
    from gateway.oauth.client_auth import Client
    from gateway.request import RequestHead
    from gateway.settings import Settings

REALM = "bearergate"
EXCHANGE = "exchange"  # the kind of part that uses the providers and the store
_KIND_OF_METHOD = {"password": Kind.PASSWORD, "client_credentials": Kind.CLIENT_CREDENTIALS}


# What is kept of an exchange depends on these, beside the provider and its registration.
_KEPT_WITH = (*Lifetimes.model_fields, "leeway", "search_user_info")
_ASKED_WITH = ("scopes", "client_credentials_scopes", "audience", "token_post_args")
_TOLD_WITH = (*Callers.model_fields, *TokenRequest.model_fields, *Rules.model_fields)


@dataclass(frozen=True, slots=True)
class Exchanges:
    """What exchanges credentials and knows tokens of one provider, and what is kept of it."""

    plan: TokenRequestPlan
    entries: Entries
    cold_path: ColdPath
    verifier: Verifier


async def obtain_authenticators(
    settings: Settings,
    provider: OpenProvider,
    store: Store,
    parts: Parts,
    address_of: Callable[[RequestHead], str],
) -> tuple[Authenticator, ...]:
    """Return how callers of a route show who they are; routes with the same settings share it.

    ``address_of`` tells the address refused logins and tokens are counted for.
    """
    wants = _wants_id_tokens(settings)
    key = made_of(settings, (*_KEPT_WITH, *_ASKED_WITH), EXCHANGE, wants, provider.key)
    exchanges = await parts.obtain(key, lambda stack: _open(settings, provider, store, stack))
    tokens = await parts.obtain(
        made_of(settings, ("auth_methods",), EXCHANGE, "tokens", key),
        partial(_open_tokens, settings, provider, store, exchanges),
    )

    open_redeeming = partial(open_refresh_tokens, settings, provider, store)
    refresh_tokens = await parts.obtain(
        made_of(settings, ("refresh_token_kept",), EXCHANGE, "refresh tokens", key),
        partial(open_redeeming, entries=exchanges.entries, plan=exchanges.plan),
    )

    async def open_authenticators(_: AsyncExitStack) -> tuple[Authenticator, ...]:
        carriers = _carriers(settings)
        pairs = (carriers,) if carriers.query or carriers.body else ()
        exchange = _exchange_authenticators(settings, provider, store, exchanges, address_of)
        others = (*pairs, *refresh_token_carriers(settings))
        bearer = bearer_authenticators(settings, tokens, others, REALM, address_of)
        refreshing = refresh_token_authenticators(
            settings, refresh_tokens, pairs, REALM, address_of
        )
        return (*bearer, *refreshing, *exchange)

    return await parts.obtain(
        made_of(settings, _TOLD_WITH, "authenticators", key), open_authenticators
    )


def _exchange_authenticators(
    settings: Settings,
    provider: OpenProvider,
    store: Store,
    exchanges: Exchanges,
    address_of: Callable[[RequestHead], str],
) -> Iterator[ExchangeAuthenticator]:
    """Yield the way of bringing a pair, where that is one."""
    if not credential_places(settings):
        return
    yield ExchangeAuthenticator(
        provider.provider,
        exchanges.entries,
        exchanges.cold_path,
        carriers=_carriers(settings),
        choice=GrantChoice(basic_mode(settings), settings.client_credentials_ids),
        plan=exchanges.plan,
        keys=store.keys,
        challenge=Challenge("Basic", REALM),
        address_of=address_of,
    )


async def _open_tokens(
    settings: Settings,
    provider: OpenProvider,
    store: Store,
    exchanges: Exchanges,
    stack: AsyncExitStack,
) -> CallersTokens:
    kept_for = exchanges.plan.kept_for
    return await open_callers_tokens(
        settings, provider, store, exchanges.verifier, stack, kept_for=kept_for
    )


async def _open(
    settings: Settings, provider: OpenProvider, store: Store, stack: AsyncExitStack
) -> Exchanges:
    """Open what every route shares that keeps the same tokens for as long."""
    issuer = issuers_of(settings.issuer)[0]
    plan = token_request_plan(settings, provider.own.client)
    requests = TokenRequests(provider.provider, plan)
    registration = _registration(issuer, settings.client_id)
    store.registrations[registration] = requests
    owners = partial(store.keys.owners, issuer)
    verifier = open_verifier(
        settings,
        provider,
        store,
        user_info=settings.search_user_info,
        id_tokens=_wants_id_tokens(settings),
    )
    entries = Entries(
        store.memory,
        store.redis,
        ledger=store.ledger,
        owners=owners,
        requests=requests,
        verifier=verifier,
        lifetimes=EntryLifetimes(settings.cache_ttl_max, settings.cache_margin),
        registration=registration,
    )
    cold_path = _open_cold_path(settings, provider, store, entries, stack)
    return Exchanges(plan, entries, cold_path, verifier)


def _open_cold_path(
    settings: Settings,
    provider: OpenProvider,
    store: Store,
    entries: Entries,
    stack: AsyncExitStack,
) -> ColdPath:
    requests = entries.requests
    renewer = Renewer(entries, requests, shared=store.flights, ttl_max=settings.cache_ttl_max)
    run_in_background(renewer.run(), stack)
    cold_path = ColdPath(
        entries,
        requests,
        refusals=Refusals(store.refusals, settings.cache_ttl_neg),
        attempts=provider.attempts,
        shared=store.flights,
        pseudonym=store.pseudonyms().of,
    )
    stack.push_async_callback(cold_path.aclose)
    return cold_path


def _registration(issuer: str, client_id: str) -> str:
    """Return what stands for one client at one provider beside what is kept of it."""
    parts = (len(issuer).to_bytes(4), issuer.encode(), client_id.encode())
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def token_request_plan(settings: Settings, client: Client) -> TokenRequestPlan:
    """Return what is said in every token request of this client."""
    extra = settings.token_post_args
    if settings.audience:
        extra = (("audience", settings.audience), *extra)
    return TokenRequestPlan(
        client=client,
        scopes=settings.scopes,
        client_credentials_scopes=settings.client_credentials_scopes,
        extra=extra,
        tells_address=settings.idp_tell_caller_address,
        kept_for=(
            *((name, f"{getattr(settings, name):g}") for name in _KEPT_WITH),
            *((("id_tokens", "1"),) if _wants_id_tokens(settings) else ()),
        ),
    )


def _wants_id_tokens(settings: Settings) -> bool:
    """Tell whether ID tokens are kept; who wants none logs in apart, and has none in memory."""
    return bool(settings.upstream_id_token_header)


def credential_places(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Return where credentials are looked for, by the method they are for."""
    places = {
        "password": settings.password_param_type,
        "client_credentials": settings.client_credentials_param_type,
    }
    return {method: places[method] for method in settings.auth_methods if method in places}


def _carriers(settings: Settings) -> Carriers:
    def kinds(place: str) -> frozenset[Kind]:
        return frozenset(
            _KIND_OF_METHOD[method]
            for method, places in credential_places(settings).items()
            if place in places
        )

    return Carriers(
        header=bool(kinds("header")),
        query=kinds("query"),
        body=kinds("body"),
        hide=settings.hide_credentials,
        copied=frozenset(settings.token_post_args_client),
    )


def basic_mode(settings: Settings) -> Mode:
    """Return what a Basic pair means: with one method looked for in the header, that one."""
    in_header = [
        method for method, places in credential_places(settings).items() if "header" in places
    ]
    if in_header == ["password"]:
        return "password"
    if in_header == ["client_credentials"]:
        return "client_credentials"
    return settings.basic_grant
