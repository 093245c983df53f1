"""Refresh tokens that callers bring: whose one is, found out by redeeming it (RFC 6749 §6).

Rule: a caller sends the same refresh token all the time, and a provider that rotates takes each
once. So there is one redemption at a time of whatever came of it, for whichever route.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.authentication import Source
from gateway.authentication.attempts import network_of
from gateway.authentication.redemption import GRANT, Redemption
from gateway.errors import InvalidAccessTokenError, TooManyAttemptsError
from gateway.metrics import MEMORY_HIT, MEMORY_MISS, NEGATIVE_HITS

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.authentication import Principal
    from gateway.authentication.entries import Entries
    from gateway.authentication.flights import Flights
    from gateway.authentication.redemption import Redeemer
    from gateway.authentication.token_requests import TokenRequestPlan
    from gateway.oauth.metadata import ProviderMetadata
    from gateway.provider.client import Provider
    from gateway.token_cache.sealing import Deriver, SealingKeys


@dataclass(frozen=True, slots=True)
class Redeemed:
    """Whose refresh token it was, and the key of what it was redeemed for."""

    key: bytes = field(repr=False)
    principal: Principal
    source: Source


class RefreshTokens:
    """Finds out whose a refresh token is, as ``plan`` says.

    ``flights`` are those of all routes: a chain has one, whatever it is redeemed for.
    """

    def __init__(
        self,
        provider: Provider,
        entries: Entries,
        redeemer: Redeemer,
        flights: Flights[Redeemed],
        *,
        keys: SealingKeys,
        plan: TokenRequestPlan,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._provider = provider
        self._entries = entries
        self._redeemer = redeemer
        self._flights = flights
        self._keys = keys
        self._plan = plan
        self._now = now
        self._metadata: ProviderMetadata | None = None
        self._derivers: tuple[Deriver, Deriver] | None = None

    async def identify(self, token: str, address: Callable[[], str]) -> tuple[Principal, Source]:
        """Return whose refresh token this is and how that is known; nobody's raises an error.

        The principal's access token is what it was redeemed for. ``address`` is asked for the
        caller's when the refresh token is not known yet.
        """
        key = self._derive()[0].key(GRANT, "", token)
        principal = self._recall(key)
        if principal is not None:
            MEMORY_HIT.inc()
            return principal, Source.MEMORY
        MEMORY_MISS.inc()
        if self._redeemer.refused(key):
            NEGATIVE_HITS.inc()
            raise InvalidAccessTokenError("refused by the provider a moment ago")
        return await self._obtain(self._redemption(token, address()))

    async def aclose(self) -> None:
        """Wait for what is under way: with an answer nobody reads a session is lost."""
        await self._flights.finished()

    def _recall(self, key: bytes) -> Principal | None:
        """Return who is known by this key, if what verified the tokens is still the provider's."""
        entry = self._entries.find(key, self._now())
        if entry is None:
            return None
        principal, id_token = entry.principal, entry.principal.id_token
        verified_by = {principal.thumbprint, id_token.thumbprint if id_token else ""}
        # Empty where the provider was asked.
        stands = verified_by - {""} <= self._provider.keys.thumbprints
        return principal if stands else None

    async def _obtain(self, asked: Redemption) -> tuple[Principal, Source]:
        while True:
            try:
                redeemed = await self._flights.join(asked.turn, lambda: self._fly(asked))
            except TooManyAttemptsError as error:
                if error.network == network_of(asked.peer):
                    raise
                continue  # it is about the address of who came first: ask in this caller's name
            if redeemed.key == asked.keys[0]:
                return redeemed.principal, redeemed.source
            # It was redeemed for a route that asks for other tokens, or keeps them otherwise.
            principal = self._recall(asked.keys[0])
            if principal is not None:
                return principal, Source.MEMORY

    async def _fly(self, asked: Redemption) -> Redeemed:
        entry, source = await self._redeemer.redeem(asked)
        return Redeemed(asked.keys[0], entry.principal, source)

    def _redemption(self, token: str, peer: str) -> Redemption:
        tokens, chains = (
            (deriver.key(GRANT, "", token), *deriver.older_keys(GRANT, "", token))
            for deriver in self._derive()
        )
        return Redemption(token, tokens, chains, peer)

    def _derive(self) -> tuple[Deriver, Deriver]:
        """Return what makes the keys of tokens and of chains, anew when the metadata changed.

        A chain is one client's at one provider, whatever else routes keep apart.
        """
        metadata = self._provider.require_metadata()
        if metadata is not self._metadata or self._derivers is None:
            plan, self._metadata = self._plan, metadata
            self._derivers = (
                self._deriver(metadata, (("kept", "tokens"), *plan.kept_for, *plan.extra)),
                self._deriver(metadata, (("kept", "chains"),)),
            )
        return self._derivers

    def _deriver(self, metadata: ProviderMetadata, extra: tuple[tuple[str, str], ...]) -> Deriver:
        return self._keys.deriver(
            issuer=metadata.issuer,
            token_endpoint=metadata.token_endpoint,
            client_id=self._plan.client.client_id,
            scope="",
            audience="",
            extra=extra,
        )
