"""Credentials → grant → token set → claims: the exchange this gateway exists for (RFC 6749 §4).

Rule: what a provider's error means depends on the stage, so only this module gives it a meaning:
``invalid_client`` is the caller's fault where the caller's pair is the client, and ours elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gateway.authentication import Authentication, Principal, Source
from gateway.authentication.grant_choice import GRANT_OF_MODE, GrantChoice, Mode
from gateway.errors import InvalidCredentialsError, ProviderError
from gateway.oauth.claims import (
    Expectation,
    InvalidTokenError,
    OpaqueTokenError,
    UnknownKeyError,
    Verified,
    verify,
)
from gateway.oauth.client_auth import Client, choose_auth_method
from gateway.oauth.grants import ClientCredentialsGrant, Grant, PasswordGrant
from gateway.oauth.tokens import TokenErrorResponse, TokenSet

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.authentication.carriers import Carriers
    from gateway.oauth.credentials import Challenge, Credentials
    from gateway.oauth.metadata import ProviderMetadata
    from gateway.provider.client import Provider
    from gateway.request import Body, RequestHead
    from gateway.token_cache.memory import MemoryCache
    from gateway.token_cache.redis import RedisTokenCache
    from gateway.token_cache.sealing import Deriver, SealingKeys

_log = logging.getLogger(__name__)

# RFC 6749 §5.2: the errors that blame the credentials the caller sent.
_CALLERS_FAULT = {
    "password": frozenset({"invalid_grant"}),
    "client_credentials": frozenset({"invalid_grant", "invalid_client", "unauthorized_client"}),
}


@dataclass(frozen=True, slots=True)
class TokenRequestPlan:
    """What the gateway puts into its token requests (RFC 6749 §4.3.2, §4.4.2)."""

    client_id: str
    client_secret: str = field(repr=False)
    token_endpoint_auth_method: str | None
    scopes: str
    client_credentials_scopes: str
    extra: tuple[tuple[str, str], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long things are kept, in seconds."""

    ttl_max: float
    ttl_neg: float
    margin: float
    leeway: float


@dataclass(frozen=True, slots=True)
class Caches:
    """The caches of one worker: principals and refusals in memory, token sets in Redis."""

    keys: SealingKeys
    principals: MemoryCache[Principal]
    refusals: MemoryCache[bool]
    token_sets: RedisTokenCache | None


