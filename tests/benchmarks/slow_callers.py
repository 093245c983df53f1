"""``python -m tests.benchmarks.slow_callers``: what thousands of slow callers cost everybody else.

Measures requests a second of a few quick callers, alone and beside the slow ones, and prints the
ratio. The slow ones send a head byte by byte, or nothing at all, or a body byte by byte, and come
again when they are ended.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.fakes.caller import basic, request
from tests.fakes.provider import FakeProvider
from tests.fakes.upstream import RecordingUpstream
from tests.fakes.waiting import until
from tests.journeys.running import RunningGateway

JOHN = basic("john", "doe")
GET = request("GET", "/", [JOHN])
BODY = request("POST", "/", [JOHN, ("Content-Length", "1000000")]) + b"x" * 1_000_000
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
QUICK = 4


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
        """Send one more byte."""
        if self.open and self.transport is not None and self.sent < len(self.data):
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
        for each in slow:
            if each is not None:
                if each.data is BODY and not each.sent and each.open and each.transport:
                    each.sent = BODY.index(b"\r\n\r\n") + 4
                    each.transport.write(BODY[: each.sent])
                each.drip()
        await asyncio.sleep(1)
    say(str(ended))


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)  # noqa: T201 - what a program on the command line is for


async def be_quick(port: int, seconds: float) -> float:
    """Return how many requests a second a few callers get answered."""

    async def ask() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        count, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            writer.write(GET)
            await reader.readexactly(len(ANSWERED))
            count += 1
        writer.close()
        return count

    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET)
    head = await reader.readuntil(b"\r\n\r\n")
    ANSWERED[:] = head + await reader.readexactly(2)
    writer.close()
    return sum(await asyncio.gather(*(ask() for _ in range(QUICK)))) / seconds


ANSWERED = bytearray()


async def measure(count: int, seconds: float, rounds: int) -> None:
    """Measure and print."""
    async with FakeProvider() as provider, RecordingUpstream() as upstream:
        upstream.answer_next(ANSWER, times=None)
        settings = {
            "ISSUER": provider.issuer,
            "CLIENT_ID": provider.client_id,
            "CLIENT_SECRET": provider.client_secret,
            "UPSTREAM_URL": upstream.url,
            "CACHE_TTL_MAX": "3600",
        }
        async with RunningGateway(**settings) as gateway:
            pin(gateway.pid, 0)
            pin(0, 1)
            await be_quick(gateway.port, 1)
            ratios = [
                await compare(gateway.pid, gateway.port, count, seconds, upstream)
                for _ in range(rounds)
            ]
    say(f"median of {rounds} rounds: {statistics.median(ratios):.3f}")


def on_processor(pid: int) -> float:
    """Return how long a process has been on a processor, in seconds."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def pin(pid: int, core: int) -> None:
    """Keep a process on one core, where there are two: what is measured is the gateway's."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(pid, {core})


async def compare(
    pid: int, port: int, count: int, seconds: float, upstream: RecordingUpstream
) -> float:
    """Return the rate beside slow callers as a part of the rate before and after."""
    before = await be_quick(port, seconds)
    slow = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __spec__.name, "--slow", str(port), "--connections", str(count),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert slow.stdout is not None
    await slow.stdout.readline()
    began, spent = time.monotonic(), on_processor(pid)
    await asyncio.sleep(seconds)
    share = (on_processor(pid) - spent) / (time.monotonic() - began)
    beside = await be_quick(port, seconds)
    slow.terminate()
    ended = int((await slow.stdout.read()).split()[-1])
    await slow.wait()
    upstream.requests.clear()
    await until(lambda: upstream.open_connections < QUICK + 2, within=60)
    after = await be_quick(port, seconds)
    ratio = beside / statistics.mean((before, after))
    say(
        f"{before:.0f}/s alone, {beside:.0f}/s beside {count} slow callers ({ended} ended), "
        f"{after:.0f}/s after them: {ratio:.3f}; alone they take {share:.1%} of the gateway's core"
    )
    return ratio


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slow", type=int, metavar="PORT", help="be the slow callers of a port")
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if given.slow:
        asyncio.run(be_slow(given.slow, given.connections))
        sys.exit()
    asyncio.run(measure(given.connections, given.seconds, given.rounds))
