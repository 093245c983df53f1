"""The one door to the provider's HTTP: bounded in time and size, and it never follows a redirect.

Rule: aiohttp's exceptions end here. Their texts hold URLs and header fields, so none is logged.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import aiohttp
from yarl import URL

from gateway.errors import (
    ConfigurationError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# Shorter than the idle timeout of common servers (Node: 5 s): a request on a connection that the
# provider is just closing would fail a login, and a login is never sent twice.
_KEEPALIVE = 4.0
# A provider may ask for a long pause; callers are told at most this much, in seconds.
MAX_RETRY_AFTER = 60


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer of the provider."""

    status: int
    content_type: str
    body: bytes = field(repr=False)
    retry_after: int | None


class Transport:
    """Sends requests to the provider; every failure is a ``ProviderError`` or a subclass."""

    def __init__(
        self, *, timeout: float, connect_timeout: float, ca_file: Path | None = None
    ) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=_tls_context(ca_file), limit=0, keepalive_timeout=_KEEPALIVE
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=connect_timeout),
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            auto_decompress=False,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def get(self, url: str, *, max_bytes: int) -> Answer:
        """Return the answer to a GET of at most ``max_bytes``."""
        return await self._send("GET", url, (), None, max_bytes)

    async def post(
        self, url: str, headers: Iterable[tuple[str, str]], body: bytes, *, max_bytes: int
    ) -> Answer:
        """Return the answer to one POST, which is never sent twice, of at most ``max_bytes``."""
        return await self._send("POST", url, headers, body, max_bytes)

    async def _send(
        self,
        method: str,
        url: str,
        headers: Iterable[tuple[str, str]],
        body: bytes | None,
        max_bytes: int,
    ) -> Answer:
        # Each failure is raised from None: aiohttp's exceptions carry the request's header fields.
        try:
            async with self._session.request(
                method, URL(url, encoded=True), headers=headers, data=body, allow_redirects=False
            ) as response:
                return Answer(
                    response.status,
                    response.headers.get("Content-Type", ""),
                    await _read(response, max_bytes),
                    _read_retry_after(response.headers.get("Retry-After")),
                )
        except TimeoutError:
            raise ProviderTimeoutError("the provider did not answer in time") from None
        except aiohttp.ClientSSLError:
            raise ProviderUnavailableError("TLS with the provider failed") from None
        except (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError):
            raise ProviderUnavailableError("the provider cannot be reached") from None
        except (aiohttp.ClientOSError, aiohttp.ClientPayloadError):
            raise ProviderUnavailableError("the provider dropped the connection") from None
        except aiohttp.ClientError as exc:
            cause = type(exc).__name__
            raise ProviderError(f"the provider does not speak HTTP ({cause})") from None


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    parts = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > max_bytes:
            response.close()
            raise ProviderError(f"the provider's answer is over {max_bytes} bytes")
        parts.append(part)
    return b"".join(parts)


def _read_retry_after(value: str | None) -> int | None:
    """Return the seconds of a ``Retry-After``, capped; dates are not read (RFC 9110 §10.2.3)."""
    if value is None or not value.isascii() or not value.isdigit():
        return None
    return min(int(value[:9]), MAX_RETRY_AFTER)


def _tls_context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as exc:
        raise ConfigurationError(f"{ca_file} holds no usable CA certificates") from exc
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
