"""Callers that bring a token of their own (RFC 6750)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from gateway.authentication import Authentication

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.authentication import Principal, Source
    from gateway.authentication.token_carriers import TokenCarriers
    from gateway.oauth.credentials import Challenge
    from gateway.request import Body, RequestHead


class Tokens(Protocol):
    """What knows whose a token is."""

    async def identify(self, token: str, address: Callable[[], str]) -> tuple[Principal, Source]:
        """Return whose it is and how that is known; nobody's raises ``InvalidAccessTokenError``."""
        ...


class BearerAuthenticator:
    """Authenticates callers by the token in their request.

    ``address_of`` tells the address that refused tokens are counted for.
    """

    def __init__(
        self,
        carriers: TokenCarriers,
        tokens: Tokens,
        challenge: Challenge,
        address_of: Callable[[RequestHead], str],
    ) -> None:
        self._carriers = carriers
        self._tokens = tokens
        self._challenge = challenge
        self._address_of = address_of

    @property
    def challenge(self) -> Challenge:
        """What a 401 says about tokens (RFC 6750 §3), or about Basic where it carries them."""
        return self._challenge

    async def authenticate(self, head: RequestHead, body: Body) -> Authentication | None:
        """Return whose token the request carries; a token known already does not suspend."""
        found = await self._carriers.find(head, body)
        if found is None:
            return None
        principal, source = await self._tokens.identify(found.token, lambda: self._address_of(head))
        return Authentication(principal, source, found.target, found.body)
