"""Token set → principal: nothing of a token is used before it verifies (RFC 7519 §7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.authentication import Principal
from gateway.errors import InvalidAccessTokenError, ProviderError
from gateway.oauth.claims import (
    Expectation,
    InvalidTokenError,
    OpaqueTokenError,
    UnknownKeyError,
    Verified,
    verify,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.oauth.claims import Claims
    from gateway.oauth.tokens import TokenSet
    from gateway.provider.client import Provider


def name_of(claims: Claims) -> str:
    """Return the name a user logs in with, where the token tells it, else the subject."""
    name = claims.raw.get("preferred_username")
    return name if isinstance(name, str) and name else claims.sub


class Verifier:
    """Verifies what one provider issued; ``leeway`` is in seconds."""

    def __init__(
        self, provider: Provider, *, leeway: float, pseudonym: Callable[[str], str]
    ) -> None:
        self._provider = provider
        self._leeway = leeway
        self._pseudonym = pseudonym

    async def verify(
        self, token_set: TokenSet, *, grant: str, client_id: str, identifier: str, now: float
    ) -> Principal:
        """Return the principal of a token set issued to ``client_id``.

        A token that does not verify raises ``ProviderError``: the provider gave it.
        """
        try:
            verified = await self._verify(token_set.access_token, client_id, now)
        except OpaqueTokenError as exc:
            raise ProviderError(
                "the provider's access token is opaque, not a JWT: introspection is not supported"
            ) from exc
        except InvalidTokenError as exc:
            raise ProviderError(f"the provider's access token does not verify: {exc}") from exc
        expires_at = verified.claims.exp
        if token_set.expires_at is not None:
            expires_at = min(expires_at, token_set.expires_at)
        return Principal(
            claims=verified.claims,
            access_token=token_set.access_token,
            expires_at=expires_at,
            thumbprint=verified.thumbprint,
            grant=grant,
            user=self._pseudonym(identifier),
        )

    async def verify_callers(self, access_token: str, now: float) -> Principal:
        """Return the principal of a token a caller sent, which may be any client's.

        A token that does not verify raises ``InvalidAccessTokenError``.
        """
        try:
            verified = await self._verify(access_token, None, now)
        except InvalidTokenError as exc:
            raise InvalidAccessTokenError(f"the caller's token does not verify: {exc}") from exc
        return Principal(
            claims=verified.claims,
            access_token=access_token,
            expires_at=verified.claims.exp,
            thumbprint=verified.thumbprint,
            grant="bearer",
            user=self._pseudonym(name_of(verified.claims)),
        )

    async def _verify(self, access_token: str, client_id: str | None, now: float) -> Verified:
        keys = self._provider.keys
        issuer = self._provider.require_metadata().issuer
        expectation = Expectation(issuer=issuer, client_id=client_id, leeway=self._leeway)
        try:
            return verify(access_token, keys.current, expectation, now)
        except UnknownKeyError as exc:
            await keys.refetch(exc.kid, for_caller=client_id is None)
            return verify(access_token, keys.current, expectation, now)
