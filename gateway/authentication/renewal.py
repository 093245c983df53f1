"""Renew, do not exchange again: entries in use are renewed with their refresh token (RFC 6749 §6).

Rule: a renewal happens in the background and before it is needed; one that fails leaves the entry
as it is and is tried again while it lives, and the next request after its end exchanges the
credentials again.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.authentication.entries import Entry, Outcome
from gateway.authentication.landing import RETRY, STORED
from gateway.errors import GatewayError
from gateway.metrics import RENEWALS
from gateway.oauth.tokens import TokenErrorResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.authentication.entries import Entries
    from gateway.authentication.token_requests import TokenRequests
    from gateway.oauth.tokens import TokenSet
    from gateway.token_cache.ledger import Ticket
    from gateway.token_cache.lock import SharedFlights

_log = logging.getLogger(__name__)

# A renewal is due when this much of the entry's life is over: late enough to be worth it, early
# enough to finish, and spread so that entries made together are not renewed together.
DUE = (0.6, 0.85)
# A renewal that would prolong an entry by less than this part of its life is not made.
WORTH_IT = 0.25
# Of a renewal that failed another try is made if the entry lives on for so many seconds.
LEAST_LIFE = 5.0
MAX_RENEWALS = 16


class Renewer:
    """Renews the entries of one worker; ``shared`` keeps replicas from renewing the same one."""

    def __init__(
        self,
        entries: Entries,
        requests: TokenRequests,
        *,
        shared: SharedFlights | None,
        ttl_max: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._entries = entries
        self._requests = requests
        self._shared = shared
        self._ttl_max = ttl_max
        self._now = now
        self._due: list[tuple[float, bytes]] = []
        self._planned: dict[bytes, float] = {}  # when each key is due: a later plan wins
        self._news = asyncio.Event()
        self._turns = asyncio.Semaphore(MAX_RENEWALS)
        entries.when_renewable(self.watch)

    def watch(self, key: bytes, entry: Entry, now: float) -> None:
        """Renew this entry in time, if it is used until then and may live on after that."""
        gain = entry.exchanged_at + self._ttl_max - entry.until
        if gain < WORTH_IT * (entry.until - now):
            return  # it ends, or nearly, because its credentials have to be proved again
        due = now + (entry.until - now) * random.uniform(*DUE)  # noqa: S311 - not a secret
        self._planned[key] = due
        heapq.heappush(self._due, (due, key))
        self._news.set()

    async def run(self) -> None:
        """Renew what is due until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._wait()
                for key in self._take_due():
                    entry = self._entries.find(key, self._now())
                    if entry is not None and entry.used and entry.refresh_token is not None:
                        tasks.create_task(self._renew_in_turn(key, entry, entry.refresh_token))

    def _take_due(self) -> Iterator[bytes]:
        """Yield each key that is due, once."""
        while self._due and self._due[0][0] <= self._now():
            due, key = heapq.heappop(self._due)
            if self._planned.get(key) == due:
                del self._planned[key]
                yield key

    async def _wait(self) -> None:
        """Wait until the first entry is due or another comes first."""
        self._news.clear()
        pause = self._due[0][0] - self._now() if self._due else None
        try:
            async with asyncio.timeout(pause):
                await self._news.wait()
        except TimeoutError:
            return

    async def _renew_in_turn(self, key: bytes, entry: Entry, refresh_token: str) -> None:
        async with self._turns:
            outcome = "failed"
            try:
                outcome = await self._renew(key, entry, refresh_token)
            except GatewayError as error:
                _log.info("a token was not renewed: %s", error)
            except Exception:  # noqa: BLE001 - a fault of ours must not end all renewals unseen
                _log.exception("a token was not renewed")
            finally:
                if outcome == "failed":
                    self._try_again(key, entry)
                RENEWALS.labels(outcome).inc()

    def _try_again(self, key: bytes, entry: Entry) -> None:
        """Plan the renewal again that failed, unless another entry came or little time is left."""
        now = self._now()
        kept = self._entries.find(key, now)
        same = kept is not None and kept.principal.access_token == entry.principal.access_token
        if kept is not None and same and kept.until - now >= LEAST_LIFE:
            kept.used = True  # read from Redis again it may be a new one, as if nobody had used it
            self.watch(key, kept, now)

    async def _renew(self, key: bytes, entry: Entry, refresh_token: str) -> str:
        ticket = self._entries.ticket(entry.identifier)
        if self._shared is None:
            return (await self._ask(key, entry, refresh_token, ticket))[0]
        lease = await self._shared.lead(key, ticket)
        if lease is None:
            await self._shared.wait(key, ticket)
            adopted, _ = await self._adopt(key, entry, ticket)
            return "adopted" if adopted else "failed"
        told = RETRY
        try:
            adopted, ticket = await self._adopt(key, entry, ticket)
            if adopted:
                told = STORED
                return "adopted"
            outcome, stored = await self._ask(key, entry, refresh_token, ticket)
            told = STORED if stored else RETRY
            return outcome
        finally:
            await lease.land(told)

    async def _adopt(self, key: bytes, entry: Entry, ticket: Ticket) -> tuple[bool, Ticket]:
        """Take over what another replica renewed, with the refresh token that came of it."""
        stored, ticket = await self._entries.find_stored(
            (key,), entry.identifier, ticket, self._now()
        )
        # Not by its end: tokens issued within one second may end at the same time.
        theirs = None if stored is None else stored.principal.access_token
        return theirs not in (None, entry.principal.access_token), ticket

    async def _ask(
        self, key: bytes, entry: Entry, refresh_token: str, ticket: Ticket
    ) -> tuple[str, bool]:
        """Ask the provider; return what came of it, and whether other replicas can find it."""
        answer = await self._requests.renew(refresh_token)
        if isinstance(answer, TokenErrorResponse) or _lacks_id_token(answer, entry):
            kept = self._entries.find(key, self._now()) or entry
            kept.refresh_token = None
            return "refused", False
        # A provider that does not rotate leaves the refresh token out (RFC 6749 §6).
        token_set = replace(answer, refresh_token=answer.refresh_token or refresh_token)
        outcome = Outcome(entry.principal.grant, token_set, entry.exchanged_at)
        _, stored = await self._entries.keep(key, entry.identifier, outcome, ticket, self._now())
        return "ok", stored


def _lacks_id_token(answer: TokenSet, entry: Entry) -> bool:
    """Tell whether a renewal would leave upstreams an ID token that is not of the access token.

    OpenID Connect Core §12.2 leaves it to the provider whether there is a new one.
    """
    return entry.principal.id_token is not None and answer.id_token is None
