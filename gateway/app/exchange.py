"""Putting the exchange together: what the settings say about credentials, tokens and caches."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from gateway.app.callers import bearer_authenticators
from gateway.authentication import Authenticator, Principal
from gateway.authentication.attempts import PATIENCE, AttemptLimits, AttemptsLimiter
from gateway.authentication.callers_tokens import CallersTokens, KnownTokens
from gateway.authentication.carriers import Carriers
from gateway.authentication.cold_path import ColdPath
from gateway.authentication.entries import Entries, Entry, Lifetimes
from gateway.authentication.exchange import ExchangeAuthenticator
from gateway.authentication.grant_choice import GrantChoice, Mode
from gateway.authentication.refusals import Refusals
from gateway.authentication.renewal import Renewer
from gateway.authentication.sessions import Sessions
from gateway.authentication.token_requests import TokenRequestPlan, TokenRequests
from gateway.authentication.verification import Verifier
from gateway.logs import Pseudonyms
from gateway.oauth.credentials import Challenge, Kind
from gateway.oauth.metadata import issuers_of
from gateway.token_cache.bus import Bus
from gateway.token_cache.ledger import PurgeLedger
from gateway.token_cache.lock import SharedFlights
from gateway.token_cache.memory import MemoryCache
from gateway.token_cache.purge import Purger
from gateway.token_cache.redis import RedisTokenCache
from gateway.token_cache.sealing import SealingKeys

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextlib import AsyncExitStack
    from typing import Any

    from gateway.oauth.client_auth import Client
    from gateway.provider.client import Provider
    from gateway.request import RequestHead
    from gateway.settings import Settings

T = TypeVar("T")

REALM = "bearergate"
# A verified token with its claims weighs a few kilobytes; this bounds the cache by memory too.
BYTES_PER_ENTRY = 16 * 1024
_KIND_OF_METHOD = {"password": Kind.PASSWORD, "client_credentials": Kind.CLIENT_CREDENTIALS}


@dataclass(frozen=True, slots=True)
class Composed:
    """The authenticators, and what the admin port does with its caches."""

    authenticators: tuple[Authenticator, ...]
    purger: Purger
    redis: RedisTokenCache | None


@dataclass(frozen=True, slots=True)
class Shared:
    """What the replicas share through Redis."""

    redis: RedisTokenCache
    bus: Bus
    flights: SharedFlights


async def compose(
    settings: Settings,
    provider: Provider,
    client: Client,
    address_of: Callable[[RequestHead], str],
    stack: AsyncExitStack,
) -> Composed:
    """Return the exchange of these settings; what it opens is closed with ``stack``.

    ``address_of`` tells the address refused attempts are counted for.
    """
    keys = SealingKeys([secret.get_secret_value().encode() for secret in settings.cache_secret])
    pseudonyms = Pseudonyms(_derived(settings, b"bearergate pseudonyms"))
    caches = _open_caches(settings, keys, stack)
    plan = _plan(settings, client)
    requests = TokenRequests(provider, plan)
    purger = await _open_purger(settings, caches, requests, stack)
    verifier = Verifier(provider, leeway=settings.leeway, pseudonym=pseudonyms.of)
    entries = _entries(settings, caches, requests, verifier)
    carriers = _carriers(settings)
    tokens = CallersTokens(provider, verifier, keys=keys, known=caches.known(settings))
    stack.push_async_callback(tokens.aclose)
    bearer = bearer_authenticators(settings, tokens, carriers, REALM)
    authenticator = ExchangeAuthenticator(
        provider,
        entries,
        _open_cold_path(settings, caches, entries, requests, stack),
        carriers=carriers,
        choice=GrantChoice(_basic_mode(settings), settings.client_credentials_ids),
        plan=plan,
        keys=keys,
        challenge=Challenge("Basic", REALM),
        address_of=address_of,
    )
    exchange = (authenticator,) if _places(settings) else ()
    return Composed((*bearer, *exchange), purger, caches.redis)


def _entries(
    settings: Settings, caches: _Caches, requests: TokenRequests, verifier: Verifier
) -> Entries:
    return Entries(
        caches.memory,
        caches.redis,
        ledger=caches.ledger,
        owners=caches.owners,
        requests=requests,
        verifier=verifier,
        lifetimes=Lifetimes(settings.cache_ttl_max, settings.cache_margin),
    )


@dataclass(frozen=True, slots=True)
class _Caches:
    memory: MemoryCache[Entry]
    refusals: MemoryCache[bool]
    tokens: MemoryCache[Principal]
    ledger: PurgeLedger
    shared: Shared | None
    owners: Callable[[str], tuple[bytes, ...]]

    def known(self, settings: Settings) -> KnownTokens:
        """Return where callers' tokens are known."""
        return KnownTokens(self.tokens, self.ledger, self.owners, settings.cache_ttl_max)

    @property
    def redis(self) -> RedisTokenCache | None:
        return None if self.shared is None else self.shared.redis

    @property
    def flights(self) -> SharedFlights | None:
        return None if self.shared is None else self.shared.flights


