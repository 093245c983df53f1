"""The token cache many processes share, in Redis: sealed values, found again by user for a purge.

Rule: a value counts only while nothing of its user was purged since its login began. So each value
carries the mark of the purges known then, and is compared with those of now by whoever reads it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from gateway.metrics import REDIS_HIT, REDIS_MISS
from gateway.token_cache.ledger import NOBODY, Ticket
from gateway.token_cache.link import TIMEOUT, WRITING, Command, Link
from gateway.token_cache.outage import PAUSE
from gateway.token_cache.sealing import Opened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.token_cache.sealing import SealingKeys

NAMESPACE: Final = "bearergate:2:"
KEY_PREFIX: Final = NAMESPACE + "t:"  # + key: a sealed token set
OWNER_PREFIX: Final = NAMESPACE + "o:"  # + owner: the set of keys that are kept for the user
PURGED_PREFIX: Final = NAMESPACE + "p:"  # + owner: there since the user was purged
EPOCH: Final = NAMESPACE + "epoch"  # another one since everything was purged
PURGES: Final = NAMESPACE + "purges"  # another one since anything was purged
SLACK: Final = 600.0  # seconds the index of a user outlives the entries, for logins under way
MARK_BYTES: Final = 16
REMARK_EVERY: Final = 60.0  # seconds between two warnings about values that do not open

logger = logging.getLogger("gateway.token_cache")


@dataclass(frozen=True, slots=True)
class Lookup:
    """What was found, and the ticket to store with what comes instead."""

    opened: Opened | None
    ticket: Ticket


class RedisTokenCache:
    """Sealed values in Redis, each under the HMAC of its credential.

    ``ttl_max`` is how many seconds one of them lives at most.
    """

    def __init__(self, link: Link, keys: SealingKeys, *, ttl_max: float = 300.0) -> None:
        self.link = link
        self.keys = keys
        self.ttl_max = ttl_max
        self._remark_at = float("-inf")
        self.rejected = 0  # values that did not open: altered, foreign, older or expired

    @classmethod
    def connect(
        cls,
        url: str,
        keys: SealingKeys,
        *,
        timeout: float = TIMEOUT,
        pause: float = PAUSE,
        ttl_max: float = 300.0,
    ) -> RedisTokenCache:
        """Return the cache at this URL; the first connection is made when it is first asked."""
        link = Link.connect(url, timeout=timeout, pause=pause)
        return cls(link, keys, ttl_max=ttl_max)

    @property
    def failures(self) -> int:
        """How many calls failed or were refused."""
        return self.link.failures

    async def find(self, keys: Sequence[bytes], now: float, ticket: Ticket = NOBODY) -> Lookup:
        """Return what the first of these keys that holds anything readable holds.

        The purges of the ticket's user are read in the same call; where that is nobody yet, a
        purge of anybody counts.
        """
        purged = [PURGED_PREFIX + owner.hex() for owner in ticket.owners] or [PURGES]
        marks = [EPOCH, *purged]
        values = await self.link.find([*map(name_of, keys), *marks])
        if values is None:
            REDIS_MISS.inc()
            return Lookup(None, ticket)
        mark = mark_of(values[len(keys) :])
        opened = None
        for key, value in zip(keys, values, strict=False):
            opened = await self._open(key, value, now, mark)
            if opened is not None:
                break
        (REDIS_MISS if opened is None else REDIS_HIT).inc()
        return Lookup(opened, replace(ticket, mark=mark))

    async def store(
        self,
        key: bytes,
        plaintext: bytes,
        expires_at: float,
        now: float,
        ticket: Ticket = NOBODY,
        *,
        aliases: Sequence[bytes] = (),
    ) -> bool:
        """Keep the plaintext sealed until it expires, to be found again by owner and alias.

        Tell whether Redis took it. Nothing is stored of what has expired, nor with a ticket that
        ``find`` has not marked: whether a purge came in between could not be told.
        """
        milliseconds = int((expires_at - now) * 1000)
        if milliseconds <= 0 or ticket.mark is None:
            return False
        # Always the same, so that no entry shortens what an earlier one needs.
        index_milliseconds = int((max(self.ttl_max, expires_at - now) + SLACK) * 1000)
        commands = []
        for owner in dict.fromkeys((*ticket.owners, *aliases)):
            index = OWNER_PREFIX + owner.hex()
            commands.append(Command(index, ("SADD", index, key)))
            commands.append(Command(index, ("PEXPIRE", index, index_milliseconds)))
        sealed = self.keys.seal(key, ticket.mark + plaintext, expires_at)
        name = name_of(key)
        commands.append(Command(name, ("SET", name, sealed, "PX", milliseconds)))
        return await self.link.send(commands, WRITING) is not None

    async def ping(self) -> bool:
        """Tell whether Redis answers; False at once while it is left alone."""
        return await self.link.ping()

    async def aclose(self) -> None:
        """Close every connection; afterwards nothing may be asked."""
        await self.link.aclose()

    async def _open(
        self, key: bytes, value: bytes | None, now: float, mark: bytes
    ) -> Opened | None:
        """Return the value if it opens and nothing was purged since; count what does not open."""
        if value is None:
            return None
        opened = self.keys.open(key, value, now)
        if opened is None:
            await self._reject()
            return None
        if opened.plaintext[:MARK_BYTES] != mark:
            return None
        return Opened(opened.plaintext[MARK_BYTES:], opened.expires_at)

    async def _reject(self) -> None:
        """Count a value that did not open, and drop the connection it came by."""
        self.rejected += 1
        now = asyncio.get_running_loop().time()
        if now >= self._remark_at:
            self._remark_at = now + REMARK_EVERY
            logger.warning(
                "a value in Redis does not open and is ignored: altered, expired, or written by "
                "another version or with another CACHE_SECRET (%d so far)",
                self.rejected,
            )
        await self.link.drop_idle()


def name_of(key: bytes) -> str:
    """Return the name in Redis of what is kept under the key."""
    return KEY_PREFIX + key.hex()


def mark_of(notes: Sequence[bytes | None]) -> bytes:
    """Return one value that stands for the notes of purges, in whatever order they are read.

    While secrets are rotated a user has several pseudonyms and a purge the same note under each,
    so what counts is which notes there are, not where.
    """
    there = sorted({note for note in notes if note})
    return hashlib.sha256(b"".join(len(n).to_bytes(4) + n for n in there)).digest()[:MARK_BYTES]
