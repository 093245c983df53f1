"""Token set → principal: nothing of a token is used before it verifies (RFC 7519 §7.2)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.authentication import Principal
from gateway.authentication.user_info import UserInfoRefusedError
from gateway.errors import AuthorizationError, InvalidAccessTokenError, ProviderError
from gateway.oauth.claims import (
    Expectation,
    InvalidTokenError,
    OpaqueTokenError,
    UnknownKeyError,
    Verified,
    verify,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.authentication.introspection import Introspector
    from gateway.authentication.user_info import UserInfo
    from gateway.oauth.claims import Claims
    from gateway.oauth.tokens import TokenSet
    from gateway.provider.client import Provider

    _Verify = Callable[[str, str | None, float], Awaitable[Verified]]


def name_of(claims: Claims) -> str:
    """Return the name a user logs in with, where the token tells it, else the subject."""
    name = claims.raw.get("preferred_username")
    return name if isinstance(name, str) and name else claims.sub


def weight_of(principal: Principal) -> int:
    """Return what a principal weighs in memory, in bytes: its token, and what was said about it."""
    claims = principal.claims
    said = (claims.raw, claims.user_info) if claims.user_info else (claims.raw,)
    return 2 * len(principal.access_token) + sum(len(json.dumps(each)) for each in said)


class Verifier:
    """Verifies what one provider issued; ``leeway`` is in seconds.

    ``introspector`` is asked about tokens that say nothing themselves, ``user_info`` for more
    claims of users.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        leeway: float,
        pseudonym: Callable[[str], str],
        introspector: Introspector | None = None,
        user_info: UserInfo | None = None,
    ) -> None:
        self._provider = provider
        self._leeway = leeway
        self._pseudonym = pseudonym
        self._introspector = introspector
        self._user_info = user_info

    async def verify(
        self, token_set: TokenSet, *, grant: str, client_id: str, identifier: str, now: float
    ) -> Principal:
        """Return the principal of a token set issued to ``client_id``.

        A token that does not verify raises ``ProviderError``: the provider gave it.
        """
        access_token = token_set.access_token
        try:
            verified = await self._verify_or_ask(access_token, client_id, now)
            if grant != "client_credentials":  # a client is nobody's user
                verified = await self._with_user_info(verified, access_token)
        except UserInfoRefusedError as exc:
            raise ProviderError(f"{exc}: it may lack the scope openid") from exc
        except InvalidTokenError as exc:
            raise ProviderError(f"the provider's access token does not verify: {exc}") from exc
        expires_at = verified.claims.exp
        if token_set.expires_at is not None:
            expires_at = min(expires_at, token_set.expires_at)
        return Principal(
            claims=verified.claims,
            access_token=access_token,
            expires_at=expires_at,
            thumbprint=verified.thumbprint,
            grant=grant,
            user=self._pseudonym(identifier),
        )

    async def verify_callers(self, access_token: str, now: float) -> Principal:
        """Return the principal of a JWT a caller sent, which may be any client's.

        A token that does not verify raises ``InvalidAccessTokenError``.
        """
        return await self._identify("bearer", self._verify, access_token, now)

    async def introspect_callers(self, access_token: str, now: float) -> Principal:
        """Return the principal of a token a caller sent, as the provider tells it.

        A token that is not active, or for others, raises ``InvalidAccessTokenError``.
        """
        return await self._identify("introspection", self._ask, access_token, now)

    async def _identify(
        self, grant: str, verify: _Verify, access_token: str, now: float
    ) -> Principal:
        try:
            verified = await verify(access_token, None, now)
            verified = await self._with_user_info(verified, access_token)
        except UserInfoRefusedError as exc:
            if exc.status == 403:  # noqa: PLR2004 - RFC 6750 §3.1: it lacks the scope openid
                raise AuthorizationError("the caller may not do this", cause=str(exc)) from exc
            raise InvalidAccessTokenError(str(exc)) from exc
        except InvalidTokenError as exc:
            raise InvalidAccessTokenError(f"the caller's token does not verify: {exc}") from exc
        return Principal(
            claims=verified.claims,
            access_token=access_token,
            expires_at=verified.claims.exp,
            thumbprint=verified.thumbprint,
            grant=grant,
            user=self._pseudonym(name_of(verified.claims)),
        )

    async def _verify_or_ask(self, access_token: str, client_id: str, now: float) -> Verified:
        try:
            return await self._verify(access_token, client_id, now)
        except OpaqueTokenError as exc:
            missing = "CLIENT_ID" if self._introspector is None else "an introspection_endpoint"
            metadata = self._provider.require_metadata()
            if self._introspector is None or metadata.introspection_endpoint is None:
                raise ProviderError(
                    f"the provider's access token is opaque, and without {missing} it cannot be "
                    "asked about"
                ) from exc
        return await self._ask(access_token, client_id, now)

    async def _verify(self, access_token: str, client_id: str | None, now: float) -> Verified:
        keys = self._provider.keys
        expectation = self._expectation(client_id)
        try:
            return verify(access_token, keys.current, expectation, now)
        except UnknownKeyError as exc:
            await keys.refetch(exc.kid, for_caller=client_id is None)
            return verify(access_token, keys.current, expectation, now)

    async def _ask(self, access_token: str, client_id: str | None, now: float) -> Verified:
        if self._introspector is None:
            raise InvalidTokenError("there is nobody to ask about it")
        return await self._introspector.ask(access_token, self._expectation(client_id), now)

    async def _with_user_info(self, verified: Verified, access_token: str) -> Verified:
        if self._user_info is None:
            return verified
        return replace(verified, claims=await self._user_info.add(verified.claims, access_token))

    def _expectation(self, client_id: str | None) -> Expectation:
        issuer = self._provider.require_metadata().issuer
        return Expectation(issuer=issuer, client_id=client_id, leeway=self._leeway)
