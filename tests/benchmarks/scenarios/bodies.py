"""What a large body costs, downwards and upwards, beside nginx."""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING

from tests.benchmarks.comparison import ratio
from tests.benchmarks.machine import cpu_seconds, peak_bytes, pinned, resident_bytes
from tests.benchmarks.peers import PEERS
from tests.benchmarks.programs import CREDENTIAL, running_peer
from tests.benchmarks.scenarios import Bench, Section
from tests.benchmarks.sink import BLOCK, SIZE
from tests.benchmarks.tables import table
from tests.peers.children import Child, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.benchmarks.programs import Running

TURNS = 3
HEAD = f"Host: gateway\r\nAuthorization: {CREDENTIAL}\r\nConnection: close\r\n"


@dataclass(slots=True)
class Moved:
    """A program and the CPU seconds each of its bodies took."""

    running: Running
    before: int
    down: list[float] = field(default_factory=list)
    up: list[float] = field(default_factory=list)


def measure(bench: Bench) -> Section:
    """Move 1 GiB down and up through both programs, in turns."""
    nginx = next(peer for peer in PEERS if peer.name == "nginx")
    with ExitStack() as stack:
        port = stack.enter_context(running_sink(bench))
        beside = replace(bench, site=replace(bench.site, upstream=port))
        runnings = (
            stack.enter_context(beside.gateway("with-bodies")),
            stack.enter_context(running_peer(nginx, beside.site, bench.cores.proxy)),
        )
        own, other = (Moved(one, resident_bytes(one.child.pid)) for one in runnings)
        for _ in range(TURNS):
            for one in (own, other):
                one.down.append(cpu_of(one.running, download))
                one.up.append(cpu_of(one.running, upload))
        grown = (peak_bytes(own.running.child.pid) - own.before) / 2**20
    down, up = ratio(own.down, other.down), ratio(own.up, other.up)
    rows = [
        ["downwards", f"{median(own.down):.2f}", f"{median(other.down):.2f}", f"{down:.2f}"],
        ["upwards", f"{median(own.up):.2f}", f"{median(other.up):.2f}", f"{up:.2f}"],
    ]
    head = ("1 GiB", "bearergate, CPU s", "nginx, CPU s", "ratio")
    said = f"{table(head, rows)}\n\nThe gateway's memory grew by {grown:.0f} MiB at its peak."
    return Section("Large bodies", said, {"body": max(down, up)})


def cpu_of(running: Running, move: Callable[[int], None]) -> float:
    """Return the CPU seconds a program took for one body."""
    before = cpu_seconds(running.child.pid)
    move(running.port)
    return cpu_seconds(running.child.pid) - before


def download(port: int) -> None:
    """Read 1 GiB."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(f"GET /large HTTP/1.1\r\n{HEAD}\r\n".encode())
        received, block = 0, bytearray(1 << 18)
        while got := connection.recv_into(block):
            received += got
    if received < SIZE:
        raise ConnectionError(f"the body ended after {received} bytes")


def upload(port: int) -> None:
    """Send 1 GiB and wait for the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(f"PUT / HTTP/1.1\r\n{HEAD}Content-Length: {SIZE}\r\n\r\n".encode())
        for _ in range(SIZE // len(BLOCK)):
            connection.sendall(BLOCK)
        answer = connection.recv(4096)
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise ConnectionError(answer[:100].decode("ascii", "replace"))


@contextmanager
def running_sink(bench: Bench) -> Iterator[int]:
    """Run the upstream for large bodies on the load's core and give its port."""
    port = free_port()
    command = [sys.executable, "-m", "tests.benchmarks.sink", str(port)]
    child = Child(pinned(bench.cores.load, command), bench.site.folder / "sink.log")
    try:
        child.wait_for_port(port)
        yield port
    finally:
        child.stop()
