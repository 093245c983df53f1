"""The caller's token swapped for one that is made for the upstream (RFC 8693).

Rule: the caller is judged by their own token. What an exchange gives is verified like any token of
the provider and then only sent on.
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gateway.authentication import Authentication, Source
from gateway.authentication.flights import Flights
from gateway.authentication.verification import weight_of
from gateway.errors import AuthorizationError, InvalidAccessTokenError, ProviderError
from gateway.metrics import NEGATIVE_HITS
from gateway.oauth.grants import ACCESS_TOKEN_TYPE, JWT_TYPE, TokenExchangeGrant
from gateway.oauth.tokens import TokenSet

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.authentication import Principal
    from gateway.authentication.verification import Verifier
    from gateway.oauth.client_auth import Client
    from gateway.oauth.tokens import TokenErrorResponse
    from gateway.provider.client import Provider
    from gateway.token_cache.ledger import PurgeLedger
    from gateway.token_cache.memory import MemoryCache

# Which errors blame the subject token, and whether another one may help. RFC 8693 §2.2.2 has
# ``invalid_request`` for whatever is wrong with it, its policy too; all others are about what the
# gateway asks for, or about the gateway.
_SUBJECTS_FAULT = {
    "invalid_grant": True,
    "invalid_token": True,
    "invalid_request": False,
    "access_denied": False,
}
_CALLERS_OWN = frozenset({"bearer", "introspection"})  # grants of tokens that callers bring
_SENT_ON = frozenset({ACCESS_TOKEN_TYPE, JWT_TYPE})


@dataclass(frozen=True, slots=True)
class TokenExchangePlan:
    """What is asked for, as whom, and how long it is kept; times in seconds (RFC 8693 §2.1)."""

    client: Client
    audience: str
    scope: str
    resource: str
    requested_token_type: str
    ttl_max: float
    ttl_neg: float
    margin: float


@dataclass(slots=True)
class Exchanged:
    """What a subject token was exchanged for; ``principal`` is ``subject`` with it."""

    access_token: str = field(repr=False)
    expires_at: float
    thumbprint: str
    subject: Principal
    principal: Principal

    def sent_for(self, subject: Principal) -> Principal:
        """Return the caller with the token to send on; what is known of them may be newer."""
        if subject is not self.subject:
            self.subject, self.principal = (
                subject,
                _with(subject, self.access_token, self.expires_at),
            )
        return self.principal


@dataclass(frozen=True, slots=True)
class KnownExchanges:
    """What this process keeps of exchanges, and of those that were refused."""

    memory: MemoryCache[Exchanged]
    refusals: MemoryCache[bool]
    ledger: PurgeLedger


class TokenExchange:
    """Exchanges callers' tokens as ``plan`` says, each of them once at a time."""

    def __init__(
        self,
        provider: Provider,
        verifier: Verifier,
        plan: TokenExchangePlan,
        known: KnownExchanges,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._provider = provider
        self._verifier = verifier
        self._plan = plan
        self._known = known
        self._now = now
        self._flights: Flights[Exchanged] = Flights()
        self._state = hashlib.blake2b(key=os.urandom(32), digest_size=32)  # no other plan's keys

    async def apply(self, authentication: Authentication) -> Authentication:
        """Return the caller with the token to send on; one that is known does not suspend.

        A subject token that the provider refuses raises ``AuthorizationError``, or
        ``InvalidAccessTokenError`` where the caller can bring another; all else that goes wrong
        raises ``ProviderError``.
        """
        subject, source = authentication.principal, authentication.source
        key = self._key(subject.access_token)
        exchanged = self._known.memory.find(key, self._now())
        if exchanged is None or not self._stands(exchanged):
            self._refuse_known(key, subject)
            exchanged = await self._flights.join(key, lambda: self._fly(key, subject))
            source = Source.PROVIDER
        principal = exchanged.sent_for(subject)
        return Authentication(principal, source, authentication.target, authentication.body)

    async def aclose(self) -> None:
        """End the exchanges under way."""
        await self._flights.aclose()

    def _key(self, subject_token: str) -> bytes:
        state = self._state.copy()
        state.update(subject_token.encode())
        return state.digest()

    def _stands(self, exchanged: Exchanged) -> bool:
        """Tell whether the key that verified the token is still the provider's."""
        verified_by = exchanged.thumbprint  # none where the provider was asked
        return verified_by in self._provider.keys.thumbprints or not verified_by

    def _refuse_known(self, key: bytes, subject: Principal) -> None:
        another_helps = self._known.refusals.find(key, self._now())
        if another_helps is not None:
            NEGATIVE_HITS.inc()
            raise _refused(subject, "a moment ago", another_helps=another_helps)

    async def _fly(self, key: bytes, subject: Principal) -> Exchanged:
        ticket = self._known.ledger.ticket(subject.owners)
        answer = await self._provider.exchange(self._plan.client, self._grant(subject))
        if not isinstance(answer, TokenSet):
            raise self._judge(key, subject, answer)
        exchanged = await self._verify(subject, answer)
        now, plan = self._now(), self._plan
        until = min(exchanged.expires_at - plan.margin, subject.expires_at, now + plan.ttl_max)
        if until > now and self._known.ledger.stands(ticket):
            weight = weight_of(exchanged.principal)
            self._known.memory.store(key, exchanged, until, weight, subject.owners)
        return exchanged

    def _grant(self, subject: Principal) -> TokenExchangeGrant:
        plan = self._plan
        return TokenExchangeGrant(
            subject.access_token,
            audience=plan.audience,
            scope=plan.scope,
            resource=plan.resource,
            requested_token_type=plan.requested_token_type,
        )

    async def _verify(self, subject: Principal, token_set: TokenSet) -> Exchanged:
        """Return what the answer gives; a token not asked for, or not so, raises an error."""
        if token_set.issued_token_type not in _SENT_ON:
            raise ProviderError("the token exchange gave no access token by its issued_token_type")
        given = await self._verifier.verify(
            token_set,
            grant=subject.grant,
            client_id=self._plan.client.client_id,
            identifier=subject.user,
            now=self._now(),
        )
        audience, own = self._plan.audience, subject.claims.raw.get("sub", given.claims.sub)
        if audience and audience not in given.claims.aud:
            raise ProviderError("the exchanged token's aud lacks the audience that was asked for")
        if given.claims.sub != own:
            raise ProviderError("the exchanged token is about another subject")
        return Exchanged(
            given.access_token,
            given.expires_at,
            given.thumbprint,
            subject,
            _with(subject, given.access_token, given.expires_at),
        )

    def _judge(
        self, key: bytes, subject: Principal, answer: TokenErrorResponse
    ) -> AuthorizationError | InvalidAccessTokenError | ProviderError:
        """Return what an error response means; one about the subject token is remembered."""
        said = f"{answer.error} ({answer.error_description})"
        another_helps = _SUBJECTS_FAULT.get(answer.error)
        if another_helps is None:
            return ProviderError(f"the provider refused the gateway's token exchange: {said}")
        until = self._now() + self._plan.ttl_neg
        self._known.refusals.store(key, another_helps, until, len(key), subject.owners)
        return _refused(subject, said, another_helps=another_helps)


def _with(subject: Principal, access_token: str, expires_at: float) -> Principal:
    until = min(subject.expires_at, expires_at)
    return replace(subject, access_token=access_token, expires_at=until)


def _refused(
    subject: Principal, said: str, *, another_helps: bool
) -> AuthorizationError | InvalidAccessTokenError:
    cause = f"the provider refused to exchange the caller's token: {said}"
    if another_helps and subject.grant in _CALLERS_OWN:
        return InvalidAccessTokenError(cause, user=subject.user)
    error = AuthorizationError("the caller may not do this", cause=cause)
    error.user = subject.user
    return error
