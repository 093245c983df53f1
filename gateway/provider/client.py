"""The provider's metadata and its token endpoint (RFC 8414, OpenID Discovery 1.0, RFC 6749 §3.2).

Rule: a token request is sent once. Nothing here retries a password.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING

from gateway.errors import ProviderError, ProviderUnavailableError
from gateway.oauth.client_auth import Client, write_token_request
from gateway.oauth.metadata import ProviderMetadata, discovery_url, read_metadata
from gateway.oauth.tokens import TokenErrorResponse, TokenSet, read_token_response
from gateway.provider.keys import RemoteKeySet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.oauth.grants import Grant
    from gateway.provider.guard import Guard
    from gateway.provider.transport import Transport

_log = logging.getLogger(__name__)

MAX_METADATA_BYTES = 256 * 1024
MAX_TOKEN_RESPONSE_BYTES = 256 * 1024


class Provider:
    """One OpenID Provider: discovered in the background, asked for tokens on demand."""

    def __init__(
        self,
        issuer: str,
        transport: Transport,
        guard: Guard,
        *,
        insecure_allow_http: bool = False,
        refresh: float = 600.0,
        retry: float = 1.0,
    ) -> None:
        self._setting = issuer
        self._transport = transport
        self._guard = guard
        self._insecure_allow_http = insecure_allow_http
        self._refresh = refresh
        self._retry = retry
        self._metadata: ProviderMetadata | None = None
        self.keys = RemoteKeySet(transport)
        self.attempted = asyncio.Event()

    @property
    def discovered(self) -> bool:
        """Whether the metadata is known."""
        return self._metadata is not None

    def require_metadata(self) -> ProviderMetadata:
        """Return the metadata; before discovery it raises ``ProviderUnavailableError``."""
        if self._metadata is None:
            raise ProviderUnavailableError("the provider is not discovered yet")
        return self._metadata

    async def keep(self) -> None:
        """Discover, load the keys and keep them fresh until cancelled; failures are retried."""
        said = ""
        while True:
            try:
                await self.discover()
                pause, said = self._refresh, ""
            except ProviderError as exc:
                pause = self._retry
                if str(exc) != said:  # once per cause, not once per try
                    said = str(exc)
                    _log.warning("the provider %s does not answer well: %s", self._setting, said)
            self.attempted.set()
            # Jitter, so that many workers do not ask in step.
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - not a secret

    async def discover(self) -> None:
        """Fetch the metadata if it is not known, and the keys; failure raises ``ProviderError``."""
        if self._metadata is None:
            answer = await self._transport.get(
                discovery_url(self._setting), max_bytes=MAX_METADATA_BYTES
            )
            if answer.status != 200:  # noqa: PLR2004 - RFC 9110 §15.3.1
                raise ProviderError(f"the discovery document answer has status {answer.status}")
            metadata = read_metadata(
                answer.body,
                self._setting,
                insecure_allow_http=self._insecure_allow_http,
            )
            await self.keys.load(metadata.jwks_uri)
            self._metadata = metadata
            _log.info("the provider %s is discovered", metadata.issuer)
        else:
            await self.keys.load(self._metadata.jwks_uri)

    async def exchange(
        self, client: Client, grant: Grant, extra: Sequence[tuple[str, str]] = ()
    ) -> TokenSet | TokenErrorResponse:
        """Return what the token endpoint says to ``grant``; nonsense raises ``ProviderError``."""
        endpoint = self.require_metadata().token_endpoint
        request = write_token_request(client, grant, extra)
        async with self._guard.turn():
            answer = await self._transport.post(
                endpoint, request.headers, request.body, max_bytes=MAX_TOKEN_RESPONSE_BYTES
            )
        return read_token_response(
            status=answer.status,
            content_type=answer.content_type,
            body=answer.body,
            now=time.time(),
            retry_after=answer.retry_after,
        )
