"""What refresh tokens became: for each that a caller keeps sending, the newest the provider gave.

Rule: this is all that is left of a caller's session once its first refresh token is spent. So it
is kept apart from the tokens: no crowd of them and no purge removes it, and with Redis a token of
which Redis does not say whether it is the newest is not used.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gateway.errors import ProviderUnavailableError
from gateway.token_cache.link import WRITING, Command
from gateway.token_cache.redis import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from gateway.token_cache.link import Link
    from gateway.token_cache.memory import MemoryCache
    from gateway.token_cache.sealing import SealingKeys

PREFIX: Final = NAMESPACE + "r:"  # + key: the newest refresh token, sealed
TRIES: Final = 15  # to write what would else be lost for the other replicas
PAUSE: Final = 0.3  # seconds between two of them

logger = logging.getLogger("gateway.token_cache")


@dataclass(frozen=True, slots=True)
class Successor:
    """The newest refresh token of a chain, and how many came before it."""

    number: int
    refresh_token: str = field(repr=False)

    def write(self) -> bytes:
        """Write it for Redis; ``read`` reads it back."""
        return json.dumps([self.number, self.refresh_token]).encode("ascii")

    @classmethod
    def read(cls, data: bytes) -> Successor:
        """Read what ``write`` wrote."""
        return cls(*json.loads(data))


class RefreshChains:
    """The newest refresh token of each chain, in the memory of this process and in Redis.

    A chain is found by the keyed hash of the refresh token that its caller sends. ``link`` is
    ``None`` without Redis.
    """

    def __init__(
        self,
        memory: MemoryCache[Successor],
        link: Link | None,
        keys: SealingKeys,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._memory = memory
        self._link = link
        self._keys = keys
        self._sleep = sleep

    async def find(self, keys: Sequence[bytes], now: float) -> Successor | None:
        """Return the newest of what is kept under these keys, ``None`` for a chain not begun.

        A Redis that does not answer raises ``ProviderUnavailableError``.
        """
        found = [self._memory.find(key, now) for key in keys]
        if self._link is not None:
            values = await self._link.find([PREFIX + key.hex() for key in keys])
            if values is None:
                raise ProviderUnavailableError("Redis does not say which refresh token is newest")
            found += map(self._open, keys, values, [now] * len(keys))
        return max(filter(None, found), key=lambda each: each.number, default=None)

    async def store(self, key: bytes, successor: Successor, until: float, now: float) -> None:
        """Keep the newest of a chain; for a Redis that does not take it there are some seconds.

        What it did not take is known to this process alone, and is the newest here all the same.
        """
        self._memory.store(key, successor, until, len(successor.refresh_token))
        if self._link is None:
            return
        name, sealed = PREFIX + key.hex(), self._keys.seal(_context(key), successor.write(), until)
        command = Command(name, ("SET", name, sealed, "PX", int((until - now) * 1000)))
        for _ in range(TRIES):
            if await self._link.send([command], WRITING) is not None:
                return
            await self._sleep(PAUSE)
        logger.error(
            "Redis did not take a refresh token: its caller may have to log in again when another "
            "replica is asked"
        )

    def _open(self, key: bytes, sealed: bytes | None, now: float) -> Successor | None:
        opened = None if sealed is None else self._keys.open(_context(key), sealed, now)
        return None if opened is None else Successor.read(opened.plaintext)


def _context(key: bytes) -> bytes:
    return b"chain:" + key
