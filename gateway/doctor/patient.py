"""What the probes look at: one provider, as the gateway would call it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.app.exchange import token_request_plan
from gateway.errors import ProviderError
from gateway.oauth.client_auth import write_client_request, write_token_request
from gateway.oauth.grants import TokenExchangeGrant
from gateway.oauth.introspection import (
    Introspection,
    read_introspection,
    read_user_info,
    user_info_headers,
)
from gateway.oauth.tokens import TokenErrorResponse, read_token_response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from gateway.oauth.client_auth import Client
    from gateway.oauth.grants import Grant
    from gateway.oauth.introspection import TokenRefused
    from gateway.oauth.key_set import KeySet
    from gateway.oauth.metadata import ProviderMetadata
    from gateway.oauth.tokens import TokenSet
    from gateway.provider.transport import Transport
    from gateway.settings import Settings

MAX_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class Asked:
    """What the operator gave ``doctor`` beside the configuration; ``now`` is its clock."""

    now: Callable[[], float] = field(repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    admin_token: str = field(default="", repr=False)


@dataclass(slots=True)
class Patient:
    """A provider with the settings for it, and what the probes have learned so far.

    ``refused`` is that the client itself is, whatever it asks for; ``claims`` are what is known
    of whom a token of each grant is about.
    """

    settings: Settings = field(repr=False)
    transport: Transport = field(repr=False)
    client: Client
    asked: Asked
    metadata: ProviderMetadata | None = None
    key_set: KeySet | None = None
    clock_compared: bool = False
    refused: bool = False
    tokens: dict[str, TokenSet] = field(default_factory=dict, repr=False)
    claims: dict[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)

    def judged_by(self, settings: Settings) -> Patient:
        """Return the same, with the settings of another route that logs in in the same way."""
        return dataclasses.replace(self, settings=settings, claims=dict(self.claims))

    async def introspect(self, token: str) -> Mapping[str, Any] | None:
        """Return what the provider tells about a token, None if that is not active."""
        assert self.metadata is not None  # noqa: S101 - the probes before found it
        request = write_client_request(
            self.client,
            "introspection_endpoint",
            Introspection(token).form(),
            metadata=self.metadata,
            now=self.asked.now(),
        )
        answer = await self.transport.post(
            request.url, request.headers, request.body, max_bytes=MAX_BYTES
        )
        return read_introspection(
            status=answer.status,
            content_type=answer.content_type,
            body=answer.body,
            retry_after=answer.retry_after,
        )

    async def user_info(self, access_token: str) -> Mapping[str, Any] | TokenRefused:
        """Return what the userinfo endpoint says to a request like the gateway's own."""
        url = None if self.metadata is None else self.metadata.userinfo_endpoint
        if url is None:
            raise ProviderError("the provider names no userinfo_endpoint")
        answer = await self.transport.get(url, user_info_headers(access_token), max_bytes=MAX_BYTES)
        return read_user_info(
            status=answer.status,
            content_type=answer.content_type,
            body=answer.body,
            retry_after=answer.retry_after,
        )

    async def ask(
        self, grant: Grant, client: Client | None = None
    ) -> TokenSet | TokenErrorResponse:
        """Return what the token endpoint says to a request like the gateway's own, sent once."""
        assert self.metadata is not None  # noqa: S101 - the probes before found it
        plan = token_request_plan(self.settings, client or self.client)
        extra = () if isinstance(grant, TokenExchangeGrant) else plan.extra
        now = self.asked.now()
        request = write_token_request(plan.client, grant, extra, metadata=self.metadata, now=now)
        answer = await self.transport.post(
            request.url, request.headers, request.body, max_bytes=MAX_BYTES
        )
        return read_token_response(
            status=answer.status,
            content_type=answer.content_type,
            body=answer.body,
            now=now,
            retry_after=answer.retry_after,
        )

    def otherwise(self) -> tuple[Client, ...]:
        """Return the same client authenticating in the other ways it has what it takes for."""
        used = self.client.token_endpoint_auth_method
        plain = dataclasses.replace(self.client, token_endpoint_auth_method=None)
        return tuple(
            dataclasses.replace(self.client, token_endpoint_auth_method=method)
            for method in plain.able
            if method != used
        )
