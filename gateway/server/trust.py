"""Who is believed about where a request came from: nobody, unless the operator names networks.

Rule: an empty list trusts nobody; it never means everybody.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING

from gateway.forwarding.headers import Forwarded, forwarded_for
from gateway.server.hops import read_address, read_hops

if TYPE_CHECKING:
    from aiohttp import web

    from gateway.request import RequestHead

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")


class TrustedProxies:
    """Networks whose ``X-Forwarded-*``, ``Forwarded`` and ``X-Request-Id`` are believed."""

    def __init__(self, networks: tuple[IPv4Network | IPv6Network, ...]) -> None:
        self._networks = networks
        # One verdict per peer, kept: a trusted proxy sends every request.
        self._trusts = lru_cache(maxsize=1024)(self._decide)

    @staticmethod
    def peer(request: web.BaseRequest) -> str:
        """Return the address of the other end of the connection; ``unknown`` when there is none."""
        return request.remote or "unknown"

    def trusts(self, address: str) -> bool:
        """Return whether ``address`` is one of the trusted proxies."""
        return bool(self._networks) and self._trusts(address)

    def caller(self, head: RequestHead) -> str:
        """Return the address of who called the outermost trusted proxy, or the peer itself.

        Hops are believed from the near end, as long as the one who names them is trusted.
        """
        address = head.peer
        if not (self._networks and self._trusts(address)):
            return address
        for node in reversed(read_hops(head).addresses):
            named = read_address(node)
            if named is None:
                break
            address = named
            if not self._trusts(address):
                break
        return address

    def request_id(self, request: web.BaseRequest) -> str | None:
        """Return the request id a trusted proxy chose, if it did and it is harmless."""
        if not (self._networks and self._trusts(self.peer(request))):
            return None
        value = request.headers.get("X-Request-Id", "")
        return value if _REQUEST_ID.fullmatch(value) else None

    def forwarded(self, request: web.BaseRequest, head: RequestHead, request_id: str) -> Forwarded:
        """Return what the upstream is told about the caller's side."""
        hosts = head.fields.get(b"host")
        host = hosts[0] if hosts else b""
        proto = b"https" if request.protocol.ssl_context else b"http"
        named = request_id.encode("ascii")
        if not (self._networks and self._trusts(head.peer)):
            return Forwarded(_written(head.peer), proto, host, named)
        hops = read_hops(head)
        return Forwarded(
            forwarded_for(hops.addresses, head.peer), hops.proto or proto, hops.host or host, named
        )

    def _decide(self, peer: str) -> bool:
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self._networks)


@lru_cache(maxsize=1024)
def _written(peer: str) -> bytes:
    return forwarded_for((), peer)