class ExchangeAuthenticator:
    """Authenticates callers by exchanging their credentials at the provider's token endpoint."""

    def __init__(
        self,
        provider: Provider,
        *,
        carriers: Carriers,
        choice: GrantChoice,
        plan: TokenRequestPlan,
        caches: Caches,
        lifetimes: Lifetimes,
        challenge: Challenge,
        pseudonym: Callable[[str], str],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._provider = provider
        self._carriers = carriers
        self._choice = choice
        self._plan = plan
        self._caches = caches
        self._lifetimes = lifetimes
        self._challenge = challenge
        self._pseudonym = pseudonym
        self._now = now
        self._metadata: ProviderMetadata | None = None
        self._deriver: Deriver | None = None
        self._flights: dict[bytes, asyncio.Task[tuple[Principal, Source]]] = {}

    @property
    def challenge(self) -> Challenge:
        """What a 401 says about Basic credentials (RFC 7617 §2)."""
        return self._challenge

    async def authenticate(self, head: RequestHead, body: Body) -> Authentication | None:
        """Return who is calling; a memory hit completes without suspending."""
        found = await self._carriers.find(head, body)
        if found is None:
            return None
        mode = self._choice.decide(found.credentials)
        key = self._key(mode, found.credentials)
        principal = self._caches.principals.find(key, self._now())
        source = Source.MEMORY
        if principal is None or principal.thumbprint not in self._provider.keys.thumbprints:
            principal, source = await self._obtain(key, mode, found.credentials)
        return Authentication(principal, source, found.target, found.body)

    def _key(self, mode: Mode, credentials: Credentials) -> bytes:
        metadata = self._provider.require_metadata()
        if metadata is not self._metadata or self._deriver is None:
            self._metadata = metadata
            self._deriver = self._derive(metadata)
        return self._deriver.key(mode, credentials.identifier, credentials.secret)

    def _derive(self, metadata: ProviderMetadata) -> Deriver:
        plan = self._plan
        return self._caches.keys.deriver(
            issuer=metadata.issuer,
            token_endpoint=metadata.token_endpoint,
            client_id=plan.client_id,
            scope=plan.scopes,
            audience="",
            extra=(("client_credentials_scopes", plan.client_credentials_scopes), *plan.extra),
        )

    async def _obtain(
        self, key: bytes, mode: Mode, credentials: Credentials
    ) -> tuple[Principal, Source]:
        """Join or start the one flight for this credential; it outlives a caller that leaves."""
        if self._caches.refusals.find(key, self._now()):
            raise self._refusal(credentials, "refused by the provider a moment ago")
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(self._fly(key, mode, credentials))
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._land(key, done))
        return await asyncio.shield(flight)

    def _land(self, key: bytes, flight: asyncio.Task[tuple[Principal, Source]]) -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # every caller may have left: the failure counts as seen

    async def _fly(
        self, key: bytes, mode: Mode, credentials: Credentials
    ) -> tuple[Principal, Source]:
        principal = await self._find_stored(key, mode, credentials)
        if principal is not None:
            return principal, Source.REDIS
        grant, token_set = await self._exchange(key, mode, credentials)
        now = self._now()
        principal = await self._verify(grant, token_set, credentials, now)
        stored = replace(token_set, refresh_token=None, id_token=None)
        until = self._keep(key, principal, now)
        if until is not None and self._caches.token_sets is not None:
            value = grant.encode() + b"\n" + stored.write()
            await self._caches.token_sets.store(key, value, until, now)
        return principal, Source.PROVIDER

    async def _find_stored(
        self, key: bytes, mode: Mode, credentials: Credentials
    ) -> Principal | None:
        """Return the principal of a stored token set, verified again: the store is not trusted."""
        if self._caches.token_sets is None or self._deriver is None:
            return None
        older = self._deriver.older_keys(mode, credentials.identifier, credentials.secret)
        now = self._now()
        opened = await self._caches.token_sets.find((key, *older), now)
        if opened is None:
            return None
        grant, _, data = opened.plaintext.partition(b"\n")
        try:
            token_set = TokenSet.read(data)
            principal = await self._verify(grant.decode("ascii"), token_set, credentials, now)
        except (ProviderError, ValueError):
            _log.warning("a stored token set is unusable and counts as a miss")
            return None
        self._keep(key, principal, now, opened.expires_at)
        return principal

    async def _exchange(
        self, key: bytes, mode: Mode, credentials: Credentials
    ) -> tuple[str, TokenSet]:
        """Return the grant that worked and its token set; each grant is tried at most once."""
        answer: TokenSet | TokenErrorResponse | None = None
        for grant in GRANT_OF_MODE[mode]:
            answer = await self._ask(grant, credentials)
            if isinstance(answer, TokenSet):
                return grant, answer
            self._require_callers_fault(grant, answer)
        self._caches.refusals.store(key, True, self._now() + self._lifetimes.ttl_neg, len(key))
        raise self._refusal(credentials, "refused by the provider")

    async def _ask(self, grant: str, credentials: Credentials) -> TokenSet | TokenErrorResponse:
        plan = self._plan
        supported = self._provider.require_metadata().token_endpoint_auth_methods_supported
        method = choose_auth_method(plan.token_endpoint_auth_method, supported)
        request: Grant
        if grant == "password":
            client = Client(plan.client_id, plan.client_secret, method)
            request = PasswordGrant(credentials.identifier, credentials.secret, plan.scopes)
        else:
            client = Client(credentials.identifier, credentials.secret, method)
            request = ClientCredentialsGrant(plan.client_credentials_scopes)
        return await self._provider.exchange(client, request, plan.extra)

    @staticmethod
    def _require_callers_fault(grant: str, answer: TokenErrorResponse) -> None:
        if answer.error not in _CALLERS_FAULT[grant]:
            raise ProviderError(
                f"the provider refused the gateway's {grant} request: "
                f"{answer.error} ({answer.error_description})"
            )

    async def _verify(
        self, grant: str, token_set: TokenSet, credentials: Credentials, now: float
    ) -> Principal:
        client_id = self._plan.client_id if grant == "password" else credentials.identifier
        verified = await self._verify_token(token_set.access_token, client_id, now)
        expires_at = verified.claims.exp
        if token_set.expires_at is not None:
            expires_at = min(expires_at, token_set.expires_at)
        return Principal(
            claims=verified.claims,
            access_token=token_set.access_token,
            expires_at=expires_at,
            thumbprint=verified.thumbprint,
            grant=grant,
            user=self._pseudonym(credentials.identifier),
        )

    async def _verify_token(self, access_token: str, client_id: str, now: float) -> Verified:
        keys = self._provider.keys
        expectation = Expectation(
            issuer=self._provider.require_metadata().issuer,
            client_id=client_id,
            leeway=self._lifetimes.leeway,
        )
        try:
            try:
                return verify(access_token, keys.current, expectation, now)
            except UnknownKeyError:
                await keys.refetch()
                return verify(access_token, keys.current, expectation, now)
        except OpaqueTokenError as exc:
            raise ProviderError(
                "the provider's access token is opaque, not a JWT: introspection is not supported"
            ) from exc
        except InvalidTokenError as exc:
            raise ProviderError(f"the provider's access token does not verify: {exc}") from exc

    def _keep(
        self, key: bytes, principal: Principal, now: float, latest: float = math.inf
    ) -> float | None:
        """Keep the principal in memory; return until when, ``None`` for not at all.

        ``latest`` is when the login behind it has to be renewed, wherever it was kept before.
        """
        lifetimes = self._lifetimes
        until = min(principal.expires_at - lifetimes.margin, now + lifetimes.ttl_max, latest)
        if until <= now:
            return None
        self._caches.principals.store(key, principal, until, 2 * len(principal.access_token))
        return until

    def _refusal(self, credentials: Credentials, reason: str) -> InvalidCredentialsError:
        return InvalidCredentialsError(reason, user=self._pseudonym(credentials.identifier))
