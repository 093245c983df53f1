"""What happens when memory does not know the credentials: Redis, another replica, the provider.

Rule: the provider is asked at most once for a crowd with one credential, on this worker and on
every other that shares Redis; its answer, also a failure, is everybody's.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from gateway.authentication import Source
from gateway.authentication.attempts import network_of, one_spelling
from gateway.authentication.entries import Outcome
from gateway.authentication.flights import Flights
from gateway.authentication.landing import (
    NOT_STORED,
    RETRY,
    STORED,
    lead,
    read_failure,
)
from gateway.errors import InvalidCredentialsError, TooManyAttemptsError
from gateway.metrics import FLIGHTS_JOINED, NEGATIVE_HITS

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.authentication.attempts import AttemptsLimiter
    from gateway.authentication.entries import Entries, Entry
    from gateway.authentication.refusals import Refusals
    from gateway.authentication.token_requests import Exchange, TokenRequests
    from gateway.errors import GatewayError
    from gateway.token_cache.ledger import Ticket
    from gateway.token_cache.lock import SharedFlights

_clock = time.monotonic
_JOINED = FLIGHTS_JOINED.labels("replica")


class ColdPath:
    """Obtains entries that are not in memory."""

    def __init__(
        self,
        entries: Entries,
        requests: TokenRequests,
        *,
        refusals: Refusals,
        attempts: AttemptsLimiter,
        shared: SharedFlights | None,
        pseudonym: Callable[[str], str],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._entries = entries
        self._requests = requests
        self._refusals = refusals
        self._attempts = attempts
        self._shared = shared
        self._pseudonym = pseudonym
        self._now = now
        self._flights: Flights[tuple[Entry, Source]] = Flights()

    async def obtain(self, exchange: Exchange) -> tuple[Entry, Source]:
        """Return the entry of these credentials, or raise why there is none."""
        if self._refusals.find(exchange.key, self._now()):
            NEGATIVE_HITS.inc()
            await self._refusals.linger(exchange.mode)
            raise self._refusal(exchange, "refused by the provider a moment ago")
        began = _clock()
        while True:
            joined = exchange.key in self._flights
            try:
                return await self._flights.join(exchange.key, lambda: self._fly(exchange))
            except InvalidCredentialsError:
                if joined:  # it shows nobody that another had begun before
                    await self._refusals.linger(exchange.mode, _clock() - began)
                raise
            except TooManyAttemptsError as error:
                if error.network == network_of(exchange.peer):
                    raise
                # It is about the leader's address: fly in this caller's own name.

    async def aclose(self) -> None:
        """End the flights under way."""
        await self._flights.aclose()

    async def _fly(self, exchange: Exchange) -> tuple[Entry, Source]:
        ticket = self._entries.ticket(exchange.identifier)
        entry, ticket = await self._find_stored(exchange, ticket)
        if entry is not None:
            return entry, Source.REDIS
        if self._shared is None:
            return (await self._exchange(exchange, ticket))[0], Source.PROVIDER
        return await self._fly_with_others(exchange, ticket, self._shared)

    async def _fly_with_others(
        self, exchange: Exchange, ticket: Ticket, shared: SharedFlights
    ) -> tuple[Entry, Source]:
        began = _clock()
        while True:
            lease = await shared.lead(exchange.key, ticket)
            if lease is not None:
                find = partial(self._find_stored, exchange, ticket)
                return await lead(lease, find, partial(self._exchange, exchange))
            outcome = await shared.wait(exchange.key, ticket)
            if outcome in (None, RETRY):  # the leader is gone or gave up: take its place
                continue
            _JOINED.inc()
            if outcome == NOT_STORED:
                return (await self._exchange(exchange, ticket))[0], Source.PROVIDER
            if outcome != STORED:
                raise await self._told(exchange, outcome, _clock() - began)
            entry, ticket = await self._find_stored(exchange, ticket)
            if entry is not None:
                return entry, Source.REDIS

    async def _find_stored(self, exchange: Exchange, ticket: Ticket) -> tuple[Entry | None, Ticket]:
        keys = (exchange.key, *exchange.older_keys)
        return await self._entries.find_stored(keys, exchange.identifier, ticket, self._now())

    async def _exchange(self, exchange: Exchange, ticket: Ticket) -> tuple[Entry, bool]:
        """Ask the provider, once, under the limit of refused attempts.

        Return the entry, and whether other replicas can find it.
        """
        user = self._pseudonym(one_spelling(exchange.identifier)).encode("ascii")
        try:
            await self._attempts.admit(user, exchange.peer)
        except TooManyAttemptsError as error:
            error.user = self._pseudonym(exchange.identifier)
            error.network = network_of(exchange.peer)
            raise
        settle, began = self._attempts.abandoned, _clock()

        def refused() -> None:
            nonlocal settle
            settle = self._attempts.refused

        try:
            grant, token_set = await self._requests.exchange(exchange, refused)
            settle = self._attempts.succeeded
        except InvalidCredentialsError as error:
            self._refusals.took(exchange.mode, _clock() - began)
            raise self._remember(exchange, str(error)) from error
        finally:
            settle(user, exchange.peer)
        now = self._now()
        outcome = Outcome(grant, token_set, now)
        return await self._entries.keep(exchange.key, exchange.identifier, outcome, ticket, now)

    async def _told(self, exchange: Exchange, outcome: bytes, waited: float) -> GatewayError:
        """Return the failure another replica met, as this replica's own."""
        error = read_failure(outcome)
        if isinstance(error, InvalidCredentialsError):
            await self._refusals.linger(exchange.mode, waited)
            return self._remember(exchange, str(error))
        return error

    def _remember(self, exchange: Exchange, reason: str) -> InvalidCredentialsError:
        owners = self._entries.ticket(exchange.identifier).owners
        self._refusals.remember(exchange.key, owners, self._now())
        return self._refusal(exchange, reason)

    def _refusal(self, exchange: Exchange, reason: str) -> InvalidCredentialsError:
        user = self._pseudonym(exchange.identifier)
        return InvalidCredentialsError(reason, user=user)
