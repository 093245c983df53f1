"""Each of many requests sent once, over a few connections, as fast as they are answered."""

from __future__ import annotations

import socket
import time
from selectors import EVENT_READ, DefaultSelector
from typing import TYPE_CHECKING

from tests.benchmarks.load import Load, Sample
from tests.benchmarks.machine import cpu_seconds
from tests.benchmarks.pacer import PATIENCE, Caller, percentile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.programs import Running

CONNECTIONS = 64


def fill(running: Running, credentials: list[str]) -> Sample:
    """Show each credential once; return what the load saw and the CPU it took."""
    head = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\nAuthorization: "
    requests = (f"{head}{credential}\r\n\r\n".encode() for credential in credentials)
    before, start = cpu_seconds(running.child.pid), time.perf_counter()
    taken = send_each(("127.0.0.1", running.port), requests)
    load = Load(
        len(taken),
        time.perf_counter() - start,
        percentile(taken, 0.50) * 1e6,
        percentile(taken, 0.99) * 1e6,
    )
    return Sample(load, cpu_seconds(running.child.pid) - before)


def send_each(address: tuple[str, int], requests: Iterator[bytes]) -> list[float]:
    """Return how many seconds each request waited for its answer."""
    taken: list[float] = []
    with DefaultSelector() as selector:
        for _, request in zip(range(CONNECTIONS), requests, strict=False):
            caller = Caller(socket.create_connection(address))
            selector.register(caller.connection, EVENT_READ, caller)
            caller.send(request, time.perf_counter())
        while selector.get_map():
            ready = selector.select(PATIENCE)
            if not ready:
                raise ConnectionError("no answer")
            for key, _ in ready:
                if key.data.answered():
                    taken.append(time.perf_counter() - key.data.due)
                    go_on(selector, key.data, next(requests, None))
    return taken


def go_on(selector: DefaultSelector, caller: Caller, request: bytes | None) -> None:
    """Send the next request on the connection, or close it when there is none."""
    if request is not None:
        caller.send(request, time.perf_counter())
        return
    selector.unregister(caller.connection)
    caller.connection.close()
