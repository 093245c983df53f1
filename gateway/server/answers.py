"""The one place that writes the gateway's own answers (contract: error, description, id)."""

from __future__ import annotations

import json
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol

from aiohttp import HttpVersion11

from gateway.errors import (
    AuthenticationError,
    AuthorizationError,
    GatewayError,
    MethodNotAllowedError,
    ProviderUnavailableError,
    TooManyAttemptsError,
    TooManyConnectionsError,
)
from gateway.forwarding.headers import (
    ResponseFraming,
    ResponseHead,
    write_response_head,
    write_start,
)
from gateway.request import METHODS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import HttpVersion

# What a caller may know about a failure that is not the caller's: the cause is for the log only.
_OUR_FAULT = {
    "internal_error": "the gateway failed",
    "provider_error": "the identity provider and this gateway do not work together",
    "provider_unavailable": "the identity provider is not available",
    "provider_timeout": "the identity provider did not answer in time",
    "bad_gateway": "the upstream did not give a usable answer",
    "too_many_connections": "too many callers are connected",
    "gateway_timeout": "the upstream did not answer in time",
}
# Connections come and go: the next try may find a place.
_RETRY_CONNECTING = "1"


class Asked(Protocol):
    """What is known of the request that is answered."""

    @property
    def method(self) -> str:
        """Its method."""
        ...

    @property
    def version(self) -> HttpVersion:
        """The caller's HTTP version."""
        ...


class _Unread:
    method = "-"
    version = HttpVersion11


# A request of which not a byte has been read.
UNREAD: Final[Asked] = _Unread()
_INVALID_CREDENTIALS = "the credentials were not accepted"
_INVALID_TOKEN = "the token was not accepted"  # noqa: S105 - a text


def write_error(request: Asked, error: GatewayError, request_id: str, *, keep_alive: bool) -> bytes:
    """Return the answer that tells the caller about ``error``, never cached (RFC 9111 §5.2)."""
    document = {
        "error": error.error,
        "error_description": _describe(error),
        "request_id": request_id,
    }
    body = json.dumps(document).encode() + b"\n"
    fields = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    fields += [("Content-Length", str(len(body))), *_fields(error)]
    head = _write_head(request, error.status, fields, request_id, keep_alive=keep_alive)
    return head if request.method == "HEAD" else head + body


def write_options(request: Asked, request_id: str, *, keep_alive: bool) -> bytes:
    """Return the answer to ``OPTIONS *``, which asks about the gateway (RFC 9110 §9.3.7)."""
    return _write_head(request, HTTPStatus.NO_CONTENT, [], request_id, keep_alive=keep_alive)


def _write_head(
    request: Asked,
    status: int,
    fields: list[tuple[str, str]],
    request_id: str,
    *,
    keep_alive: bool,
) -> bytes:
    ours = [("Server", "bearergate"), ("Date", formatdate(usegmt=True)), *fields]
    headers = [(name.encode(), value.encode("latin-1")) for name, value in ours]
    reason = HTTPStatus(status).phrase.encode()
    framing = ResponseFraming.LENGTH
    return write_response_head(
        ResponseHead(status, write_start(status, reason, headers), framing),
        request_id=request_id.encode(),
        framing=framing,
        keep_alive=keep_alive,
        version=(request.version.major, request.version.minor),
    )


def _describe(error: GatewayError) -> str:
    if error.error == "invalid_credentials":
        # One text for unreadable, unknown and wrong: the answer tells nothing apart.
        return _INVALID_CREDENTIALS
    if error.error == "invalid_token":
        return _INVALID_TOKEN
    return _OUR_FAULT.get(error.error) or str(error)


def _fields(error: GatewayError) -> Iterator[tuple[str, str]]:
    match error:
        case AuthenticationError() | AuthorizationError():
            yield "Vary", "Authorization"
            for challenge in error.challenges:
                yield "WWW-Authenticate", challenge
        case ProviderUnavailableError() | TooManyAttemptsError():
            yield "Retry-After", str(error.retry_after)
        case TooManyConnectionsError():
            yield "Retry-After", _RETRY_CONNECTING
        case MethodNotAllowedError():
            yield "Allow", ", ".join(sorted(METHODS))
        case _:
            pass
