"""What all routes share: the caches, Redis, the keys that seal and name what is in them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from gateway.authentication import Principal
from gateway.authentication.attempts import PATIENCE
from gateway.authentication.entries import Entry
from gateway.authentication.flights import Flights
from gateway.authentication.sessions import Sessions
from gateway.authentication.token_exchange import Exchanged
from gateway.errors import ProviderError
from gateway.logs import Pseudonyms
from gateway.oauth.metadata import issuers_of
from gateway.token_cache.bus import Bus
from gateway.token_cache.chains import RefreshChains, Successor
from gateway.token_cache.ledger import PurgeLedger
from gateway.token_cache.lock import SharedFlights
from gateway.token_cache.memory import MemoryCache
from gateway.token_cache.purge import Purger
from gateway.token_cache.redis import RedisTokenCache
from gateway.token_cache.sealing import SealingKeys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AsyncExitStack

    from gateway.authentication.attempts import AttemptLimits, SharedTurns
    from gateway.authentication.refresh_tokens import Redeemed
    from gateway.authentication.token_requests import TokenRequests
    from gateway.settings import RoutePlan, Settings

    TurnsOf = Callable[[AttemptLimits, float], SharedTurns]

T = TypeVar("T")

# A verified token with its claims weighs a few kilobytes; this bounds the cache by memory too.
BYTES_PER_ENTRY = 16 * 1024


@dataclass(frozen=True, slots=True)
class Shared:
    """What the replicas share through Redis."""

    redis: RedisTokenCache
    bus: Bus
    flights: SharedFlights


@dataclass(slots=True)
class Store:
    """The caches of the process; ``issuers`` are all whose tokens may be in them.

    ``registrations`` are who talks to which provider as which client, ``redemptions`` the refresh
    tokens that are being redeemed; ``turns`` is how other workers take part in counting refused
    logins where there is no Redis.
    """

    settings: Settings = field(repr=False)
    keys: SealingKeys
    memory: MemoryCache[Entry]
    refusals: MemoryCache[bool]
    tokens: MemoryCache[Principal]
    refused_tokens: MemoryCache[bool]
    exchanged: MemoryCache[Exchanged]
    chains: RefreshChains
    ledger: PurgeLedger
    shared: Shared | None
    turns: TurnsOf | None = None
    issuers: set[str] = field(default_factory=set)
    registrations: dict[str, TokenRequests] = field(default_factory=dict)
    redemptions: Flights[Redeemed] = field(default_factory=Flights)

    @property
    def redis(self) -> RedisTokenCache | None:
        """The second tier of the cache, if there is one."""
        return None if self.shared is None else self.shared.redis

    @property
    def flights(self) -> SharedFlights | None:
        """The flights of all replicas, if there are others."""
        return None if self.shared is None else self.shared.flights

    def owners(self, name: str) -> tuple[bytes, ...]:
        """Return the pseudonyms of the users of this name, at every provider."""
        return tuple(
            owner for issuer in sorted(self.issuers) for owner in self.keys.owners(issuer, name)
        )

    def derived(self, purpose: bytes) -> bytes:
        """Return a key for one purpose, the same on every replica."""
        newest = self.settings.cache_secret[0].get_secret_value().encode()
        return hashlib.sha256(purpose + newest).digest()

    def pseudonyms(self) -> Pseudonyms:
        """Return what users are called in the log."""
        return Pseudonyms(self.derived(b"bearergate pseudonyms"))

    def adapt(self, plans: Iterable[RoutePlan]) -> None:
        """Allow for what is about to be kept: whose, for how long, and how long a login takes."""
        for each in plans:
            if each.public:
                continue
            self.issuers.add(issuers_of(each.settings.issuer)[0])
            if self.shared is not None:
                redis, flights = self.shared.redis, self.shared.flights
                redis.ttl_max = max(redis.ttl_max, each.settings.cache_ttl_max)
                flights.allow(longest_flight(each.settings))

    async def end_session(self, registration: str, refresh_token: str) -> None:
        """End the session behind a refresh token where it was begun, or raise ``ProviderError``."""
        requests = self.registrations.get(registration)
        if requests is None:
            raise ProviderError("the registration it belongs to is no longer configured")
        await requests.revoke(refresh_token)


def open_store(settings: Settings, stack: AsyncExitStack, turns: TurnsOf | None = None) -> Store:
    """Return the caches of this process, nothing kept in them yet."""
    keys = SealingKeys([secret.get_secret_value().encode() for secret in settings.cache_secret])
    shared = _open_shared(settings, keys, stack)
    link = None if shared is None else shared.redis.link
    return Store(
        settings,
        keys,
        memory=memory(settings, Entry),
        refusals=memory(settings, bool),
        tokens=memory(settings, Principal),
        refused_tokens=memory(settings, bool),
        exchanged=memory(settings, Exchanged),
        chains=RefreshChains(memory(settings, Successor), link, keys),
        ledger=PurgeLedger(),
        shared=shared,
        turns=turns,
    )


async def open_purger(store: Store, stack: AsyncExitStack) -> Purger:
    """Return what purges; at the end of the process the sessions nobody else uses are ended."""
    revoke = store.settings.revoke_on_purge
    sessions = Sessions(store.end_session, store.memory, revoke=revoke, alone=store.shared is None)
    purger = Purger(
        store.ledger,
        [store.memory],
        owners=store.owners,
        others=[store.refusals, store.tokens, store.refused_tokens, store.exchanged],
        redis=store.redis,
        bus=None if store.shared is None else store.shared.bus,
        on_purged=sessions.end_purged if revoke else None,
    )
    if store.shared is not None:
        await stack.enter_async_context(store.shared.bus)
    stack.push_async_callback(sessions.end_all)
    return purger


def memory(settings: Settings, _: type[T]) -> MemoryCache[T]:
    """Return a cache in memory for values of this type."""
    return MemoryCache(settings.cache_max_entries, settings.cache_max_entries * BYTES_PER_ENTRY)


def longest_flight(settings: Settings) -> float:
    """Return how long a flight lasts at most: in line, two calls, and a fetch of the keys."""
    return PATIENCE + 3 * settings.idp_timeout


def _open_shared(settings: Settings, keys: SealingKeys, stack: AsyncExitStack) -> Shared | None:
    """Return what is shared through Redis, ``None`` without one; the bus is not started yet."""
    url = settings.redis_url.get_secret_value()
    if not url:
        return None
    redis = RedisTokenCache.connect(url, keys, ttl_max=settings.cache_ttl_max)
    stack.push_async_callback(redis.aclose)
    bus = Bus(redis.link, keys)
    flights = SharedFlights(redis.link, bus, keys, longest=longest_flight(settings))
    stack.push_async_callback(flights.aclose)
    return Shared(redis, bus, flights)
