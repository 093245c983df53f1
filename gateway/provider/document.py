"""The provider's metadata, kept (RFC 8414, OpenID Connect Discovery §4).

Rule: a document that moves an endpoint to another host is not followed while the process runs;
whoever writes the document would otherwise choose where passwords go.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway.errors import ProviderError
from gateway.oauth.metadata import ProviderMetadata, discovery_url, read_metadata
from gateway.provider.counting import counted
from gateway.provider.pauses import grown, shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from gateway.provider.transport import Transport

_log = logging.getLogger(__name__)

MAX_METADATA_BYTES = 256 * 1024
RETRY = 30.0


def find_moved(kept: ProviderMetadata, fetched: ProviderMetadata) -> tuple[str, ...]:
    """Find the endpoints of ``kept`` that ``fetched`` has on another host or port, by name.

    An endpoint that is new or gone has not moved. The issuer may change by its final slash only,
    and a changed issuer is another one (RFC 8414 §3.3).
    """
    before, after = _urls(kept), _urls(fetched)
    moved = (
        name
        for name, url in before.items()
        if name in after and urlsplit(url)[:2] != urlsplit(after[name])[:2]
    )
    return tuple(sorted({*moved, *({"issuer"} if kept.issuer != fetched.issuer else ())}))


def _urls(metadata: ProviderMetadata) -> dict[str, str]:
    """Return every endpoint there is, those of RFC 8705 §5 under names of their own."""
    values = {field.name: getattr(metadata, field.name) for field in dataclasses.fields(metadata)}
    named = {name: url for name, url in values.items() if name.endswith(("_endpoint", "_uri"))}
    aliases = {f"mtls {name}": url for name, url in metadata.mtls_endpoint_aliases.items()}
    return {name: url for name, url in {**named, **aliases}.items() if url is not None}


class RemoteMetadata:
    """The metadata last adopted; ``due`` is when it is to be fetched again.

    ``endpoints`` are the operator's, in place of those of the document.
    """

    def __init__(
        self,
        issuer: str,
        transport: Transport,
        *,
        insecure_allow_http: bool = False,
        endpoint_hosts: Collection[str] = (),
        endpoints: Mapping[str, str] = MappingProxyType({}),
        refresh: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._setting = issuer
        self._transport = transport
        self._insecure_allow_http = insecure_allow_http
        self._endpoint_hosts = endpoint_hosts
        self._endpoints = endpoints
        self._refresh = refresh
        self._clock = clock
        self._failures = 0
        self._warned: ProviderMetadata | None = None
        self.current: ProviderMetadata | None = None
        self.due = -math.inf

    async def load(self) -> ProviderMetadata:
        """Fetch the metadata and return what holds now; failure raises ``ProviderError``."""
        try:
            fetched = await self._fetch()
        except BaseException:
            self._failures += 1
            pause = grown(self._failures) if self.current is None else RETRY
            self.due = self._clock() + pause
            raise
        self._failures = 0
        self.due = self._clock() + shortened(self._refresh)
        self.current = self._adopt(fetched)
        return self.current

    async def _fetch(self) -> ProviderMetadata:
        with counted("discovery"):
            answer = await self._transport.get(
                discovery_url(self._setting), max_bytes=MAX_METADATA_BYTES
            )
            if answer.status != HTTPStatus.OK:
                raise ProviderError(f"the discovery document answer has status {answer.status}")
            metadata = read_metadata(
                answer.body,
                self._setting,
                insecure_allow_http=self._insecure_allow_http,
                endpoint_hosts=self._endpoint_hosts,
            )
        named = self._endpoints
        return dataclasses.replace(
            metadata,
            introspection_endpoint=named.get(
                "introspection_endpoint", metadata.introspection_endpoint
            ),
            userinfo_endpoint=named.get("userinfo_endpoint", metadata.userinfo_endpoint),
            left_out=tuple(name for name in metadata.left_out if name not in named),
        )

    def _adopt(self, fetched: ProviderMetadata) -> ProviderMetadata:
        """Return what holds from now on; the same object as long as nothing has changed."""
        kept = self.current
        if kept is None:
            _log.info("the provider %s is discovered", fetched.issuer)
            for name in fetched.left_out:
                _log.info("the provider's %s is on another host and is not used", name)
            return fetched
        moved = find_moved(kept, fetched)
        if not moved:
            self._warned = None
            if fetched == kept:
                return kept
            _log.info("the metadata of the provider %s has changed", kept.issuer)
            return fetched
        if fetched != self._warned:
            self._warned = fetched
            _log.warning(
                "the provider's metadata moves %s to another host: what was discovered before "
                "stays in use; restart the gateway to follow it",
                ", ".join(moved),
            )
        return kept
