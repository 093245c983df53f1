"""Looking up and storing in one line, the way a login does it: the look-up gives the ticket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.token_cache.ledger import NOBODY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.token_cache.ledger import Ticket
    from gateway.token_cache.redis import RedisTokenCache
    from gateway.token_cache.sealing import Opened


async def look(
    cache: RedisTokenCache, keys: Sequence[bytes], now: float, ticket: Ticket = NOBODY
) -> Opened | None:
    """Return what is found."""
    return (await cache.find(keys, now, ticket)).opened


async def put(
    cache: RedisTokenCache,
    key: bytes,
    value: bytes,
    expires_at: float,
    now: float,
    ticket: Ticket = NOBODY,
) -> None:
    """Store a value with the ticket of a look-up right before."""
    marked = (await cache.find([], now, ticket)).ticket
    await cache.store(key, value, expires_at, now, marked)
