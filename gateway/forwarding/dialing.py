"""New connections to an upstream: its name looked up each time, its addresses tried in turn.

Rule: an address that does not answer holds up the next one for a moment only (RFC 8305 §5).
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, TypeVar

from aiohappyeyeballs import start_connection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from aiohappyeyeballs import AddrInfoType

    from gateway.routing import Upstream

    Resolve = Callable[[str, int], Awaitable[Sequence[AddrInfoType]]]

P = TypeVar("P", bound=asyncio.Protocol)

NEXT_ADDRESS_AFTER = 0.25  # seconds; RFC 8305 §8


class Dialer:
    """Opens connections to ``upstream``; ``resolve`` gives the addresses of a host and a port."""

    def __init__(self, upstream: Upstream, resolve: Resolve | None = None) -> None:
        self._upstream = upstream
        # Without a context of its own asyncio's: https is never spoken in the clear.
        self._tls = (upstream.tls or True) if upstream.scheme == "https" else None
        self._loop = asyncio.get_running_loop()
        self._resolve = resolve or self._look_up

    async def dial(self, make: Callable[[], P]) -> P:
        """Return a protocol that ``make`` made, connected; failure raises ``OSError``."""
        upstream = self._upstream
        if upstream.socket:
            _, protocol = await self._loop.create_unix_connection(make, upstream.socket)
            return protocol
        addresses = await self._resolve(upstream.host, upstream.port)
        try:
            stream = await start_connection(addresses, happy_eyeballs_delay=NEXT_ADDRESS_AFTER)
        except RuntimeError as exc:  # uvloop's, for what it does not take for a socket's error
            raise OSError(str(exc)) from exc
        _, protocol = await self._loop.create_connection(
            make, sock=stream, ssl=self._tls, server_hostname=upstream.host if self._tls else None
        )
        return protocol

    async def _look_up(self, host: str, port: int) -> Sequence[AddrInfoType]:
        return await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
