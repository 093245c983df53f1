"""Redeeming refresh tokens of callers (RFC 6749 §6): one redeems, the others take what came of it.

Rule: what may be spent is not sent again for anybody who waited, and what came instead of it is
kept before the answer is used for anything else.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from gateway.authentication import Source
from gateway.authentication.attempts import network_of
from gateway.authentication.entries import Outcome
from gateway.authentication.landing import (
    NOT_STORED,
    RETRY,
    STORED,
    lead,
    read_failure,
)
from gateway.errors import (
    InvalidAccessTokenError,
    ProviderUnavailableError,
    TooManyAttemptsError,
)
from gateway.metrics import FLIGHTS_JOINED
from gateway.oauth.tokens import TokenErrorResponse, TokenSet
from gateway.token_cache.chains import Successor

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.authentication.attempts import AttemptsLimiter
    from gateway.authentication.entries import Entries, Entry
    from gateway.errors import GatewayError
    from gateway.token_cache.chains import RefreshChains
    from gateway.token_cache.ledger import Ticket
    from gateway.token_cache.lock import Lease, SharedFlights
    from gateway.token_cache.memory import MemoryCache

GRANT = "refresh_token"
_JOINED = FLIGHTS_JOINED.labels("replica")


@dataclass(frozen=True, slots=True)
class Redemption:
    """A refresh token to be redeemed, where its tokens and its chain are kept, newest key first.

    ``peer`` is the caller's address.
    """

    refresh_token: str = field(repr=False)
    keys: tuple[bytes, ...] = field(repr=False)
    chain: tuple[bytes, ...] = field(repr=False)
    peer: str

    @property
    def turn(self) -> bytes:
        """What stands for the chain's turn, the same in whatever order the secrets are."""
        return min(self.chain)


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of refresh tokens, and for how many seconds: chains after their last use.

    ``shared`` is what the replicas do together, ``None`` where there are no others.
    """

    chains: RefreshChains
    refusals: MemoryCache[bool]
    shared: SharedFlights | None
    chains_for: float
    refusals_for: float


class Redeemer:
    """Redeems refresh tokens; ``attempts`` counts those that the provider refused."""

    def __init__(
        self,
        entries: Entries,
        kept: Kept,
        attempts: AttemptsLimiter,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._entries = entries
        self._kept = kept
        self._attempts = attempts
        self._now = now

    def refused(self, key: bytes) -> bool:
        """Tell whether the refresh token of this key was refused a moment ago."""
        return self._kept.refusals.find(key, self._now()) is not None

    async def redeem(self, asked: Redemption) -> tuple[Entry, Source]:
        """Return the entry of a refresh token; one nobody takes raises an error.

        To be called for one redemption of a chain at a time.
        """
        ticket = self._entries.ticket("")
        entry, ticket = await self._find_stored(asked, ticket)
        if entry is not None:
            return entry, Source.REDIS
        if self._kept.shared is None:
            return (await self._ask(asked, ticket))[0], Source.PROVIDER
        return await self._redeem_with_others(asked, ticket, self._kept.shared)

    async def _redeem_with_others(
        self, asked: Redemption, ticket: Ticket, shared: SharedFlights
    ) -> tuple[Entry, Source]:
        while True:
            # No ticket: before a purge or after it, only one may spend the token.
            lease = await shared.lead(asked.turn)
            if lease is not None:
                find = partial(self._find_as_leader, asked, ticket, lease)
                return await lead(lease, find, partial(self._ask, asked))
            outcome = await shared.wait(asked.turn)
            entry, ticket = await self._find_stored(asked, ticket)
            if entry is not None:
                _JOINED.inc()
                return entry, Source.REDIS
            if outcome is None:  # it may be spent already, so nobody who waited sends it again
                raise ProviderUnavailableError("no replica says what came of the refresh token")
            if outcome not in (STORED, NOT_STORED, RETRY):
                _JOINED.inc()
                raise self._told(asked, outcome)

    async def _find_as_leader(
        self, asked: Redemption, ticket: Ticket, lease: Lease
    ) -> tuple[Entry | None, Ticket]:
        if not lease.shared:
            raise ProviderUnavailableError("Redis does not say who redeems the refresh token")
        return await self._find_stored(asked, ticket)

    async def _find_stored(self, asked: Redemption, ticket: Ticket) -> tuple[Entry | None, Ticket]:
        return await self._entries.find_stored(asked.keys, "", ticket, self._now())

    async def _ask(self, asked: Redemption, ticket: Ticket) -> tuple[Entry, bool]:
        """Ask the provider, once, under the limit of refused tokens.

        Return the entry, and whether other replicas can find it.
        """
        key = asked.keys[0]
        try:
            await self._attempts.admit(key, asked.peer)
        except TooManyAttemptsError as error:
            error.network = network_of(asked.peer)
            raise
        settle = self._attempts.abandoned
        try:
            token_set = await self._spend(asked)
        except InvalidAccessTokenError:
            settle = self._attempts.refused
            self._remember(key)
            raise
        finally:
            settle(key, asked.peer)
        now = self._now()
        # The session is the caller's, so nothing of the gateway's may renew or end it.
        outcome = Outcome(GRANT, replace(token_set, refresh_token=None), now)
        return await self._entries.keep(key, "", outcome, ticket, now)

    async def _spend(self, asked: Redemption) -> TokenSet:
        """Redeem the newest of the chain and keep what came instead of it."""
        chains = self._kept.chains
        newest = await chains.find(asked.chain, self._now())
        spent = asked.refresh_token if newest is None else newest.refresh_token
        answer = await self._entries.requests.renew(spent)
        if isinstance(answer, TokenErrorResponse):
            raise InvalidAccessTokenError("refused by the provider")
        given = answer.refresh_token or spent  # RFC 6749 §6: it may be left out
        if newest is not None or given != spent:
            number = 0 if newest is None else newest.number
            now = self._now()
            successor = Successor(number + (given != spent), given)
            await chains.store(asked.chain[0], successor, now + self._kept.chains_for, now)
        return answer

    def _told(self, asked: Redemption, outcome: bytes) -> GatewayError:
        """Return the failure another replica met, as this replica's own."""
        error = read_failure(outcome)
        if isinstance(error, InvalidAccessTokenError):
            self._remember(asked.keys[0])
        return error

    def _remember(self, key: bytes) -> None:
        self._kept.refusals.store(key, True, self._now() + self._kept.refusals_for, len(key))
