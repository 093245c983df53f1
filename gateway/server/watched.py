"""A caller's connection as the door and the deadlines see it.

Rule: what is noted here is noted only where nothing but a part of a message has arrived.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import _ErrInfo

from gateway.errors import HeaderTooLargeError, RequestTimeoutError
from gateway.forwarding.cutting import reset
from gateway.server.deadlines import Phase, Stopwatch
from gateway.server.outgoing import OutgoingProtocol

if TYPE_CHECKING:
    import asyncio

    from aiohttp.web_server import Server

    from gateway.errors import RequestError
    from gateway.server.door import Door


class WatchedProtocol(OutgoingProtocol):
    """aiohttp's HTTP/1 protocol, let in by a door and ended by deadlines."""

    __slots__ = (
        "_address", "_door", "_part_of", "_part_size", "cut_because", "resumed", "stopwatch",
    )  # fmt: skip

    def __init__(self, manager: Server, *, door: Door, **how: Any) -> None:
        super().__init__(manager, **how)
        self.cut_because: str | None = None
        self.resumed = 0
        self.stopwatch = Stopwatch(self._loop.time())
        self._door = door
        self._address: str | None = None
        self._part_of = -1
        self._part_size = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read requests, if there is room for one more caller."""
        peer = transport.get_extra_info("peername")
        address = peer[0] if isinstance(peer, tuple) else ""
        if reason := self._door.enter(address):
            # A cast, not a check: uvloop's transports are no instances of asyncio's.
            stream = cast("asyncio.Transport", transport)
            self._door.turn_away(stream, reason, os.urandom(12).hex())
            return
        self._address = address
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Make room for another caller."""
        if self._address is not None:
            self._door.leave(self._address)
            self._address = None
        super().connection_lost(exc)

    @property
    def requests(self) -> int:
        """How many request heads have been read."""
        return self._request_count

    @property
    def phase(self) -> Phase:
        """What this connection waits for."""
        if self._request_in_progress or self._messages:
            return Phase.REQUEST
        begun = not self._request_count or self._part_of == self._request_count
        return Phase.HEAD if begun else Phase.IDLE

    @property
    def reading_paused(self) -> bool:
        """Whether nothing is read: of a body nobody takes, or behind too many requests."""
        return self._reading_paused or self._buffer_paused

    def resume_writing(self) -> None:
        """Count that the caller has caught up."""
        self.resumed += 1
        super().resume_writing()

    def give_up_body(self) -> None:
        """Read no more of a body that arrives too slowly."""
        self._lingering_time = 0.0

    def give_up_head(self) -> None:
        """Answer 408 if a part of a request head is there; close."""
        if self._part_of == self._request_count and self._awaits_head:
            self._refuse(RequestTimeoutError("the request head does not arrive"))
        elif self.transport is not None:
            self.transport.close()

    def cut(self, cause: str) -> None:
        """End the connection with a reset, for the access line because of ``cause``."""
        self.cut_because = cause
        if self.transport is not None:
            reset(self.transport)

    def note_part(self, data: bytes) -> None:
        """Count the bytes of a request head that has not arrived to its end."""
        if not (data and self._awaits_head):
            return  # a piece of a body, or aiohttp reading on in what it has
        if self._part_of != self._request_count:
            self._part_of, self._part_size = self._request_count, 0
        self._part_size += len(data)
        # The target and the fields: aiohttp bounds each line, nobody else all of them.
        if self._part_size > 2 * self.max_field_size + 1024:
            self._refuse(HeaderTooLargeError("the request head is too large"))

    @property
    def _awaits_head(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def _refuse(self, error: RequestError) -> None:
        """Answer what has arrived as aiohttp answers what it cannot read."""
        self._messages.append((_ErrInfo(error.status, error, str(error)), EMPTY_PAYLOAD))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
