"""The exchange of one replica: its real parts on a provider, without ports or pipeline."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from typing import Self

from gateway.authentication.attempts import AttemptLimits, AttemptsLimiter
from gateway.authentication.cold_path import ColdPath
from gateway.authentication.entries import Entries, Lifetimes, Outcome
from gateway.authentication.refusals import Refusals
from gateway.authentication.renewal import Renewer
from gateway.authentication.sessions import Sessions
from gateway.authentication.token_requests import Exchange, TokenRequestPlan, TokenRequests
from gateway.authentication.verification import Verifier
from gateway.oauth.client_auth import Client
from gateway.oauth.credentials import Credentials, Kind, Place
from gateway.provider.client import Provider
from gateway.provider.guard import Guard
from gateway.provider.transport import Transport
from gateway.token_cache.bus import Bus
from gateway.token_cache.ledger import PurgeLedger
from gateway.token_cache.lock import SharedFlights
from gateway.token_cache.memory import MemoryCache
from gateway.token_cache.redis import RedisTokenCache
from gateway.token_cache.sealing import SealingKeys

OLD, NEW = b"o" * 32, b"n" * 32
HERE, THERE = "192.0.2.1", "198.51.100.1"


class Clock:
    """The time of day, moved ``ahead`` by hand."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        """Tell the time in seconds since the epoch."""
        return time.time() + self.ahead


class Replica:
    """Put together as the composition root does it; ``redis_url`` is empty without one."""

    def __init__(
        self,
        fake,
        redis_url="",
        *,
        secrets=(NEW,),
        lifetimes=(300.0, 10.0),
        ttl_neg=5.0,
        life=10.0,
        limit=5,
        extra=(),
        tells_address=False,
        id_tokens=False,
        pseudonym=lambda name: name.encode().hex(),
    ) -> None:
        self.fake = fake
        self.clock = Clock()
        self.keys = SealingKeys(list(secrets))
        self.memory = MemoryCache(1000, 10**7)
        self.refusals = MemoryCache(1000, 10**6)
        self.ledger = PurgeLedger()
        self.redis = self.flights = None
        self._url = redis_url
        self._lifetimes = Lifetimes(*lifetimes)
        self._ttl_neg = ttl_neg
        self._life = life
        self._limits = AttemptLimits.of(limit, 60, 0.0)
        self._extra = tuple(extra)
        self._tells_address = tells_address
        self._id_tokens = id_tokens
        self._pseudonym = pseudonym
        self._stack = AsyncExitStack()
        self.lingered = []  # how long each refusal was to take that the provider was not asked for

    async def __aenter__(self) -> Self:
        transport = await self._stack.enter_async_context(Transport(timeout=5, connect_timeout=2))
        provider = Provider(self.fake.issuer, transport, Guard(64, 512))
        await provider.discover()
        if self._url:
            await self._share()
        client = Client(self.fake.client_id, self.fake.client_secret)
        plan = TokenRequestPlan(client, "openid", "", self._extra, self._tells_address)
        self.requests = TokenRequests(provider, plan)
        self.entries = Entries(
            self.memory,
            self.redis,
            ledger=self.ledger,
            owners=self.owners,
            requests=self.requests,
            verifier=Verifier(
                provider, leeway=0, pseudonym=self._pseudonym, id_tokens=self._id_tokens
            ),
            lifetimes=self._lifetimes,
        )
        self.renewer = Renewer(
            self.entries,
            self.requests,
            shared=self.flights,
            ttl_max=self._lifetimes.ttl_max,
            now=self.clock,
        )
        self._open_cold_path()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _share(self):
        self.redis = RedisTokenCache.connect(self._url, self.keys, timeout=5.0)
        self._stack.push_async_callback(self.redis.aclose)
        bus = Bus(self.redis.link, self.keys)
        self.flights = SharedFlights(self.redis.link, bus, self.keys, life=self._life)
        self._stack.push_async_callback(self.flights.aclose)
        await self._stack.enter_async_context(bus)

    def _open_cold_path(self):
        link = None if self.redis is None else self.redis.link
        attempts = AttemptsLimiter(self._limits, key=b"k" * 32, link=link)
        self._stack.push_async_callback(attempts.aclose)
        self.cold_path = ColdPath(
            self.entries,
            self.requests,
            refusals=Refusals(self.refusals, self._ttl_neg, sleep=self._linger),
            attempts=attempts,
            shared=self.flights,
            pseudonym=lambda name: name.encode().hex(),
            now=self.clock,
        )
        self._stack.push_async_callback(self.cold_path.aclose)

    async def _linger(self, seconds):
        self.lingered.append(seconds)

    def owners(self, name):
        """Return the pseudonyms a purge finds a user by."""
        return self.keys.owners(self.fake.issuer, name)

    def exchange(self, user="john", password="doe", mode="password", copied=(), peer=HERE):  # noqa: S107 - of a test provider
        """Return the exchange a request with these credentials asks for."""
        deriver = self.keys.deriver(
            issuer=self.fake.issuer,
            token_endpoint=f"{self.fake.issuer}/token",
            client_id=self.fake.client_id,
            scope="openid",
            audience="",
        )
        credentials = Credentials(user, password, Place.HEADER, Kind.BASIC)
        return Exchange(
            deriver.key(mode, user, password, copied),
            deriver.older_keys(mode, user, password, copied),
            mode,
            credentials,
            tuple(copied),
            peer,
        )

    async def obtain(self, **told):
        """Return the entry of an exchange and where it came from."""
        return await self.cold_path.obtain(self.exchange(**told))

    async def keep(self, token_set, *, user="john", password="doe", grant="password", **told):  # noqa: S107 - of a test provider
        """Keep what a provider gave at ``at``, as a login begun now does; return the entry."""
        exchange, now = self.exchange(user, password), self.clock()
        _, ticket = await self.look(user=user, password=password)
        outcome = Outcome(grant, token_set, told.get("at", now))
        return (await self.entries.keep(exchange.key, user, outcome, ticket, now))[0]

    async def look(self, **told):
        """Return the entry Redis has for an exchange, and the ticket to keep another with."""
        exchange = self.exchange(**told)
        ticket = self.entries.ticket(exchange.identifier)
        keys = (exchange.key, *exchange.older_keys)
        return await self.entries.find_stored(keys, exchange.identifier, ticket, self.clock())

    def find(self, **told):
        """Return the entry memory has for an exchange."""
        return self.entries.find(self.exchange(**told).key, self.clock())

    def sessions(self, *, revoke=True, alone=True, **options):
        """Return what ends the sessions behind this replica's entries."""
        return Sessions(self._end, self.memory, revoke=revoke, alone=alone, **options)

    async def _end(self, _, refresh_token):
        await self.requests.revoke(refresh_token)
