"""Callers of a gateway while something around it fails, and what they saw."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from itertools import count
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

from tests.fakes.caller import RawCaller, basic, request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

OWNER = basic("owner", "good")
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer: when its request was sent, how long it took, and its status (0: none)."""

    at: float
    seconds: float
    status: int


class Callers:
    """Connections to one gateway, used again while they are open."""

    def __init__(self, port):
        self._port = port
        self._idle = []

    async def send(self, pair, address="127.0.0.1"):
        """Send one request, for this address, and return what came of it."""
        caller = self._idle.pop() if self._idle else await self._connect()
        began = perf_counter()
        data = request("GET", "/", [pair, ("X-Forwarded-For", address)])
        answer = await caller.send(data)
        seen = Seen(began, perf_counter() - began, answer.status)
        if answer.closed:
            caller.leave()
        else:
            self._idle.append(caller)
        return seen

    def leave(self):
        """Close every connection."""
        for caller in self._idle:
            caller.leave()

    async def _connect(self):
        return await RawCaller(self._port, within=PATIENCE).__aenter__()


class Stream:
    """Requests sent at a steady rate, whatever becomes of those before; a context manager."""

    def __init__(self, port, every, pairs: Callable[[int], tuple]):
        self._callers = Callers(port)
        self._every = every
        self._pairs = pairs
        self._sending: set[asyncio.Task] = set()
        self.seen: list[Seen] = []

    async def __aenter__(self):
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        await asyncio.gather(*self._sending)
        self._callers.leave()

    def since(self, at):
        """Return what was sent since then."""
        return [seen for seen in self.seen if seen.at >= at]

    async def _run(self):
        began = perf_counter()
        for number in count():
            task = asyncio.create_task(self._send(number))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
            await asyncio.sleep(began + (number + 1) * self._every - perf_counter())

    async def _send(self, number):
        self.seen.append(await self._callers.send(*self._pairs(number)))


def address_of(number):
    """Return an address of its own for each of 65,000 callers."""
    return f"10.9.{number // 250 % 250}.{number % 250 + 1}"


def owner(_):
    """Return the credentials whose token is cached."""
    return (OWNER,)


def strangers(name):
    """Return what gives each caller a name and an address of its own."""
    return lambda number: (basic(f"{name}{number}", "p"), address_of(number))


def statuses(seen: Iterable[Seen]) -> str:
    """Say how many answers had which status."""
    found = [one.status for one in seen]
    return ", ".join(f"{found.count(each)} times {each}" for each in sorted(set(found))) or "none"


def milliseconds(seen: Sequence[Seen]) -> str:
    """Say how long the answers took: the middle, the slowest of a hundred, the slowest."""
    took = sorted(1000 * one.seconds for one in seen)
    if not took:
        return "no answers"
    high = took[min(len(took) - 1, math.ceil(0.99 * len(took)) - 1)]
    return f"{median(took):.1f} / {high:.1f} / {took[-1]:.1f}"


def mann_whitney(one: Sequence[float], other: Sequence[float]) -> float:
    """Return how likely two samples of one distribution differ by at least as much (two-sided)."""
    ranked = sorted([(value, 0) for value in one] + [(value, 1) for value in other])
    ranks = sum(rank for rank, (_, which) in enumerate(ranked, 1) if which == 0)
    size, rest = len(one), len(other)
    mean = size * (size + rest + 1) / 2
    deviation = math.sqrt(size * rest * (size + rest + 1) / 12)
    return math.erfc(abs(ranks - mean) / deviation / math.sqrt(2))
