"""How connections that are open and idle count."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from tests.benchmarks.load import LoadError
from tests.benchmarks.machine import allow_many_files, resident_bytes
from tests.benchmarks.pacer import whole
from tests.benchmarks.scenarios import CREDENTIAL, Bench, Curve, Section, curve_rows, take_turns
from tests.benchmarks.tables import table

COUNTS = (10, 1_000, 5_000)
LASTING = {"KEEPALIVE_TIMEOUT": "600"}  # seconds, more than all turns take
REQUEST = f"GET / HTTP/1.1\r\nHost: gateway\r\nAuthorization: {CREDENTIAL}\r\n\r\n".encode()


def measure(bench: Bench) -> Section:
    """Hold idle connections open beside the load's own 64."""
    files = allow_many_files()
    counts = [count for count in COUNTS if 2 * count + 1_000 < files]
    with ExitStack() as stack:
        curves, idle, grown = [], [], 0
        for count in counts:
            running = stack.enter_context(bench.gateway(f"with {count} connections", **LASTING))
            bench.loader.saturate(running.target, 1)  # what a first load leaves is not theirs
            before = resident_bytes(running.child.pid)
            idle += [stack.enter_context(idle_connection(running.port)) for _ in range(count)]
            grown = resident_bytes(running.child.pid) - before
            curves.append(Curve(f"{count:,}", running))
        take_turns(bench, curves)
        if not all(map(is_open, idle)):
            raise LoadError("the gateway closed connections that were to stay open")
    each = grown / counts[-1] / 1024
    rows = table(
        ("idle connections", "CPU µs per request", "to 10", "requests/s"), curve_rows(curves)
    )
    left_out = "" if counts == list(COUNTS) else f"\n\nNo more fit: {files} files may be open here."
    said = (
        "Each of them has had one request answered and is kept alive; the load has 64 more.\n\n"
        f"{rows}\n\n"
        f"An idle connection takes {each:.1f} KiB of memory in the gateway.{left_out}"
    )
    figures = {"per_connection": each, "connections": curves[-1].cpu_ratio(curves[0])}
    return Section("Open connections", said, figures)


def idle_connection(port: int) -> socket.socket:
    """Open a connection, have one request answered, and leave it open."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(REQUEST)
    received = b""
    while not whole(received):
        received += connection.recv(65_536)
    return connection


def is_open(connection: socket.socket) -> bool:
    """Tell whether the other end has neither closed nor said anything."""
    connection.setblocking(False)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
