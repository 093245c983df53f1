"""The userinfo endpoint as a source of more claims (OpenID Connect Core §5.3).

Rule: it adds claims to those of the token and changes none, and it is believed about the token's
own subject only.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.errors import ProviderError
from gateway.oauth.introspection import TokenRefused

if TYPE_CHECKING:
    from gateway.oauth.claims import Claims
    from gateway.provider.client import Provider


class UserInfoRefusedError(Exception):
    """The endpoint does not take the token, by this ``status``; whose fault, the caller knows."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the userinfo endpoint does not take the token ({status})")
        self.status = status


class UserInfo:
    """Asks one provider about the users of access tokens."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def add(self, claims: Claims, access_token: str) -> Claims:
        """Return the claims with those the endpoint adds; no answer raises ``ProviderError``.

        An answer about somebody else raises it too (OpenID Connect Core §5.3.2).
        """
        answer = await self._provider.user_info(access_token)
        if isinstance(answer, TokenRefused):
            raise UserInfoRefusedError(answer.status)
        if answer.get("sub") != claims.sub:
            raise ProviderError("the userinfo answer is about another subject than the token")
        return replace(claims, raw={**answer, **claims.raw}, user_info=answer)
