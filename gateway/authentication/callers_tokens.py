"""Access tokens that callers bring: checked once, then known in memory by a keyed hash.

Rule: nothing is kept of a token longer than the token itself lives, nor than ``ttl_max``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.authentication import Source
from gateway.authentication.attempts import network_of
from gateway.authentication.flights import Flights
from gateway.authentication.verification import names_of, weight_of
from gateway.errors import InvalidAccessTokenError, TooManyAttemptsError
from gateway.metrics import MEMORY_HIT, MEMORY_MISS, NEGATIVE_HITS
from gateway.oauth.jws import is_compact_jws

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.authentication import Principal
    from gateway.authentication.attempts import AttemptsLimiter
    from gateway.authentication.verification import Verifier
    from gateway.oauth.metadata import ProviderMetadata
    from gateway.provider.client import Provider
    from gateway.token_cache.ledger import PurgeLedger, Ticket
    from gateway.token_cache.memory import MemoryCache
    from gateway.token_cache.sealing import Deriver, SealingKeys


@dataclass(frozen=True, slots=True)
class KnownTokens:
    """What this process keeps of callers' tokens, and for whom; times in seconds."""

    memory: MemoryCache[Principal]
    refusals: MemoryCache[bool]
    ledger: PurgeLedger
    owners: Callable[[str], tuple[bytes, ...]]
    ttl_max: float
    ttl_neg: float


class CallersTokens:
    """Finds out whose a token is: ``verifies`` JWTs here, ``introspects`` the others or all.

    ``kept_for`` tells apart what is kept with other lifetimes; ``attempts`` counts the tokens that
    the provider refused.
    """

    def __init__(
        self,
        provider: Provider,
        verifier: Verifier,
        *,
        keys: SealingKeys,
        known: KnownTokens,
        attempts: AttemptsLimiter,
        kept_for: Sequence[tuple[str, str]] = (),
        verifies: bool = True,
        introspects: bool = False,
        client_id: str = "",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._provider = provider
        self._verifier = verifier
        self._keys = keys
        self._known = known
        self._attempts = attempts
        self._kept_for = kept_for
        self._verifies = verifies
        self._introspects = introspects
        self._client_id = client_id
        self._now = now
        self._flights: Flights[tuple[Principal, Source]] = Flights()
        self._metadata: ProviderMetadata | None = None
        self._deriver: Deriver | None = None

    async def identify(self, token: str, address: Callable[[], str]) -> tuple[Principal, Source]:
        """Return whose token this is and how that is known; nobody's raises an error.

        ``address`` is asked for the caller's when the token is not known yet.
        """
        key = self._derive().key("bearer", "", token)
        principal = self._known.memory.find(key, self._now())
        if principal is not None and (
            principal.thumbprint in self._provider.keys.thumbprints or not principal.thumbprint
        ):
            MEMORY_HIT.inc()
            return principal, Source.MEMORY
        MEMORY_MISS.inc()
        if self._known.refusals.find(key, self._now()):
            NEGATIVE_HITS.inc()
            raise InvalidAccessTokenError("refused by the provider a moment ago")
        peer = address()
        while True:
            try:
                return await self._flights.join(key, lambda: self._fly(key, token, peer))
            except TooManyAttemptsError as error:
                if error.network == network_of(peer):
                    raise
                # It is about the address of who came first: ask in this caller's own name.

    async def aclose(self) -> None:
        """End the checks under way."""
        await self._flights.aclose()

    async def _fly(self, key: bytes, token: str, peer: str) -> tuple[Principal, Source]:
        ticket = self._known.ledger.ticket(())
        if self._verifies and (not self._introspects or is_compact_jws(token)):
            principal = await self._verifier.verify_callers(token, self._now())
            source = Source.TOKEN
        else:
            principal = await self._introspect(key, token, peer)
            source = Source.PROVIDER
        names = names_of(principal.claims)
        owners = tuple(owner for name in names for owner in self._known.owners(name))
        principal = replace(principal, owners=owners)
        self._keep(key, principal, ticket)
        return principal, source

    async def _introspect(self, key: bytes, token: str, peer: str) -> Principal:
        """Ask the provider if the caller's address may, and remember what it refuses."""
        try:
            await self._attempts.admit(key, peer)
        except TooManyAttemptsError as error:
            error.network = network_of(peer)
            raise
        settle = self._attempts.abandoned
        try:
            return await self._verifier.introspect_callers(token, self._now())
        except InvalidAccessTokenError:
            settle = self._attempts.refused
            until = self._now() + self._known.ttl_neg
            self._known.refusals.store(key, True, until, len(key))
            raise
        finally:
            settle(key, peer)

    def _keep(self, key: bytes, principal: Principal, ticket: Ticket) -> None:
        """Keep what was found out, unless its user was purged meanwhile."""
        known, now, owners = self._known, self._now(), principal.owners
        until = min(principal.expires_at, now + known.ttl_max)
        if until > now and known.ledger.stood(ticket, owners):
            known.memory.store(key, principal, until, weight_of(principal), owners)

    def _derive(self) -> Deriver:
        """Return what makes the keys of tokens; made anew when the provider's metadata changed."""
        metadata = self._provider.require_metadata()
        if metadata is not self._metadata or self._deriver is None:
            self._metadata = metadata
            self._deriver = self._keys.deriver(
                issuer=metadata.issuer,
                token_endpoint=metadata.introspection_endpoint or "",
                client_id=self._client_id,
                scope="",
                audience="",
                extra=(
                    *self._kept_for,
                    ("verifies", str(self._verifies)),
                    ("introspects", str(self._introspects)),
                ),
            )
        return self._deriver
