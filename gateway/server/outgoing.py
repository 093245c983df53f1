"""What is written to a caller: a complete answer waits for the others of its turn.

Rule: whatever else is written to the connection, or ends it, writes what waits first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp.web_protocol import RequestHandler

if TYPE_CHECKING:
    from aiohttp.web_server import Server

    from gateway.outbox import Outbox


class OutgoingProtocol(RequestHandler):
    """aiohttp's HTTP/1 protocol with one answer that may wait to be written."""

    __slots__ = ("_outbox", "_unsent")

    def __init__(self, manager: Server, *, outbox: Outbox, **how: Any) -> None:
        super().__init__(manager, **how)
        self._outbox = outbox
        self._unsent: bytes | None = None

    def data_received(self, data: bytes) -> None:
        """Read bytes; a request that is there makes the connection's task ready."""
        waiter = self._waiter
        waited = waiter is not None and not waiter.done()
        super().data_received(data)
        if waited and waiter is not None and waiter.done():
            self._outbox.expect()

    @property
    def unsent(self) -> bool:
        """Whether there is anything the caller's kernel has not taken."""
        transport = self.transport
        return self._unsent is not None or (
            transport is not None and transport.get_write_buffer_size() > 0
        )

    def write_soon(self, data: bytes) -> None:
        """Write a complete answer, the last of what is written for its request."""
        self._unsent = data
        self._outbox.add(self.flush)

    def flush(self) -> None:
        """Write what waits."""
        data, self._unsent = self._unsent, None
        if data is not None and self.transport is not None:
            self.transport.write(data)

    def force_close(self) -> None:
        """Close the connection once what waits is sent."""
        self.flush()
        super().force_close()
