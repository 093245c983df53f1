"""The HTTP face of the proxy port: requests in, answers out, one access line for each.

Rule: every request ends in exactly one access line, also when there was nobody left to answer.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.errors import (
    AuthenticationError,
    AuthorizationError,
    GatewayError,
    RequestError,
    RequestTimeoutError,
    TooManyAttemptsError,
)
from gateway.forwarding.chunks import LAST_CHUNK, write_chunk
from gateway.forwarding.cutting import reset
from gateway.forwarding.upgrade import read_handshake
from gateway.logs import AccessEntry, access_is_written, write_access
from gateway.request import RequestHead, read_head
from gateway.server.answers import write_error, write_options
from gateway.server.body import CallersBody
from gateway.server.deadlines import Patience, Stopwatch, Watch
from gateway.server.door import Bounds, Door
from gateway.server.protocol import ProxyProtocol, is_busy, is_upgrading, may_stay_open, why_left
from gateway.server.relay import relay
from gateway.server.sending import write_admitted_head
from gateway.server.written import Written

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from gateway.forwarding.upgrade import Handshake
    from gateway.forwarding.upstream import Forwarder, UpstreamResponse
    from gateway.pipeline import Admission, Pipeline
    from gateway.server.trust import TrustedProxies
    from gateway.server.tunnels import Tunnels

_log = logging.getLogger(__name__)

# nginx's number for a caller that hung up before its answer; it is never sent.
HUNG_UP = 499
# While draining: how often it is looked whether all is answered, and how long a request that is
# cut has to end, in seconds.
DRAIN_INTERVAL = 0.02
CUT_TIMEOUT = 0.5


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a request may be, in bytes, how slow, and from how many connections.

    A ``max_body_bytes`` of 0 is no limit.
    """

    max_header_bytes: int
    max_body_bytes: int
    patience: Patience = field(default_factory=Patience)
    connections: Bounds = field(default_factory=Bounds)


@dataclass(slots=True)
class _Journal:
    """What is known of one request so far, for its access line."""

    request_id: str
    started: float
    head: RequestHead | None = None
    admission: Admission | None = None
    status: int = 0
    error: str | None = None
    cause: str | None = None
    user: str | None = None


