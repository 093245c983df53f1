"""Messages between the supervisor and a worker: JSON, one packet each, never waited for.

Rule: whoever does not read its messages loses them and delays nobody.
"""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

Message = dict[str, Any]

MAX_MESSAGE: Final = 1 << 20  # bytes; a page of metrics is the largest


class Channel:
    """One end of the connection between two processes of the gateway."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self.closed = False

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Return two ends of a new connection."""
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in ends:
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MAX_MESSAGE)
        return cls(ends[0]), cls(ends[1])

    def fileno(self) -> int:
        """Return what an event loop waits on."""
        return self._socket.fileno()

    def send(self, message: Message) -> bool:
        """Send a message; ``False`` when the other end is gone or does not read."""
        try:
            self._socket.send(json.dumps(message).encode())
        except OSError:
            return False
        return True

    def receive(self) -> Iterator[Message]:
        """Yield what has arrived; ``closed`` is set when the other end is gone."""
        while not self.closed:
            try:
                packet = self._socket.recv(MAX_MESSAGE)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:
                self.closed = True
                return
            yield json.loads(packet)

    def close(self) -> None:
        """Close this end."""
        self._socket.close()
