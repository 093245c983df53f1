"""Requests at a fixed rate, each timed from the moment it was due.

A load tool that waits for an answer before it sends the next request leaves out the very requests
a stall would have delayed.  This one has a timetable; being late counts.
"""

from __future__ import annotations

import ctypes
import gc
import json
import re
import select
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from urllib.parse import urlsplit

CONNECTIONS = 64
PATIENCE = 10.0
PR_SET_TIMERSLACK = 29
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


@dataclass(slots=True)
class Caller:
    """A connection; ``due`` is when the request on it should have been sent."""

    connection: socket.socket
    due: float = 0.0
    received: bytearray = field(default_factory=bytearray)

    def send(self, request: bytes, due: float) -> None:
        """Send the request that was due then."""
        self.due = due
        self.received.clear()
        self.connection.sendall(request)

    def answered(self) -> bool:
        """Read what is there and tell whether the answer is whole."""
        data = self.connection.recv(65_536)
        if not data:
            raise ConnectionError("the connection was closed")
        self.received += data
        return whole(self.received)


def whole(received: bytes | bytearray) -> bool:
    """Tell whether a response has arrived to its end; one that is no 200 is an error."""
    head, found, body = received.partition(b"\r\n\r\n")
    if not found:
        return False
    if not head.startswith(b"HTTP/1.1 200 "):
        raise ConnectionError(bytes(head[:100]).decode("ascii", "replace"))
    length = LENGTH.search(head + b"\r\n")
    if length is None:
        raise ConnectionError("a response without Content-Length")
    return len(body) >= int(length[1])


def run(address: tuple[str, int], request: bytes, rate: int, seconds: float) -> list[float]:
    """Return how many seconds after it was due each request was answered."""
    callers = {}
    for _ in range(CONNECTIONS):
        connection = socket.create_connection(address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        callers[connection.fileno()] = Caller(connection)
    free, busy = deque(callers.values()), set()
    taken: list[float] = []
    total, sent, start = int(rate * seconds), 0, time.perf_counter() + 0.01
    while len(taken) < total:
        while sent < total and free and start + sent / rate <= time.perf_counter():
            caller = free.popleft()
            caller.send(request, start + sent / rate)
            busy.add(caller.connection.fileno())
            sent += 1
        wait = start + sent / rate - time.perf_counter() if sent < total and free else PATIENCE
        readable = select.select(busy, [], [], max(0.0, wait))[0]
        if wait == PATIENCE and not readable:
            raise ConnectionError("no answer")
        for number in readable:
            if callers[number].answered():
                taken.append(time.perf_counter() - callers[number].due)
                busy.discard(number)
                free.append(callers[number])
    return taken


def percentile(values: list[float], share: float) -> float:
    """Return the value that this share of the sorted values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))]


def main(url: str, rate: str, seconds: str, headers: str) -> None:
    """Pace, and print the figures as JSON, in microseconds."""
    parts = urlsplit(url)
    fields = {"Host": parts.netloc, **json.loads(headers)}
    lines = [f"GET {parts.path or '/'} HTTP/1.1", *(f"{n}: {v}" for n, v in fields.items())]
    request = ("\r\n".join(lines) + "\r\n\r\n").encode()
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)  # else each wait ends 50 us late
    gc.disable()
    taken = run((parts.hostname or "", parts.port or 80), request, int(rate), float(seconds))
    told = {
        "requests": len(taken),
        "seconds": float(seconds),
        "p50": percentile(taken, 0.50) * 1e6,
        "p99": percentile(taken, 0.99) * 1e6,
    }
    print(json.dumps(told))  # noqa: T201 - its output is what it is run for


if __name__ == "__main__":
    main(*sys.argv[1:])