class ProxyServer(web.Server):
    """aiohttp's low-level server around the pipeline and the forwarder."""

    def __init__(
        self,
        pipeline: Pipeline,
        forwarder: Forwarder,
        *,
        limits: Limits,
        trusted: TrustedProxies,
        tunnels: Tunnels | None = None,
    ) -> None:
        super().__init__(self._answer, handler_cancellation=True)
        self._pipeline = pipeline
        self._forwarder = forwarder
        self._limits = limits
        self._trusted = trusted
        self._tunnels = tunnels
        self._draining = False
        self._door = Door(limits.connections, trusted.trusts)
        patience = limits.patience
        self._watch = Watch(patience, self._watched)
        self._body_limits = (limits.max_body_bytes, patience.min_rate, patience.body_window)

    def __call__(self) -> ProxyProtocol:
        """Return the protocol of one new connection."""
        self._watch.begin()
        return ProxyProtocol(
            self,
            door=self._door,
            outbox=self._forwarder.outbox,
            max_field_size=self._limits.max_header_bytes,
        )

    def _watched(self) -> Iterator[tuple[Stopwatch, ProxyProtocol, asyncio.Transport]]:
        for connection, transport in self._connections.items():
            if isinstance(connection, ProxyProtocol) and not connection.handed_over:
                yield connection.stopwatch, connection, transport

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - aiohttp's
        """Let the requests under way end, for ``timeout`` seconds; then cut what is left."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while any(map(is_busy, self.connections)):  # noqa: ASYNC110 - sockets tell no event
                    await asyncio.sleep(DRAIN_INTERVAL)
        self._draining = True
        if self._tunnels is not None:
            self._tunnels.close()
        await super().shutdown(CUT_TIMEOUT)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        journal = _Journal(self._trusted.request_id(request) or new_request_id(), time.monotonic())
        body = CallersBody(request, *self._body_limits)
        try:
            written = await self._journey(request, body, journal)
        except GatewayError as error:
            written = _refuse(request, error, journal)
        except asyncio.CancelledError:
            journal.status = journal.status or HUNG_UP
            cause = "cut by the shutdown" if self._draining else why_left(request)
            journal.cause = journal.cause or cause
            raise
        except Exception as exc:  # noqa: BLE001 - a request without an answer has a log line
            _log.exception("request %s failed", journal.request_id)
            written = _refuse(request, GatewayError(type(exc).__name__), journal)
        finally:
            if access_is_written():
                _write_line(request, journal)
        if not body.finished:
            written.force_close()
        return written

    async def _journey(
        self, request: web.BaseRequest, body: CallersBody, journal: _Journal
    ) -> Written:
        head = journal.head = read_head(
            method=request.method,
            target=request.raw_path.encode("utf-8", "surrogateescape"),
            version=request.version,
            headers=request.raw_headers,
            peer=self._trusted.peer(request),
            max_header_bytes=self._limits.max_header_bytes,
        )
        body.expect(head)
        if head.target == b"*":
            journal.status = 204
            keep_alive = may_stay_open(request)
            answer = write_options(request, journal.request_id, keep_alive=keep_alive)
            return _write(request, answer, keep_alive=keep_alive)
        admission = journal.admission = await self._pipeline.admit(head, body)
        if b"upgrade" in head.fields and self._tunnels is not None:
            handshake = read_handshake(head, request.version)
            if handshake is not None and is_upgrading(request):
                return await self._switch(request, head, admission, handshake, journal)
        response = await self._forward(request, head, admission, body, journal.request_id)
        try:
            journal.status = response.head.status
            written = await relay(request, response, journal.request_id.encode(), admission)
        finally:
            response.close()
        journal.cause = written.cause
        return written

    async def _switch(
        self,
        request: web.BaseRequest,
        head: RequestHead,
        admission: Admission,
        handshake: Handshake,
        journal: _Journal,
    ) -> Written:
        """Send a WebSocket handshake on; what the upstream agrees to is carried to its end."""
        assert self._tunnels is not None  # noqa: S101 - asked before
        forwarded = self._trusted.forwarded(request, head, journal.request_id)
        if admission.authentication is not None:
            self._tunnels.require_origin(head, forwarded.host)
        data = write_admitted_head(head, admission, forwarded, 0)
        written = await self._tunnels.answer(request, admission, data, handshake, journal)
        journal.cause = written.cause
        return written

    def _forward(
        self,
        request: web.BaseRequest,
        head: RequestHead,
        admission: Admission,
        body: CallersBody,
        request_id: str,
    ) -> Awaitable[UpstreamResponse]:
        """Send the request on, in one piece if its body is there, else the body as it arrives."""
        upstream = admission.route.upstream
        content = admission.content
        length = head.body_length if content is None else len(content)
        if content is None:
            content = body.take_arrived() if length != 0 else b""
        forwarded = self._trusted.forwarded(request, head, request_id)
        data = write_admitted_head(head, admission, forwarded, length)
        chunked = length is None
        if content is None:
            return self._forwarder.forward(upstream, head.method, data, body, chunked=chunked)
        data += write_chunk(content) + LAST_CHUNK if chunked else content
        return self._forwarder.forward(upstream, head.method, data)


def _refuse(request: web.BaseRequest, error: GatewayError, journal: _Journal) -> Written:
    """Answer with the error; a response that has begun can only be cut."""
    journal.error, journal.cause = error.error, str(error)
    if isinstance(error, AuthenticationError | AuthorizationError | TooManyAttemptsError):
        journal.user = error.user
    if isinstance(error, AuthorizationError):
        journal.cause = error.cause
    if journal.status:
        if request.transport is not None:
            reset(request.transport)
        return Written(keep_alive=False)
    journal.status = error.status
    if isinstance(error, RequestTimeoutError) and isinstance(request.protocol, ProxyProtocol):
        request.protocol.give_up_body()
    # What was refused for its form may have been read in another way by someone before us.
    keep_alive = may_stay_open(request) and not isinstance(error, RequestError)
    answer = write_error(request, error, journal.request_id, keep_alive=keep_alive)
    return _write(request, answer, keep_alive=keep_alive)


def _write(request: web.BaseRequest, answer: bytes, *, keep_alive: bool) -> Written:
    if request.transport is not None:
        request.transport.write(answer)
    return Written(keep_alive=keep_alive)


def new_request_id() -> str:
    """Return a fresh request id of 24 hexadecimal digits."""
    return f"{random.getrandbits(96):024x}"


def _write_line(request: web.BaseRequest, journal: _Journal) -> None:
    head, admission = journal.head, journal.admission
    authentication = None if admission is None else admission.authentication
    principal = None if authentication is None else authentication.principal
    path = head.path.decode("latin-1") if head is not None else _path_of(request.raw_path)
    write_access(
        AccessEntry(
            journal.request_id,
            request.method,
            path,
            journal.status,
            (time.monotonic() - journal.started) * 1000,
            None if principal is None else principal.grant,
            None if authentication is None else authentication.source,
            journal.user if principal is None else principal.user,
            journal.error,
            journal.cause,
        )
    )


def _path_of(target: str) -> str:
    """Return the path of a refused request target; any other form may hold a password."""
    return target.partition("?")[0] if target.startswith("/") else "-"
