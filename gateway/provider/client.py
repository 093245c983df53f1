"""One OpenID Provider: kept discovered, asked for tokens (OpenID Discovery 1.0, RFC 6749 §3.2).

Rule: a token request is sent once. Nothing here retries a password.
"""

from __future__ import annotations

import asyncio
import logging
import time
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING

from gateway.errors import ProviderError, ProviderUnavailableError
from gateway.oauth.client_auth import write_client_request, write_token_request
from gateway.oauth.grants import Revocation
from gateway.oauth.introspection import (
    MAX_BODY_BYTES,
    Introspection,
    TokenRefused,
    read_introspection,
    read_user_info,
    user_info_headers,
)
from gateway.oauth.tokens import TokenErrorResponse, read_token_response
from gateway.provider.breaker import Breaker
from gateway.provider.calls import Calls
from gateway.provider.counting import watch
from gateway.provider.document import RemoteMetadata
from gateway.provider.keys import RemoteKeySet

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Any

    from gateway.oauth.client_auth import Client
    from gateway.oauth.grants import Grant
    from gateway.oauth.metadata import ProviderMetadata
    from gateway.oauth.tokens import TokenSet
    from gateway.provider.breaker import State
    from gateway.provider.guard import Guard
    from gateway.provider.transport import Transport

    Pairs = Sequence[tuple[str, str]]

_log = logging.getLogger(__name__)

MAX_TOKEN_RESPONSE_BYTES = 256 * 1024
MIN_PAUSE = 0.01


