"""The provider's JWK Set, kept (RFC 7517).

Rule: no caller can make this fetch more than once in ``min_refetch`` seconds, and a failed fetch
never replaces keys that work. Keys nobody could confirm for ``max_stale`` seconds are given up.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from gateway.errors import ProviderError, ProviderUnavailableError
from gateway.oauth.key_set import KeySet, read_key_set
from gateway.provider.counting import counted
from gateway.provider.pauses import grown, lengthened, shortened

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.provider.transport import Transport

_log = logging.getLogger(__name__)

MAX_KEY_SET_BYTES = 512 * 1024
MAX_ABSENT = 64


class RemoteKeySet:
    """The key set last fetched; empty until the first fetch.

    ``due`` is when the next fetch is to be made without anybody asking for it.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        refresh: float = 600.0,
        min_refetch: float = 30.0,
        max_stale: float = 86_400.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self._refresh = refresh
        self._min_refetch = min_refetch
        self._max_stale = max_stale
        self._clock = clock
        self._next_refetch = -math.inf
        self._next_for_caller = -math.inf
        self._absent: dict[str, float] = {}
        self._failures = 0
        self._fetched_at = math.nan
        self._jwks_uri: str | None = None
        self._key_set: KeySet | None = None
        self._fetch: asyncio.Task[None] | None = None
        self.thumbprints: frozenset[str] = frozenset()
        self.due = -math.inf

    @property
    def loaded(self) -> bool:
        """Whether there are keys to verify with."""
        return self._key_set is not None

    @property
    def current(self) -> KeySet:
        """The keys to verify with; none raises ``ProviderUnavailableError``."""
        if self._key_set is None:
            raise ProviderUnavailableError("there are no keys of the provider to verify with")
        return self._key_set

    @property
    def age(self) -> float:
        """The seconds since the keys were fetched, not a number before that."""
        return self._clock() - self._fetched_at

    async def load(self, jwks_uri: str) -> None:
        """Fetch the keys now; failure raises ``ProviderError`` and leaves the old keys in use."""
        self._jwks_uri = jwks_uri
        await self._fly()

    async def refetch(self, kid: str | None = None, *, for_caller: bool = False) -> None:
        """Fetch again because a token names an unknown key, at most once in ``min_refetch``.

        Too soon raises ``ProviderUnavailableError``: the key may well be there at the next fetch.
        A ``kid`` that was not there a moment ago fetches nothing. Tokens of callers have a turn of
        their own, so that nobody who makes them up keeps the provider's own from being verified.
        """
        if kid is not None and self._absent.get(kid, -math.inf) > self._clock():
            return
        if self._fetch is not None:
            await self._fly_for_caller()
            # What was under way may have been answered before the key was published.
            if kid is None or kid in self.current:
                return
        self._take_turn(for_caller=for_caller)
        await self._fly_for_caller()
        if kid is not None and kid not in self.current:
            self._remember_absent(kid)

    def give_up_stale(self) -> None:
        """Use the keys no longer once they are too old: nobody can tell whether they still hold."""
        if self._key_set is not None and self.age > self._max_stale:
            _log.error(
                "the provider's keys could not be fetched for %.1f hours and are not used any more",
                self.age / 3600,
            )
            self._key_set = None
            self.thumbprints = frozenset()

    def _take_turn(self, *, for_caller: bool) -> None:
        now = self._clock()
        due = self._next_for_caller if for_caller else self._next_refetch
        if now < due:
            raise ProviderUnavailableError(
                "a token names an unknown key, and the keys were fetched a moment ago",
                math.ceil(due - now),
            )
        if for_caller:
            self._next_for_caller = now + self._min_refetch
        else:
            self._next_refetch = now + self._min_refetch

    def _remember_absent(self, kid: str) -> None:
        self._absent.pop(kid, None)
        while len(self._absent) >= MAX_ABSENT:
            del self._absent[next(iter(self._absent))]
        self._absent[kid] = self._clock() + 2 * self._min_refetch

    async def _fly_for_caller(self) -> None:
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
        self.due = math.inf  # nothing falls due while a fetch is under way
        try:
            with counted("jwks"):
                key_set, max_age = await self._ask(self._jwks_uri)
        except BaseException:
            self._plan_retry()
            raise
        self._plan_refresh(max_age)
        self._take_over(key_set)

    async def _ask(self, jwks_uri: str) -> tuple[KeySet, int | None]:
        """Return the key set and how long the provider says it is good."""
        answer = await self._transport.get(jwks_uri, max_bytes=MAX_KEY_SET_BYTES)
        if answer.status != HTTPStatus.OK:
            raise ProviderError(f"the JWK Set answer has status {answer.status}")
        return read_key_set(answer.body), answer.max_age

    def _take_over(self, key_set: KeySet) -> None:
        if self._key_set is None or key_set.dropped != self._key_set.dropped:
            for reason in key_set.dropped:
                _log.info("a key of the provider is not used: %s", reason)
        if key_set.thumbprints != self.thumbprints:
            _log.info("the provider's key set holds %d usable keys", len(key_set.thumbprints))
        self._key_set = key_set
        self.thumbprints = key_set.thumbprints

    def _plan_refresh(self, max_age: int | None) -> None:
        """Plan the next fetch: the provider may have it sooner, and never later (RFC 9111 §5.2)."""
        self._failures = 0
        self._fetched_at = self._clock()
        pause = self._refresh if max_age is None else min(self._refresh, max_age)
        pause = max(shortened(pause), min(self._min_refetch, self._refresh))
        self.due = self._fetched_at + pause

    def _plan_retry(self) -> None:
        """Plan the next try: soon while there are no keys, else as if a caller had asked."""
        self._failures += 1
        now = self._clock()
        if self._key_set is None:
            self.due = now + grown(self._failures)
            return
        self.due = now + lengthened(self._min_refetch)
        self._next_refetch = max(self._next_refetch, now + self._min_refetch)
        self._next_for_caller = max(self._next_for_caller, now + self._min_refetch)
