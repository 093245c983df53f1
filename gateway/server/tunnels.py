"""The tunnels of one worker: who may open one, how many, and until when.

Rule: a tunnel is opened behind an admitted handshake only, and what was not switched stays HTTP,
where each request is admitted on its own.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gateway.errors import AuthorizationError, TooManyTunnelsError
from gateway.forwarding.upgrade import (
    SWITCHING_PROTOCOLS,
    is_same_origin,
    write_handshake,
    write_switching,
)
from gateway.metrics import TUNNELS, TUNNELS_ENDED
from gateway.server.protocol import ProxyProtocol
from gateway.server.relay import relay
from gateway.server.splice import End, Tunnel
from gateway.server.written import Written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import web

    from gateway.authentication import Authentication
    from gateway.forwarding.upgrade import Handshake
    from gateway.forwarding.upstream import Forwarder, SwitchResponse
    from gateway.pipeline import Admission
    from gateway.request import RequestHead


@dataclass(frozen=True, slots=True)
class TunnelLimits:
    """What bounds tunnels; ``idle_timeout`` is in seconds, 0 for none.

    ``origins`` are the pages that may open one beside those of the gateway's own host.
    """

    max_per_user: int
    idle_timeout: float
    end_with_token: bool
    origins: frozenset[bytes] = frozenset()


class Journal(Protocol):
    """What the access line of the request will say."""

    request_id: str
    status: int
    cause: str | None


class Tunnels:
    """Opens tunnels and keeps count of them."""

    def __init__(self, forwarder: Forwarder, limits: TunnelLimits) -> None:
        self._forwarder = forwarder
        self._limits = limits
        self._places: dict[str, int] = {}
        self._open: set[Tunnel] = set()

    def require_origin(self, head: RequestHead, host: bytes) -> None:
        """Raise ``AuthorizationError`` for a handshake some other site's page made.

        A browser adds the password it knows for this host to any page's handshake (RFC 6455 §10.2).
        """
        allowed = self._limits.origins
        for origin in head.values(b"origin"):
            if not (b"*" in allowed or origin.lower() in allowed or is_same_origin(origin, host)):
                raise AuthorizationError("pages of this origin may not open a WebSocket here")

    async def answer(
        self,
        request: web.BaseRequest,
        admission: Admission,
        data: bytes,
        handshake: Handshake,
        journal: Journal,
    ) -> Written:
        """Send the handshake on; carry the tunnel to its end, or relay what was said instead."""
        authentication = admission.authentication
        user = "" if authentication is None else authentication.principal.user
        with self._place(user or f"address {request.remote}"):
            response = await self._forwarder.switch(
                admission.route.upstream, write_handshake(data), handshake
            )
            try:
                if response.head.status != SWITCHING_PROTOCOLS:
                    journal.status = response.head.status
                    return await relay(request, response, journal.request_id.encode())
                return await self._carry(request, response, authentication, journal)
            finally:
                response.close()

    def close(self) -> None:
        """End every tunnel."""
        for tunnel in self._open:
            tunnel.end(End.SHUTDOWN)

    async def _carry(
        self,
        request: web.BaseRequest,
        response: SwitchResponse,
        authentication: Authentication | None,
        journal: Journal,
    ) -> Written:
        transport, front = request.transport, request.protocol
        if transport is None or not isinstance(front, ProxyProtocol):
            return Written(keep_alive=False, cause="the caller hung up")
        tunnel = Tunnel(front, response.connection)
        head = write_switching(response.head, journal.request_id.encode())
        tunnel.open(transport, head)
        journal.status = SWITCHING_PROTOCOLS
        tunnel.limit(idle=self._limits.idle_timeout, life=self._life(authentication))
        self._open.add(tunnel)
        TUNNELS.inc()
        try:
            await tunnel.ended()
        finally:
            self._open.discard(tunnel)
            TUNNELS.dec()
            TUNNELS_ENDED.labels((tunnel.reason or End.SHUTDOWN).name.lower()).inc()
            journal.cause = tunnel.cause
        return Written(keep_alive=False, cause=tunnel.cause)

    def _life(self, authentication: Authentication | None) -> float | None:
        if authentication is None or not self._limits.end_with_token:
            return None
        return authentication.principal.expires_at - time.time()

    @contextmanager
    def _place(self, holder: str) -> Iterator[None]:
        held = self._places.get(holder, 0)
        if held >= self._limits.max_per_user:
            raise TooManyTunnelsError("as many WebSocket connections are open as one may have")
        self._places[holder] = held + 1
        try:
            yield
        finally:
            self._places[holder] -= 1
            if not self._places[holder]:
                del self._places[holder]
