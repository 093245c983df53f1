"""Ending the provider's sessions behind entries nobody will use again (RFC 7009).

Rule: it is a courtesy to the provider. A session that cannot be ended ends by itself, later.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from gateway.authentication.entries import Outcome
from gateway.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from gateway.authentication.entries import Entry
    from gateway.token_cache.memory import MemoryCache
    from gateway.token_cache.purge import PurgedEntry

_log = logging.getLogger(__name__)

# How long a purge or a shutdown waits for the provider to end sessions, in seconds.
PATIENCE = 5.0


class Sessions:
    """Ends sessions if ``revoke``; ``alone`` when no other replica can use an entry.

    ``end`` ends the session behind a refresh token of a registration, or raises ``GatewayError``.
    """

    def __init__(
        self,
        end: Callable[[str, str], Awaitable[None]],
        memory: MemoryCache[Entry],
        *,
        revoke: bool,
        alone: bool,
        patience: float = PATIENCE,
    ) -> None:
        self._end_session = end
        self._memory = memory
        self._revoke = revoke
        self._alone = alone
        self._patience = patience

    async def end_purged(self, purged: Sequence[PurgedEntry]) -> None:
        """End the sessions of purged entries, from memory or as they were stored."""
        await self._end({session for each in purged for session in _sessions_of(each)})

    async def end_all(self) -> None:
        """End every session when the process ends, unless another replica goes on using it."""
        if self._alone:
            entries = (entry for _, entry in self._memory.clear())
            await self._end(
                {(e.registration, e.refresh_token) for e in entries if e.refresh_token is not None}
            )

    async def _end(self, sessions: set[tuple[str, str]]) -> None:
        if not self._revoke or not sessions:
            return
        try:
            async with asyncio.timeout(self._patience):
                ended = await asyncio.gather(*(self._end_one(*each) for each in sessions))
        except TimeoutError:
            _log.warning("ending sessions at the provider took too long")
            return
        _log.info("ended %d of %d sessions at the provider", sum(ended), len(ended))

    async def _end_one(self, registration: str, refresh_token: str) -> bool:
        try:
            await self._end_session(registration, refresh_token)
        except GatewayError as error:
            _log.info("a session at the provider was not ended: %s", error)
            return False
        return True


def _sessions_of(purged: PurgedEntry) -> Iterable[tuple[str, str]]:
    """Yield the registration and the refresh token of what was purged."""
    kept: Any = purged.kept
    if kept is not None and kept.refresh_token is not None:
        yield kept.registration, kept.refresh_token
    if purged.stored is not None:
        try:
            stored = Outcome.read(purged.stored)
        except ValueError:
            return
        if stored.token_set.refresh_token is not None:
            yield stored.registration, stored.token_set.refresh_token
