"""The places of the workers: who has one, and when a place that fell vacant is filled again."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gateway.app.channel import Channel

STEADY: Final = 10.0  # seconds a worker has to live for its end not to count against it
PAUSES: Final = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)  # seconds before it is started again


@dataclass(slots=True)
class Brake:
    """How long a worker that ended is waited with: longer each time it ends soon after its start.

    It is never given up.
    """

    falls: int = 0

    def pause(self, lived: float) -> float:
        """Return the seconds until the next start of a worker that ended after ``lived`` ones."""
        self.falls = 1 if lived >= STEADY else self.falls + 1
        return PAUSES[min(self.falls, len(PAUSES)) - 1]


@dataclass(slots=True)
class Seat:
    """The place of one worker, which has one socket of the proxy port whoever sits there.

    ``substitute`` takes its connections while nobody serves there. ``page`` are the numbers its
    worker has last been seen with.
    """

    number: int
    pid: int = 0
    channel: Channel | None = None
    started: float = 0.0
    due: float = 0.0
    serving: bool = False
    has_served: bool = False
    substitute: Seat | None = None
    page: str = field(default="", repr=False)
    brake: Brake = field(default_factory=Brake)

    def take(self, pid: int, channel: Channel, now: float) -> None:
        """Give the place to a process that was started now."""
        self.pid, self.channel, self.started = pid, channel, now

    def vacate(self, now: float) -> float:
        """Note that the process is gone; return the seconds until the place is filled again."""
        pause = self.brake.pause(now - self.started)
        self.due = now + pause
        self.pid, self.serving, self.page = 0, False, ""
        if self.channel is not None:
            self.channel.close()
            self.channel = None
        return pause


def describe_end(status: int) -> str:
    """Return how a process ended, for a status of ``os.waitstatus_to_exitcode``."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
