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
from gateway.server.relay import relay, said_to_caller
from gateway.server.splice import LINGER, End, Tunnel
from gateway.server.written import Written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import web

    from gateway.authentication import Principal
    from gateway.forwarding.upgrade import Handshake
    from gateway.forwarding.upstream import Forwarder, SwitchResponse
    from gateway.pipeline import Admission
    from gateway.request import RequestHead


@dataclass(frozen=True, slots=True)
class TunnelLimits:
    """What bounds tunnels; ``idle_timeout`` is in seconds, 0 for none.

    ``linger`` is how long an end may take, in seconds: either side takes what was written to it.
    ``origins`` are the pages that may open one beside those of the gateway's own host.
    """

    max_per_user: int
    idle_timeout: float
    end_with_token: bool
    origins: frozenset[bytes] = frozenset()
    linger: float = LINGER


@dataclass(slots=True, eq=False)
class _Place:
    """The place of one handshake, and of the tunnel it opens."""

    owners: frozenset[bytes]
    tunnel: Tunnel | None = None
    purged: bool = False


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
        self._counts: dict[str, int] = {}
        self._places: set[_Place] = set()

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
        principal = None if authentication is None else authentication.principal
        with self._place(principal, request.remote) as place:
            response = await self._forwarder.switch(
                admission.route.upstream, write_handshake(data), handshake
            )
            try:
                if response.head.status != SWITCHING_PROTOCOLS:
                    journal.status = response.head.status
                    return await relay(request, response, journal.request_id.encode(), admission)
                return await self._carry(request, response, place, admission, journal)
            finally:
                response.close()

    def close(self) -> None:
        """End every tunnel."""
        for place in self._places:
            if place.tunnel is not None:
                place.tunnel.end(End.SHUTDOWN)

    def purge(self, owners: tuple[bytes, ...] | None) -> None:
        """End what a user has opened, or is opening; ``None`` means everybody."""
        for place in self._places:
            if owners is None or not place.owners.isdisjoint(owners):
                place.purged = True
                if place.tunnel is not None:
                    place.tunnel.end(End.PURGED)

    async def _carry(
        self,
        request: web.BaseRequest,
        response: SwitchResponse,
        place: _Place,
        admission: Admission,
        journal: Journal,
    ) -> Written:
        transport, front = request.transport, request.protocol
        if transport is None or not isinstance(front, ProxyProtocol):
            return Written(keep_alive=False, cause="the caller hung up")
        tunnel = Tunnel(front, response.connection, self._limits.linger)
        head = write_switching(
            response.head, journal.request_id.encode(), said_to_caller(admission)
        )
        tunnel.open(transport, head)
        journal.status = SWITCHING_PROTOCOLS
        tunnel.limit(idle=self._limits.idle_timeout, life=self._life(admission))
        place.tunnel = tunnel
        TUNNELS.inc()
        if place.purged:
            tunnel.end(End.PURGED)
        try:
            await tunnel.ended()
        finally:
            TUNNELS.dec()
            TUNNELS_ENDED.labels((tunnel.reason or End.SHUTDOWN).name.lower()).inc()
            journal.cause = tunnel.cause
        return Written(keep_alive=False, cause=tunnel.cause)

    def _life(self, admission: Admission) -> float | None:
        if admission.authentication is None or not self._limits.end_with_token:
            return None
        return admission.authentication.principal.expires_at - time.time()

    @contextmanager
    def _place(self, principal: Principal | None, address: str | None) -> Iterator[_Place]:
        holder = f"address {address}" if principal is None else principal.user
        held = self._counts.get(holder, 0)
        if held >= self._limits.max_per_user:
            raise TooManyTunnelsError("as many WebSocket connections are open as one may have")
        self._counts[holder] = held + 1
        place = _Place(frozenset(() if principal is None else principal.owners))
        self._places.add(place)
        try:
            yield place
        finally:
            self._places.discard(place)
            self._counts[holder] -= 1
            if not self._counts[holder]:
                del self._counts[holder]
