"""Token set → principal: nothing of a token is used before it verifies (RFC 7519 §7.2)."""

from __future__ import annotations

import json
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

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
from gateway.oauth.id_token import verify_id_token

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.authentication.introspection import Introspector
    from gateway.authentication.user_info import UserInfo
    from gateway.oauth.claims import Claims
    from gateway.oauth.id_token import IDToken
    from gateway.oauth.key_set import KeySet
    from gateway.oauth.tokens import TokenSet
    from gateway.provider.client import Provider

    _Verify = Callable[[str, str | None, float], Awaitable[Verified]]

T = TypeVar("T")


def name_of(claims: Claims) -> str:
    """Return the name a user logs in with, where the token tells it, else the subject."""
    name = claims.raw.get("preferred_username")
    return name if isinstance(name, str) and name else claims.sub


def names_of(claims: Claims) -> tuple[str, ...]:
    """Return every name a user is purged by who brought a token in place of a name."""
    return tuple(sorted({claims.sub, name_of(claims)}))


def weight_of(principal: Principal) -> int:
    """Return what a principal weighs in memory, in bytes: its tokens, and what is said of it."""
    claims, id_token = principal.claims, principal.id_token
    said = (claims.raw, claims.user_info) if claims.user_info else (claims.raw,)
    tokens = 2 * len(principal.access_token) + (2 * len(id_token.text) if id_token else 0)
    return tokens + sum(len(json.dumps(each)) for each in said)


class Verifier:
    """Verifies what one provider issued; ``leeway`` is in seconds.

    ``introspector`` is asked about tokens that say nothing themselves, ``user_info`` for more
    claims of users. ID tokens are left aside without ``id_tokens``.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        leeway: float,
        pseudonym: Callable[[str], str],
        introspector: Introspector | None = None,
        user_info: UserInfo | None = None,
        id_tokens: bool = False,
    ) -> None:
        self._provider = provider
        self._leeway = leeway
        self._pseudonym = pseudonym
        self._introspector = introspector
        self._user_info = user_info
        self._id_tokens = id_tokens

    async def verify(
        self, token_set: TokenSet, *, grant: str, client_id: str, identifier: str, now: float
    ) -> Principal:
        """Return the principal of a token set issued to ``client_id``.

        An empty ``identifier`` is not known before the token tells a name. A token that does not
        verify raises ``ProviderError``: the provider gave it.
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
        id_token = await self._id_token(token_set, verified.claims.sub, client_id, now)
        ends = [verified.claims.exp, token_set.expires_at]
        ends += [id_token.expires_at] if id_token is not None else []
        return Principal(
            claims=verified.claims,
            access_token=access_token,
            expires_at=min(each for each in ends if each is not None),
            thumbprint=verified.thumbprint,
            grant=grant,
            user=self._pseudonym(identifier or name_of(verified.claims)),
            id_token=id_token,
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
            if exc.status == HTTPStatus.FORBIDDEN:  # RFC 6750 §3.1: it lacks the scope openid
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
        expectation = self._expectation(client_id)
        return await self._with_keys(
            lambda keys: verify(access_token, keys, expectation, now),
            for_caller=client_id is None,
        )

    async def _id_token(
        self, token_set: TokenSet, subject: str, client_id: str, now: float
    ) -> IDToken | None:
        """Return the ID token of a token set where it is wanted and there is one."""
        text = token_set.id_token
        if text is None or not self._id_tokens:
            return None
        expectation, access_token = self._expectation(client_id), token_set.access_token
        try:
            return await self._with_keys(
                lambda keys: verify_id_token(
                    text, keys, expectation, now, access_token=access_token, subject=subject
                )
            )
        except InvalidTokenError as exc:
            raise ProviderError(f"the provider's ID token does not verify: {exc}") from exc

    async def _with_keys(self, check: Callable[[KeySet], T], *, for_caller: bool = False) -> T:
        """Return what ``check`` does; it is asked again if the keys lack the one it needs."""
        keys = self._provider.keys
        try:
            return check(keys.current)
        except UnknownKeyError as exc:
            await keys.refetch(exc.kid, for_caller=for_caller)
            return check(keys.current)

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