class Provider:
    """One OpenID Provider, with keys, breaker and bounds of its own.

    ``timeout`` is the time for one call, with its wait for a turn; ``refresh`` is how often
    metadata and keys are fetched again.
    """

    def __init__(
        self,
        issuer: str,
        transport: Transport,
        guard: Guard,
        *,
        insecure_allow_http: bool = False,
        endpoint_hosts: Collection[str] = (),
        endpoints: Mapping[str, str] = MappingProxyType({}),
        timeout: float = 5.0,
        refresh: float = 600.0,
        breaker: Breaker | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._setting = issuer
        self._transport = transport
        self._clock = clock
        breaker = Breaker() if breaker is None else breaker
        self._calls = Calls(guard, breaker, timeout=timeout, clock=clock)
        self._document = RemoteMetadata(
            issuer,
            transport,
            insecure_allow_http=insecure_allow_http,
            endpoint_hosts=endpoint_hosts,
            endpoints=endpoints,
            refresh=refresh,
            clock=clock,
        )
        self.keys = RemoteKeySet(transport, refresh=refresh, clock=clock)
        self.attempted = asyncio.Event()
        watch(self)

    @property
    def discovered(self) -> bool:
        """Whether the metadata is known."""
        return self._document.current is not None

    @property
    def breaker_state(self) -> State:
        """Whether calls are made, refused, or tried with a probe."""
        return self._calls.state

    @property
    def key_set_age(self) -> float:
        """The seconds since the keys were fetched, not a number before that."""
        return self.keys.age

    def require_metadata(self) -> ProviderMetadata:
        """Return the metadata; without it or without keys raise ``ProviderUnavailableError``.

        Without keys no token could be verified, so nobody is asked for one.
        """
        metadata = self._document.current
        if metadata is None:
            raise ProviderUnavailableError("the provider is not discovered yet")
        if not self.keys.thumbprints:
            raise ProviderUnavailableError("there are no keys of the provider to verify with")
        return metadata

    async def keep(self) -> None:
        """Discover, load the keys and keep both fresh until cancelled; failures are retried."""
        said = ""
        while True:
            try:
                if await self.discover():
                    said = ""
            except ProviderError as exc:
                if str(exc) != said:  # once per cause, not once per try
                    said = str(exc)
                    _log.warning("the provider %s does not answer well: %s", self._setting, said)
            except Exception:  # noqa: BLE001 - a fault of ours must not end the refreshing unseen
                _log.exception("refreshing what is known of %s failed", self._setting)
            self.keys.give_up_stale()
            self.attempted.set()
            await asyncio.sleep(max(self._due() - self._clock(), MIN_PAUSE))

    def _due(self) -> float:
        """Return when something is to be fetched next; keys cannot be before it is known where."""
        if self._document.current is None:
            return self._document.due
        return min(self._document.due, self.keys.due)

    async def discover(self) -> bool:
        """Fetch what is due, metadata and keys; failure raises ``ProviderError``.

        Return whether anything was due. Keys are fetched even when the metadata cannot be, if it
        is known where they are.
        """
        failure: ProviderError | None = None
        was_due = self._due() <= self._clock()
        if self._document.due <= self._clock():
            try:
                await self._document.load()
            except ProviderError as exc:
                failure = exc
        metadata = self._document.current
        if metadata is not None and self.keys.due <= self._clock():
            await self.keys.load(metadata.jwks_uri)
        if failure is not None:
            raise failure
        return was_due

    async def exchange(
        self, client: Client, grant: Grant, extra: Pairs = (), *, headers: Pairs = ()
    ) -> TokenSet | TokenErrorResponse:
        """Return what the token endpoint says to ``grant``; nonsense raises ``ProviderError``.

        ``extra`` are more parameters of the request, ``headers`` more header fields of it.
        """
        metadata = self.require_metadata()
        name = dict(grant.form())["grant_type"].rpartition(":")[2]
        async with self._calls.begin("token", name) as call:
            request = write_token_request(client, grant, extra, metadata=metadata, now=time.time())
            answer = await self._transport.post(
                request.url,
                (*request.headers, *headers),
                request.body,
                max_bytes=MAX_TOKEN_RESPONSE_BYTES,
                within=call.within,
            )
            call.slow_down = answer.slow_down
            read = read_token_response(
                status=answer.status,
                content_type=answer.content_type,
                body=answer.body,
                now=time.time(),
                retry_after=answer.retry_after,
            )
            call.refused = isinstance(read, TokenErrorResponse)
        return read

    async def introspect(self, client: Client, token: str) -> Mapping[str, Any] | None:
        """Return what the provider says about a token, None if it is not active (RFC 7662 §2).

        A refusal of the gateway and nonsense raise ``ProviderError``.
        """
        request = write_client_request(
            client,
            "introspection_endpoint",
            Introspection(token).form(),
            metadata=self.require_metadata(),
            now=time.time(),
        )
        async with self._calls.begin("introspection") as call:
            answer = await self._transport.post(
                request.url,
                request.headers,
                request.body,
                max_bytes=MAX_BODY_BYTES,
                within=call.within,
            )
            call.slow_down = answer.slow_down
            read = read_introspection(
                status=answer.status,
                content_type=answer.content_type,
                body=answer.body,
                retry_after=answer.retry_after,
            )
            call.refused = read is None
        return read

    async def user_info(self, access_token: str) -> Mapping[str, Any] | TokenRefused:
        """Return what the provider says about a token's user (OpenID Connect Core §5.3)."""
        url = self.require_metadata().userinfo_endpoint
        if url is None:
            raise ProviderError("the provider has no usable userinfo_endpoint")
        headers = user_info_headers(access_token)
        async with self._calls.begin("userinfo") as call:
            answer = await self._transport.get(
                url, headers, max_bytes=MAX_BODY_BYTES, within=call.within
            )
            call.slow_down = answer.slow_down
            read = read_user_info(
                status=answer.status,
                content_type=answer.content_type,
                body=answer.body,
                retry_after=answer.retry_after,
            )
            call.refused = isinstance(read, TokenRefused)
        return read

    async def revoke(self, client: Client, refresh_token: str) -> None:
        """End the session behind a refresh token (RFC 7009 §2) or raise ``ProviderError``."""
        request = write_client_request(
            client,
            "revocation_endpoint",
            Revocation(refresh_token).form(),
            metadata=self.require_metadata(),
            now=time.time(),
        )
        async with self._calls.begin("revocation", learn=False) as call:
            answer = await self._transport.post(
                request.url,
                request.headers,
                request.body,
                max_bytes=MAX_TOKEN_RESPONSE_BYTES,
                within=call.within,
            )
            if answer.status != HTTPStatus.OK:  # RFC 7009 §2.2
                raise ProviderError(f"the revocation answer has status {answer.status}")
