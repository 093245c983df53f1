"""One connection of a caller: aiohttp's HTTP/1 protocol with our answers to what it cannot read.

Rule: aiohttp's parser errors quote the bytes they stumbled on, so their texts go nowhere.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler, RequestPayloadError, _ErrInfo

from gateway.errors import GatewayError, HeaderTooLargeError, RequestError
from gateway.logs import AccessEntry, write_access
from gateway.server.answers import write_error
from gateway.server.written import Written

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.web_server import Server

# How long a silent connection is kept, and how long leftovers of a refused body are read, in
# seconds; the first is also the time a caller has to send a request head.
KEEPALIVE_TIMEOUT = 75.0
LINGERING_TIME = 2.0


class ProxyProtocol(RequestHandler):
    """Reads requests as they are: no decompression, no access log of aiohttp's."""

    def __init__(self, manager: Server, *, max_field_size: int) -> None:
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type] # None is what switches it off
            keepalive_timeout=KEEPALIVE_TIMEOUT,
            lingering_time=LINGERING_TIME,
            max_line_size=max_field_size,
            max_field_size=max_field_size,
            auto_decompress=False,
        )
        self.draining = False

    @property
    def busy(self) -> bool:
        """Whether a request is under way, or its answer not sent to the end."""
        transport = self.transport
        unsent = transport is not None and transport.get_write_buffer_size() > 0
        return self._request_in_progress or bool(self._messages) or unsent

    def data_received(self, data: bytes) -> None:
        """Read request bytes; what the parser cannot read also ends the body it is part of."""
        super().data_received(data)
        if self._messages and isinstance(self._messages[-1][0], _ErrInfo):
            self._break_bodies()

    def _break_bodies(self) -> None:
        """Fail the body under way: aiohttp would leave whoever reads it waiting for ever."""
        # What follows is not read either, or aiohttp would report the broken body as its own error.
        self._lingering_time = 0.0
        bodies = [body for _, body in self._messages]
        if self._current_request is not None:
            bodies.append(self._current_request.content)
        for body in bodies:
            if not body.is_eof():
                body.set_exception(RequestPayloadError("unreadable"))

    def close(self) -> None:
        """Take no more requests; the body of the one under way still arrives."""
        self.draining = True
        request = self._current_request
        if request is None or request.content.is_eof():
            super().close()
        else:
            # aiohttp reads nothing at all from a connection that is to be closed.
            request.content.on_eof(super().close)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what the parser refused, in the gateway's own words, and close."""
        del message
        request_id = os.urandom(12).hex()
        error = _error_of(status, exc)
        if self.transport is not None:
            self.transport.write(write_error(request, error, request_id, keep_alive=False))
        write_access(
            AccessEntry(
                request_id=request_id,
                method="-",
                path="-",
                status=error.status,
                duration_ms=0.0,
                error=error.error,
                cause=f"unreadable request: {type(exc).__name__}",
            )
        )
        return Written(keep_alive=False)


def is_busy(connection: RequestHandler) -> bool:
    """Return whether ``connection`` is one of ours with a request under way or bytes unsent."""
    return isinstance(connection, ProxyProtocol) and connection.busy


def may_stay_open(request: web.BaseRequest) -> bool:
    """Return whether, after its answer, the connection may carry another request.

    The caller wants it so, no drain is under way, and the whole body has arrived: an answer that
    comes before that ends the connection (RFC 9112 §9.3). After an upgrade that aiohttp does not
    know, it drops what has arrived behind the request: what comes next could be half a request.
    """
    protocol = request.protocol
    return (
        request.keep_alive
        and request.content.is_eof()
        and not (isinstance(protocol, ProxyProtocol) and protocol.draining)
        and not (
            request._message.upgrade  # noqa: SLF001 - the parser's verdict, shown nowhere else
            and request.headers.get("Upgrade", "").lower() not in _UPGRADES_KEPT
        )
    )


# ALLOWED_UPGRADES of aiohttp's C parser.
_UPGRADES_KEPT = frozenset({"websocket"})


def _error_of(status: int, exc: BaseException | None) -> GatewayError:
    if isinstance(exc, LineTooLong):
        return HeaderTooLargeError("a line of the request head is too long")
    if status < 500:  # noqa: PLR2004 - RFC 9110 §15.6
        return RequestError("the request is not readable HTTP/1.1")
    return GatewayError("the gateway failed")