def _open_caches(settings: Settings, keys: SealingKeys, stack: AsyncExitStack) -> _Caches:
    return _Caches(
        memory=_memory(settings, Entry),
        refusals=_memory(settings, bool),
        tokens=_memory(settings, Principal),
        ledger=PurgeLedger(),
        shared=_open_shared(settings, keys, stack),
        owners=lambda name: keys.owners(issuers_of(settings.issuer)[0], name),
    )


async def _open_purger(
    settings: Settings, caches: _Caches, requests: TokenRequests, stack: AsyncExitStack
) -> Purger:
    """Return what purges; at the end of the process the sessions nobody else uses are ended."""
    sessions = Sessions(
        requests, caches.memory, revoke=settings.revoke_on_purge, alone=caches.shared is None
    )
    purger = Purger(
        caches.ledger,
        [caches.memory],
        owners=caches.owners,
        others=[caches.refusals, caches.tokens],
        redis=caches.redis,
        bus=None if caches.shared is None else caches.shared.bus,
        on_purged=sessions.end_purged if settings.revoke_on_purge else None,
    )
    if caches.shared is not None:
        await stack.enter_async_context(caches.shared.bus)
    stack.push_async_callback(sessions.end_all)
    return purger


def _open_cold_path(
    settings: Settings,
    caches: _Caches,
    entries: Entries,
    requests: TokenRequests,
    stack: AsyncExitStack,
) -> ColdPath:
    renewer = Renewer(entries, requests, shared=caches.flights, ttl_max=settings.cache_ttl_max)
    _run_in_background(renewer.run(), stack)
    attempts = _attempts(settings, caches.redis)
    stack.push_async_callback(attempts.aclose)
    cold_path = ColdPath(
        entries,
        requests,
        refusals=Refusals(caches.refusals, settings.cache_ttl_neg),
        attempts=attempts,
        shared=caches.flights,
        pseudonym=Pseudonyms(_derived(settings, b"bearergate pseudonyms")).of,
    )
    stack.push_async_callback(cold_path.aclose)
    return cold_path


def _open_shared(settings: Settings, keys: SealingKeys, stack: AsyncExitStack) -> Shared | None:
    """Return what is shared through Redis, ``None`` without one; the bus is not started yet."""
    url = settings.redis_url.get_secret_value()
    if not url:
        return None
    redis = RedisTokenCache.connect(url, keys, ttl_max=settings.cache_ttl_max)
    stack.push_async_callback(redis.aclose)
    bus = Bus(redis.link, keys)
    flights = SharedFlights(redis.link, bus, keys, longest=_longest_flight(settings))
    stack.push_async_callback(flights.aclose)
    return Shared(redis, bus, flights)


def _run_in_background(work: Coroutine[Any, Any, None], stack: AsyncExitStack) -> None:
    task = asyncio.create_task(work)

    async def stop() -> None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(stop)


def _memory(settings: Settings, _: type[T]) -> MemoryCache[T]:
    return MemoryCache(settings.cache_max_entries, settings.cache_max_entries * BYTES_PER_ENTRY)


def _derived(settings: Settings, purpose: bytes) -> bytes:
    newest = settings.cache_secret[0].get_secret_value().encode()
    return hashlib.sha256(purpose + newest).digest()


def _attempts(settings: Settings, redis: RedisTokenCache | None) -> AttemptsLimiter:
    limits = AttemptLimits.of(
        settings.failed_logins_max, settings.failed_logins_window, settings.failed_logins_spacing
    )
    key = _derived(settings, b"bearergate attempts")
    link = None if redis is None else redis.link
    return AttemptsLimiter(limits, key=key, link=link, longest=_longest_flight(settings))


def _longest_flight(settings: Settings) -> float:
    """Return how long a flight lasts at most: in line, two calls, and a fetch of the keys."""
    return PATIENCE + 3 * settings.idp_timeout


def _plan(settings: Settings, client: Client) -> TokenRequestPlan:
    extra = settings.token_post_args
    if settings.audience:
        extra = (("audience", settings.audience), *extra)
    return TokenRequestPlan(
        client=client,
        scopes=settings.scopes,
        client_credentials_scopes=settings.client_credentials_scopes,
        extra=extra,
        tells_address=settings.idp_tell_caller_address,
    )


def _places(settings: Settings) -> dict[str, tuple[str, ...]]:
    places = {
        "password": settings.password_param_type,
        "client_credentials": settings.client_credentials_param_type,
    }
    return {method: places[method] for method in settings.auth_methods if method in places}


def _carriers(settings: Settings) -> Carriers:
    def kinds(place: str) -> frozenset[Kind]:
        return frozenset(
            _KIND_OF_METHOD[method]
            for method, places in _places(settings).items()
            if place in places
        )

    return Carriers(
        header=bool(kinds("header")),
        query=kinds("query"),
        body=kinds("body"),
        hide=settings.hide_credentials,
        copied=frozenset(settings.token_post_args_client),
    )


def _basic_mode(settings: Settings) -> Mode:
    """Return what a Basic pair means: with one method looked for in the header, that one."""
    in_header = [method for method, places in _places(settings).items() if "header" in places]
    if in_header == ["password"]:
        return "password"
    if in_header == ["client_credentials"]:
        return "client_credentials"
    return settings.basic_grant
