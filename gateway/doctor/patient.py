"""What the probes look at: one provider, as the gateway would call it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.app.exchange import token_request_plan
from gateway.oauth.client_auth import write_token_request
from gateway.oauth.tokens import TokenErrorResponse, read_token_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.oauth.client_auth import Client
    from gateway.oauth.grants import Grant
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

    ``refused`` is that the client itself is, whatever it asks for.
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

    async def ask(
        self, grant: Grant, client: Client | None = None
    ) -> TokenSet | TokenErrorResponse:
        """Return what the token endpoint says to a request like the gateway's own, sent once."""
        assert self.metadata is not None  # noqa: S101 - the probes before found it
        plan = token_request_plan(self.settings, client or self.client)
        now = self.asked.now()
        request = write_token_request(
            plan.client, grant, plan.extra, metadata=self.metadata, now=now
        )
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
