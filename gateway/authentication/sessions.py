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
    from collections.abc import Iterable, Sequence

    from gateway.authentication.entries import Entry
    from gateway.authentication.token_requests import TokenRequests
    from gateway.token_cache.memory import MemoryCache
    from gateway.token_cache.purge import PurgedEntry

_log = logging.getLogger(__name__)

# How long a purge or a shutdown waits for the provider to end sessions, in seconds.
PATIENCE = 5.0


class Sessions:
    """Ends sessions if ``revoke``; ``alone`` when no other replica can use an entry."""

    def __init__(
        self,
        requests: TokenRequests,
        memory: MemoryCache[Entry],
        *,
        revoke: bool,
        alone: bool,
        patience: float = PATIENCE,
    ) -> None:
        self._requests = requests
        self._memory = memory
        self._revoke = revoke
        self._alone = alone
        self._patience = patience

    async def end_purged(self, purged: Sequence[PurgedEntry]) -> None:
        """End the sessions of purged entries, from memory or as they were stored."""
        await self._end({token for each in purged for token in _refresh_tokens(each)})

    async def end_all(self) -> None:
        """End every session when the process ends, unless another replica goes on using it."""
        if self._alone:
            entries = (entry for _, entry in self._memory.clear())
            await self._end({e.refresh_token for e in entries if e.refresh_token is not None})

    async def _end(self, refresh_tokens: set[str]) -> None:
        if not self._revoke or not refresh_tokens:
            return
        try:
            async with asyncio.timeout(self._patience):
                ended = await asyncio.gather(*(self._end_one(token) for token in refresh_tokens))
        except TimeoutError:
            _log.warning("ending sessions at the provider took too long")
            return
        _log.info("ended %d of %d sessions at the provider", sum(ended), len(ended))

    async def _end_one(self, refresh_token: str) -> bool:
        try:
            await self._requests.revoke(refresh_token)
        except GatewayError as error:
            _log.info("a session at the provider was not ended: %s", error)
            return False
        return True


def _refresh_tokens(purged: PurgedEntry) -> Iterable[str]:
    kept: Any = purged.kept
    if kept is not None and kept.refresh_token is not None:
        yield kept.refresh_token
    if purged.stored is not None:
        try:
            stored = Outcome.read(purged.stored).token_set.refresh_token
        except ValueError:
            return
        if stored is not None:
            yield stored
