"""What the gateway asks the token endpoint for, and what its refusals mean (RFC 6749 §4, §5.2).

Rule: what a provider's error means depends on the stage, so only this module gives it a meaning:
``invalid_client`` is the caller's fault where the caller's pair is the client, and ours elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING

from gateway.authentication.grant_choice import GRANT_OF_MODE
from gateway.errors import InvalidCredentialsError, ProviderError
from gateway.oauth.grants import ClientCredentialsGrant, Grant, PasswordGrant, RefreshTokenGrant
from gateway.oauth.tokens import TokenErrorResponse, TokenSet

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.authentication.grant_choice import GrantType, Mode
    from gateway.oauth.client_auth import Client
    from gateway.oauth.credentials import Credentials
    from gateway.provider.client import Provider

# RFC 6749 §5.2: the errors that blame the credentials the caller sent.
_CALLERS_FAULT: dict[str, frozenset[str]] = {
    "password": frozenset({"invalid_grant"}),
    "client_credentials": frozenset({"invalid_grant", "invalid_client", "unauthorized_client"}),
}

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class TokenRequestPlan:
    """What the gateway puts into its token requests (RFC 6749 §4.3.2, §4.4.2).

    With ``tells_address`` a login says for which address it is made; ``kept_for`` is what else
    tells apart the results that are kept.
    """

    client: Client
    scopes: str
    client_credentials_scopes: str
    extra: Pairs = field(repr=False)
    tells_address: bool = False
    kept_for: Pairs = ()


@dataclass(frozen=True, slots=True)
class Exchange:
    """One exchange to be made: credentials, what they are tried as, and the key of its result.

    ``copied`` are fields taken over from the caller's request, ``peer`` is the caller's address.
    """

    key: bytes = field(repr=False)
    older_keys: tuple[bytes, ...] = field(repr=False)
    mode: Mode
    credentials: Credentials
    copied: Pairs = field(repr=False)
    peer: str

    @property
    def identifier(self) -> str:
        """The user name or client id."""
        return self.credentials.identifier


class TokenRequests:
    """Asks one provider's token endpoint as ``plan`` says; each question is asked once."""

    def __init__(self, provider: Provider, plan: TokenRequestPlan) -> None:
        self._provider = provider
        self._plan = plan

    async def exchange(
        self, exchange: Exchange, on_refused: Callable[[], None]
    ) -> tuple[GrantType, TokenSet]:
        """Return the grant that worked and its token set; each grant is tried at most once.

        Credentials that no grant takes raise ``InvalidCredentialsError``; a refusal that is not
        the caller's fault raises ``ProviderError``. ``on_refused`` is called for each refusal that
        is, whatever comes after it.
        """
        for grant in GRANT_OF_MODE[exchange.mode]:
            answer = await self._ask(grant, exchange)
            if isinstance(answer, TokenSet):
                return grant, answer
            if answer.error not in _CALLERS_FAULT[grant]:
                raise _refused_us(grant, answer)
            on_refused()
        raise InvalidCredentialsError("refused by the provider")

    async def renew(self, refresh_token: str) -> TokenSet | TokenErrorResponse:
        """Return what the provider gives the gateway's client for a refresh token (RFC 6749 §6).

        ``invalid_grant`` is a value: the session has ended. Other refusals raise
        ``ProviderError``.
        """
        answer = await self._provider.exchange(
            self._plan.client, RefreshTokenGrant(refresh_token), self._plan.extra
        )
        if isinstance(answer, TokenErrorResponse) and answer.error != "invalid_grant":
            raise _refused_us("refresh_token", answer)
        return answer

    def client_id(self, grant: str, identifier: str) -> str:
        """Return the client a token of this grant is issued to."""
        return identifier if grant == "client_credentials" else self._plan.client.client_id

    async def revoke(self, refresh_token: str) -> None:
        """End the session behind a refresh token of a password grant (RFC 7009 §2.1).

        A provider that cannot or does not raises ``ProviderError``.
        """
        await self._provider.revoke(self._plan.client, refresh_token)

    async def _ask(self, grant: GrantType, exchange: Exchange) -> TokenSet | TokenErrorResponse:
        copied = dict(exchange.copied)
        ours = (pair for pair in self._plan.extra if pair[0] not in copied)
        scope = copied.pop("scope", None)
        extra = (*ours, *copied.items())
        identifier, secret = exchange.credentials.identifier, exchange.credentials.secret
        request: Grant
        if grant == "password":
            client = self._plan.client
            request = PasswordGrant(
                identifier, secret, self._plan.scopes if scope is None else scope
            )
        else:
            client = self._plan.client.of_caller(identifier, secret)
            scopes = self._plan.client_credentials_scopes
            request = ClientCredentialsGrant(scopes if scope is None else scope)
        return await self._provider.exchange(
            client, request, extra, headers=self._fields_of(exchange)
        )

    def _fields_of(self, exchange: Exchange) -> Pairs:
        """Return the header field that tells the caller's address, if it is to be told."""
        try:
            address = ip_address(exchange.peer)
        except ValueError:  # a name, or the end of a Unix socket
            return ()
        return (("X-Forwarded-For", str(address)),) if self._plan.tells_address else ()


def _refused_us(grant: str, answer: TokenErrorResponse) -> ProviderError:
    return ProviderError(
        f"the provider refused the gateway's {grant} request: "
        f"{answer.error} ({answer.error_description})"
    )
