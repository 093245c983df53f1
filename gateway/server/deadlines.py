"""How long a caller may take over a request, the pause before it and the answer to it.

Rule: a request pays nothing for this: one timer for all connections looks, about once a second, at
what the connections know anyway.
"""

from __future__ import annotations

import asyncio
import fcntl
import select
import struct
import termios
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

from gateway.metrics import CONNECTIONS_CUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# How long a body may arrive, and an answer be taken, below the least rate, in seconds. Without a
# least rate both may stand still for as long as nginx allows: send_timeout, client_body_timeout.
BODY_WINDOW = 10.0
ANSWER_WINDOW = 60.0
STANDSTILL = 60.0
# How often the connections are looked at, in seconds, unless a limit is shorter.
INTERVAL = 1.0
_INT = struct.Struct("i")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long each part of a request may take, in seconds; 0 is no limit for ``total``.

    ``min_rate`` is the fewest bytes a second a caller has to send of a body, over ``body_window``
    seconds, and to take of an answer, over ``answer_window``; with 0 they may only not stand still
    for so long.
    """

    head: float = 10.0
    idle: float = 75.0
    total: float = 0.0
    min_rate: int = 1024
    body_window: float = BODY_WINDOW
    answer_window: float = ANSWER_WINDOW


class Phase(Enum):
    """What a connection is waiting for."""

    IDLE = auto()
    HEAD = auto()
    REQUEST = auto()


class Watched(Protocol):
    """A connection as far as it is watched."""

    @property
    def phase(self) -> Phase:
        """What it waits for."""
        ...

    @property
    def requests(self) -> int:
        """How many requests have begun on it."""
        ...

    @property
    def resumed(self) -> int:
        """How often its caller has caught up with its answers."""
        ...

    @property
    def reading_paused(self) -> bool:
        """Whether nothing is read from its caller, so that nobody would see them leave."""
        ...

    @property
    def writing_paused(self) -> bool:
        """Whether its caller has to catch up."""
        ...

    def give_up_head(self) -> None:
        """End a connection on which a request head does not arrive."""
        ...

    def cut(self, cause: str) -> None:
        """End a connection at once."""
        ...


class Stopwatch:
    """How long one connection has been in its phase, and how fast its caller reads."""

    __slots__ = ("_left", "_mark", "_resumed", "_since", "_unsent")

    def __init__(self, now: float) -> None:
        self._mark = (0, Phase.HEAD)
        self._since = now
        self._left: float | None = None
        self._unsent = 0
        self._resumed = 0

    def look(
        self, connection: Watched, transport: asyncio.Transport, patience: Patience, now: float
    ) -> None:
        """End the connection if its caller has taken too long."""
        phase = connection.phase
        mark = (connection.requests, phase)
        if mark != self._mark:
            self._mark, self._since = mark, now
        if not self._takes_answer(connection, transport, patience, now):
            CONNECTIONS_CUT.labels("answer").inc()
            connection.cut("the caller does not take the response")
            transport.abort()
            return
        if phase is Phase.REQUEST and connection.reading_paused and _has_left(transport):
            connection.cut("the caller hung up")
            return
        waited = now - self._since
        if phase is Phase.HEAD and waited >= patience.head:
            CONNECTIONS_CUT.labels("head").inc()
            connection.give_up_head()
        elif phase is Phase.IDLE and waited >= patience.idle:
            transport.close()
        elif phase is Phase.REQUEST and patience.total and waited >= patience.total:
            CONNECTIONS_CUT.labels("total").inc()
            connection.cut("the request took longer than REQUEST_TIMEOUT")

    def _takes_answer(
        self, connection: Watched, transport: asyncio.Transport, patience: Patience, now: float
    ) -> bool:
        """Return whether bytes that wait to be sent are taken at the least rate.

        What is not sent only shrinks while the connection is paused or ending; while it grows,
        nothing is wrong yet.
        """
        size = transport.get_write_buffer_size()
        if not size or self._caught_up(connection, transport):
            self._left = None
            return True
        unsent = size + _queued(transport)
        window = patience.answer_window
        if self._left is None:
            self._left = now + window
        else:
            taken = max(0, self._unsent - unsent)
            earned = taken / patience.min_rate if patience.min_rate else window * bool(taken)
            self._left = min(self._left + earned, now + window)
        self._unsent = unsent
        return now < self._left

    def _caught_up(self, connection: Watched, transport: asyncio.Transport) -> bool:
        resumed, self._resumed = self._resumed, connection.resumed
        if resumed != self._resumed:
            return True
        busy = connection.phase is Phase.REQUEST and not transport.is_closing()
        return busy and not connection.writing_paused


def _has_left(transport: asyncio.Transport) -> bool:
    """Return whether the caller has ended the connection, what it sent before read or not."""
    connection = transport.get_extra_info("socket")
    if connection is None or connection.fileno() < 0:
        return False  # closed meanwhile
    ends = select.poll()
    ends.register(connection.fileno(), select.POLLRDHUP)
    return bool(ends.poll(0))


def _queued(transport: asyncio.Transport) -> int:
    """Return how many bytes the kernel still holds for the caller."""
    connection = transport.get_extra_info("socket")
    try:
        packed = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0" * _INT.size)
    except (AttributeError, OSError, ValueError):
        return 0  # closed meanwhile, or no such request on this system
    queued: int = _INT.unpack(packed)[0]
    return queued


class Watch:
    """Looks at all connections of a server, about once a second, while there are any."""

    def __init__(
        self,
        patience: Patience,
        connections: Callable[[], Iterable[tuple[Stopwatch, Watched, asyncio.Transport]]],
    ) -> None:
        self._patience = patience
        self._connections = connections
        limits = (patience.head, patience.idle, patience.total or INTERVAL, patience.answer_window)
        self._interval = min(INTERVAL, min(limits) / 4)
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Look from now on."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._interval, self._look)

    def _look(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        connections = list(self._connections())
        for stopwatch, connection, transport in connections:
            stopwatch.look(connection, transport, self._patience, now)
        if connections:
            self.begin()
