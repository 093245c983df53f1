"""A replica's caches with what purges them, without a provider."""

from __future__ import annotations

import asyncio

from gateway.token_cache.bus import Bus
from gateway.token_cache.ledger import PurgeLedger
from gateway.token_cache.memory import MemoryCache
from gateway.token_cache.purge import Purger
from gateway.token_cache.redis import RedisTokenCache
from gateway.token_cache.sealing import SealingKeys

NOW = 1_700_000_000.0
OLD, NEW = b"o" * 32, b"n" * 32
JOHN, MARY, OTHER = b"j" * 32, b"m" * 32, b"x" * 32


class Replica:
    """Both tiers of one replica, with what purges them."""

    def __init__(self, url, *, secrets=(NEW,), heartbeat=10.0, timeout=5.0, reports=True):
        self.keys = SealingKeys(secrets)
        self.ledger = PurgeLedger()
        self.memory = MemoryCache(1000, 10**6)
        self.refusals = MemoryCache(1000, 10**6)
        self.redis = RedisTokenCache.connect(url, self.keys, timeout=timeout, pause=0.05)
        self.bus = Bus(self.redis.link, self.keys, heartbeat=heartbeat, now=lambda: NOW)
        self.reported = []
        self.purger = Purger(
            self.ledger,
            [self.memory],
            owners=self.owners,
            others=[self.refusals],
            redis=self.redis,
            bus=self.bus,
            on_purged=self.report if reports else None,
            now=lambda: NOW,
        )

    async def report(self, entries):
        """Keep what was purged."""
        self.reported += entries

    def owners(self, user):
        """Return the pseudonyms of a user."""
        return self.keys.owners("https://sso.example", user)

    async def begin(self, key, user):
        """Look up as a login does; return what is found and the ticket."""
        ticket = self.ledger.ticket(self.owners(user))
        found = await self.redis.find([key], NOW, ticket)
        if found.opened is not None and self.ledger.stands(found.ticket):
            self.memory.store(key, found.opened.plaintext, NOW + 60, 1, self.owners(user))
        return found

    async def end(self, key, value, ticket, aliases=()):
        """Keep what a login gave."""
        if self.ledger.stands(ticket):
            self.memory.store(key, value, NOW + 60, 1, (*ticket.owners, *aliases))
        await self.redis.store(key, value, NOW + 60, NOW, ticket, aliases=aliases)

    async def log_in(self, key, user, value=b"token"):
        """Log in and keep it."""
        await self.end(key, value, (await self.begin(key, user)).ticket)

    async def knows(self, key, user):
        """Return what memory and Redis have."""
        kept = self.memory.find(key, NOW)
        opened = (await self.redis.find([key], NOW, self.ledger.ticket(self.owners(user)))).opened
        return kept, opened and opened.plaintext

    async def forgets(self, key):
        """Wait until the memory does not have the key."""
        async with asyncio.timeout(20):
            while self.memory.find(key, NOW) is not None:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.01)
