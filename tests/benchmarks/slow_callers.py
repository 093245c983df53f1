"""``python -m tests.benchmarks.slow_callers``: what thousands of slow callers cost everybody else.

Sends requests at a fixed rate, alone and beside the slow ones, and prints the ratios. The slow ones
send a head byte by byte, or nothing at all, or a body byte by byte, and come again when they are
ended.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.load import Loader
from tests.benchmarks.machine import Cores, allow_many_files, pinned
from tests.benchmarks.programs import CREDENTIAL, Running, running_gateway
from tests.benchmarks.site import running_site
from tests.fakes.caller import request

if TYPE_CHECKING:
    from collections.abc import Iterator

JOHN = ("Authorization", CREDENTIAL)
GET = request("GET", "/", [JOHN])
BODY = request("POST", "/upload", [JOHN, ("Content-Length", "1000000")]) + b"x" * 1_000_000
TURNS = 20  # a second, in each of which a part of them sends a byte
RATE = 2_000  # requests a second of everybody else


class Dripping(asyncio.Protocol):
    """One slow connection; ``left`` counts how often it was ended."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sent = 0
        self.open = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport  # type: ignore[assignment] # a stream's
        self.open = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Be ended."""
        del exc
        self.open = False

    def drip(self) -> None:
        """Send one more byte; the first time the whole head, where it is the body that is slow."""
        if self.open and self.transport is not None and self.data is BODY and not self.sent:
            self.sent = BODY.index(b"\r\n\r\n") + 4
            self.transport.write(BODY[: self.sent])
        elif self.open and self.transport is not None and self.sent < len(self.data):
            self.transport.write(self.data[self.sent : self.sent + 1])
            self.sent += 1


async def be_slow(port: int, count: int) -> None:
    """Keep ``count`` slow connections until SIGTERM; who is ended comes again."""
    loop = asyncio.get_running_loop()
    os.nice(10)
    ended, stop = 0, asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    kinds = (GET, b"", BODY)
    slow: list[Dripping | None] = [None] * count
    while not stop.is_set():
        for number, each in enumerate(slow):
            if each is None or not each.open:
                ended += each is not None
                data = kinds[number % len(kinds)]
                with suppress(OSError):
                    _, slow[number] = await loop.create_connection(
                        lambda data=data: Dripping(data), "127.0.0.1", port
                    )
            if number % 100 == 0:
                await asyncio.sleep(0)
        say("all are connected")
        for turn in range(TURNS):
            for each in slow[turn::TURNS]:
                if each is not None:
                    each.drip()
            await asyncio.sleep(1 / TURNS)
    say(str(ended))


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)  # noqa: T201 - what a program on the command line is for


@dataclass(frozen=True, slots=True)
class Beside:
    """What became of the traffic beside slow callers, as parts of what it was without them.

    ``share`` is what they alone take of the gateway's core.
    """

    rate: float
    p50: float
    p99: float
    share: float

    def __str__(self) -> str:
        """Write it for a reader."""
        return (
            f"{self.rate:.3f} of the rate, {self.p50:.2f} of p50, {self.p99:.2f} of p99; "
            f"they alone take {self.share:.1%} of the gateway's core"
        )


@dataclass(frozen=True, slots=True)
class Slow:
    """So many slow callers, in a process of their own on the core of the load."""

    count: int
    core: int

    @contextmanager
    def beside(self, port: int) -> Iterator[None]:
        """Keep them connected, and tell how many were ended meanwhile."""
        command = [sys.executable, "-m", __spec__.name]
        command += ["--slow", str(port), "--connections", str(self.count)]
        with subprocess.Popen(
            pinned(self.core, command), stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout is not None
                process.stdout.readline()
                yield
            finally:
                process.terminate()
            say(f"  {process.stdout.read().split()[-1]} slow connections were ended")


def measure(count: int, seconds: int, rounds: int) -> None:
    """Measure and print."""
    cores = Cores.choose()
    cores.leave()
    allow_many_files()
    with (
        tempfile.TemporaryDirectory(prefix="bearergate-bench-") as folder,
        running_site(Path(folder), cores.load) as site,
        running_gateway(site, (cores.proxy,)) as gateway,
    ):
        loader, slow = Loader(cores), Slow(count, cores.load)
        loader.saturate(gateway.target, 2)
        found = [compare(gateway, loader, slow, seconds) for _ in range(rounds)]
    middle = Beside(*map(statistics.median, zip(*map(astuple, found), strict=True)))
    say(f"{RATE} requests a second beside {count} slow callers, median of {rounds}: {middle}")


def on_processor(pid: int) -> float:
    """Return how long a process has been on a processor, in seconds."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def compare(gateway: Running, loader: Loader, slow: Slow, seconds: int) -> Beside:
    """Send the same traffic alone and beside slow callers."""
    pid, target = gateway.child.pid, gateway.target
    alone = loader.pace(target, seconds, RATE)
    with slow.beside(gateway.port):
        began, spent = time.monotonic(), on_processor(pid)
        time.sleep(seconds)
        share = (on_processor(pid) - spent) / (time.monotonic() - began)
        beside = loader.pace(target, seconds, RATE)
    found = Beside(
        beside.load.per_second / alone.load.per_second,
        beside.load.p50 / alone.load.p50,
        beside.load.p99 / alone.load.p99,
        share,
    )
    say(f"  p50 {alone.load.p50:.0f} µs alone, {beside.load.p50:.0f} µs beside: {found}")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slow", type=int, metavar="PORT", help="be the slow callers of a port")
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--seconds", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if given.slow:
        asyncio.run(be_slow(given.slow, given.connections))
        sys.exit()
    measure(given.connections, given.seconds, given.rounds)
