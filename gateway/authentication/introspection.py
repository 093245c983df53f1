"""Tokens that say nothing themselves: the provider is asked about them (RFC 7662)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.oauth.claims import InvalidTokenError, Verified, read_introspected

if TYPE_CHECKING:
    from gateway.oauth.claims import Expectation
    from gateway.oauth.client_auth import Client
    from gateway.provider.client import Provider


class InactiveTokenError(InvalidTokenError):
    """The provider says that the token is not active: unknown, expired, revoked."""


class Introspector:
    """Asks one provider about tokens, as the gateway's own client."""

    def __init__(self, provider: Provider, client: Client) -> None:
        self._provider = provider
        self._client = client

    async def ask(self, token: str, expectation: Expectation, now: float) -> Verified:
        """Return what the provider says about an active token, by no key of its own.

        An inactive one, and one that is not as expected, raise ``InvalidTokenError``.
        """
        answer = await self._provider.introspect(self._client, token)
        if answer is None:
            raise InactiveTokenError("the provider says that the token is not active")
        return Verified(read_introspected(answer, expectation, now), "")
