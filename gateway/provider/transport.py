"""The one door to the provider's HTTP: bounded in time and size, and it never follows a redirect.

Rule: aiohttp's exceptions end here. Their texts hold URLs and header fields, so none is logged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Self

import aiohttp
from yarl import URL

from gateway.errors import (
    ConfigurationError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
)
from gateway.provider.client_files import ClientFileError, load_certificate
from gateway.tls import client_context, system_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable
    from pathlib import Path

    from aiohttp.abc import AbstractResolver

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
    max_age: int | None = None
    date: str = ""

    @property
    def slow_down(self) -> int | None:
        """How many seconds the provider wants to be left alone, if it says so (RFC 6585 §4)."""
        return self.retry_after if self.status == HTTPStatus.TOO_MANY_REQUESTS else None


class Transport:
    """Sends requests to the provider; every failure is a ``ProviderError`` or a subclass.

    ``cert_file`` is shown to a provider that asks for a certificate; ``key_file`` holds its key
    where it does not itself.
    """

    def __init__(
        self,
        *,
        timeout: float,
        connect_timeout: float,
        ca_file: Path | None = None,
        cert_file: Path | None = None,
        key_file: Path | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._connect_timeout = connect_timeout
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=connect_timeout)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=_tls_context(ca_file, cert_file, key_file),
                limit=0,
                keepalive_timeout=_KEEPALIVE,
                resolver=resolver,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeout,
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            auto_decompress=False,
            trust_env=False,
            middlewares=(_send_once,),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def get(
        self,
        url: str,
        headers: Iterable[tuple[str, str]] = (),
        *,
        max_bytes: int,
        within: float | None = None,
    ) -> Answer:
        """Return the answer to one GET, which is never sent twice, of at most ``max_bytes``.

        ``within`` is the time that is left, where it is not the usual one.
        """
        timeout = self._timeout_of(within)
        return await self._send("GET", url, headers, None, max_bytes=max_bytes, timeout=timeout)

    async def post(
        self,
        url: str,
        headers: Iterable[tuple[str, str]],
        body: bytes,
        *,
        max_bytes: int,
        within: float | None = None,
    ) -> Answer:
        """Return the answer to one POST, which is never sent twice, of at most ``max_bytes``.

        ``within`` is the time that is left, where it is not the usual one.
        """
        timeout = self._timeout_of(within)
        return await self._send("POST", url, headers, body, max_bytes=max_bytes, timeout=timeout)

    def _timeout_of(self, within: float | None) -> aiohttp.ClientTimeout:
        if within is None:
            return self._timeout
        return aiohttp.ClientTimeout(total=within, sock_connect=self._connect_timeout)

    async def _send(
        self,
        method: str,
        url: str,
        headers: Iterable[tuple[str, str]],
        body: bytes | None,
        *,
        max_bytes: int,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp cuts the call
    ) -> Answer:
        if self._session.closed:  # a reload took the provider away
            raise ProviderUnavailableError("the provider is no longer talked to")
        request = self._session.request(
            method,
            URL(url, encoded=True),
            headers=headers,
            data=body,
            allow_redirects=False,
            timeout=timeout,
        )
        # Each failure is raised from None: aiohttp's exceptions carry the request's header fields.
        try:
            async with request as response:
                return await _read_answer(response, max_bytes)
        except TimeoutError:
            raise ProviderTimeoutError("the provider did not answer in time") from None
        except aiohttp.ClientSSLError:
            raise ProviderUnavailableError("TLS with the provider failed") from None
        except aiohttp.ClientConnectorError:
            raise ProviderUnavailableError("the provider cannot be reached") from None
        except (aiohttp.ClientOSError, aiohttp.ClientPayloadError, _DroppedError):
            raise ProviderUnavailableError("the provider dropped the connection") from None
        except aiohttp.ClientError as exc:
            cause = type(exc).__name__
            raise ProviderError(f"the provider does not speak HTTP ({cause})") from None


class _DroppedError(aiohttp.ClientError):
    """The connection ended before there was an answer."""


async def _send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Send a request; aiohttp repeats a GET after a dropped connection, but not after this."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
        raise _DroppedError from None


async def _read_answer(response: aiohttp.ClientResponse, max_bytes: int) -> Answer:
    fields = response.headers
    return Answer(
        response.status,
        fields.get("Content-Type", ""),
        await _read(response, max_bytes),
        _read_retry_after(fields.get("Retry-After")),
        _read_max_age(fields.getall("Cache-Control", ())),
        fields.get("Date", ""),
    )


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Read the body as far as its bound; one that would have to be inflated has none."""
    if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        response.close()
        raise ProviderError("the provider's answer is encoded, which was not asked for")
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


def _read_max_age(values: Iterable[str]) -> int | None:
    """Return the least ``max-age`` of the ``Cache-Control`` fields (RFC 9111 §5.2.2.1)."""
    directives = [part.strip().lower() for value in values for part in value.split(",")]
    ages = [part.removeprefix("max-age=") for part in directives if part.startswith("max-age=")]
    return min((int(age[:9]) for age in ages if age.isascii() and age.isdigit()), default=None)


def _tls_context(
    ca_file: Path | None, cert_file: Path | None, key_file: Path | None
) -> ssl.SSLContext:
    if ca_file is None and cert_file is None:
        return system_context()
    context = client_context(ca_file)
    if cert_file is not None:
        try:
            load_certificate(context, cert_file, key_file)
        except ClientFileError as exc:
            raise ConfigurationError(f"CLIENT_CERT_FILE: {exc}") from exc
    return context
