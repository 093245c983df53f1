"""The provider's JWK Set, kept (RFC 7517).

Rule: no caller can make this fetch more than once in ``min_refetch`` seconds, and a failed fetch
never replaces keys that work.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from gateway.errors import ProviderError, ProviderUnavailableError
from gateway.oauth.key_set import KeySet, read_key_set

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.provider.transport import Transport

_log = logging.getLogger(__name__)

MAX_KEY_SET_BYTES = 512 * 1024


class RemoteKeySet:
    """The key set last fetched; empty until the first fetch."""

    def __init__(
        self,
        transport: Transport,
        *,
        min_refetch: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self._min_refetch = min_refetch
        self._clock = clock
        self._next_refetch = float("-inf")
        self._jwks_uri: str | None = None
        self._key_set: KeySet | None = None
        self._fetch: asyncio.Task[None] | None = None
        self.thumbprints: frozenset[str] = frozenset()

    @property
    def loaded(self) -> bool:
        """Whether keys have been fetched at least once."""
        return self._key_set is not None

    @property
    def current(self) -> KeySet:
        """The keys to verify with; none yet raises ``ProviderUnavailableError``."""
        if self._key_set is None:
            raise ProviderUnavailableError("the provider's keys are not loaded yet")
        return self._key_set

    async def load(self, jwks_uri: str) -> None:
        """Fetch the keys now; failure raises ``ProviderError`` and leaves the old keys in use."""
        self._jwks_uri = jwks_uri
        await self._fly()

    async def refetch(self) -> None:
        """Fetch again because a token names an unknown key, at most once in ``min_refetch``.

        Too soon raises ``ProviderUnavailableError``: the key may well be there at the next fetch.
        """
        if self._fetch is None:
            if self._clock() < self._next_refetch:
                raise ProviderUnavailableError("a token names an unknown key, fetched a moment ago")
            self._next_refetch = self._clock() + self._min_refetch
        try:
            await self._fly()
        except ProviderError as exc:
            raise ProviderUnavailableError("the provider's keys cannot be fetched") from exc

    async def _fly(self) -> None:
        """Join or start the one fetch under way; it outlives a caller that leaves."""
        if self._fetch is None:
            self._fetch = asyncio.create_task(self._fetch_now())
            self._fetch.add_done_callback(self._land)
        await asyncio.shield(self._fetch)

    def _land(self, fetch: asyncio.Task[None]) -> None:
        self._fetch = None
        if not fetch.cancelled():
            fetch.exception()  # every caller may have left: the failure counts as seen

    async def _fetch_now(self) -> None:
        if self._jwks_uri is None:
            raise ProviderUnavailableError("the provider is not discovered yet")
        answer = await self._transport.get(self._jwks_uri, max_bytes=MAX_KEY_SET_BYTES)
        if answer.status != 200:  # noqa: PLR2004 - RFC 9110 §15.3.1
            raise ProviderError(f"the JWK Set answer has status {answer.status}")
        key_set = read_key_set(answer.body)
        for reason in key_set.dropped:
            _log.info("a key of the provider is not used: %s", reason)
        if key_set.thumbprints != self.thumbprints:
            _log.info("the provider's key set holds %d usable keys", len(key_set.thumbprints))
        self._key_set = key_set
        self.thumbprints = key_set.thumbprints
