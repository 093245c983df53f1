"""A listener whose queue is full: it takes no connections and refuses none."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import ExitStack

MOST_WAITING = 64  # of connections a listener keeps although it was told to keep none


def listen_silently(listener: socket.socket, stack: ExitStack) -> None:
    """Have a bound socket listen, and fill its queue with connections that ``stack`` closes."""
    listener.listen(0)
    for _ in range(MOST_WAITING):
        filling = stack.enter_context(socket.socket())
        filling.settimeout(0.2)
        try:
            filling.connect(listener.getsockname())
        except TimeoutError:
            return
    raise AssertionError("the queue of a listener does not fill up")
