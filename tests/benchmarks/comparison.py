"""The proxies side by side: in turns, so that whatever the machine does meets all of them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from tests.benchmarks.load import LoadError, Sample, Target
from tests.benchmarks.machine import resident_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.benchmarks.load import Loader
    from tests.benchmarks.programs import Running


OWN = "bearergate"


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how often: seconds of each load, turns of each program."""

    turns: int
    saturated: int
    paced: float
    single: int
    rate: int = 2000

    @classmethod
    def full(cls) -> Plan:
        """Return the plan of the page."""
        return cls(turns=5, saturated=2, paced=1.5, single=1)

    @classmethod
    def quick(cls) -> Plan:
        """Return a plan for a developer who waits."""
        return cls(turns=3, saturated=2, paced=1, single=1)


@dataclass(slots=True)
class Measured:
    """Every turn of one program; the turns of all programs were taken in the same order."""

    name: str
    title: str
    version: str = ""
    saturated: list[Sample] = field(default_factory=list)
    paced: list[Sample] = field(default_factory=list)
    single: list[Sample] = field(default_factory=list)
    resident: int = 0

    @property
    def cpu_us(self) -> float:
        """CPU microseconds per request at full load, the median turn."""
        return median(sample.cpu_us for sample in self.saturated)

    @property
    def per_second(self) -> float:
        """Requests per second, the median turn."""
        return median(sample.load.per_second for sample in self.saturated)


def ratio(own: Sequence[float], other: Sequence[float]) -> float:
    """Return the median of the ratios turn by turn: neighbours in time are compared."""
    return median(mine / theirs for mine, theirs in zip(own, other, strict=True))


def cpu_ratio(own: Measured, other: Measured) -> float:
    """Return how many times as much CPU a request takes."""
    return ratio([s.cpu_us for s in own.saturated], [s.cpu_us for s in other.saturated])


def throughput_ratio(own: Measured, other: Measured) -> float:
    """Return how many times as many requests a second one worker answers."""
    mine = [s.load.per_second for s in own.saturated]
    return ratio(mine, [s.load.per_second for s in other.saturated])


def added_latency_ratio(own: Measured, other: Measured, direct: Measured) -> float:
    """Return the ratio of what two programs add to a direct call at one connection."""
    floor = [s.load.p50 for s in direct.single]
    mine = [s.load.p50 - low for s, low in zip(own.single, floor, strict=True)]
    theirs = [s.load.p50 - low for s, low in zip(other.single, floor, strict=True)]
    return ratio(mine, theirs)


def compare(
    runnings: Sequence[Running],
    upstream: Target,
    loader: Loader,
    plan: Plan,
    drop: Callable[[str, str], None],
) -> list[Measured]:
    """Measure the programs in turns; ``upstream`` without any of them comes first.

    One that does not answer every request is dropped, unless it is our own.
    """
    direct = Measured("direct", "no proxy: the upstream itself")
    left = [(one, Measured(one.name, one.title, one.version)) for one in runnings]
    for running in runnings:
        loader.saturate(running.target, 1)  # caches, pools and lazy imports
    for _ in range(plan.turns):
        take_turn(direct, upstream, loader, plan)
        for running, measured in tuple(left):
            try:
                take_turn(measured, running.target, loader, plan)
            except LoadError as exc:
                if running.name == OWN:
                    raise
                drop(running.title, str(exc))
                left.remove((running, measured))
    for running, measured in left:
        measured.resident = resident_bytes(running.child.pid)
    return [direct, *(measured for _, measured in left)]


def take_turn(measured: Measured, target: Target, loader: Loader, plan: Plan) -> None:
    """Put the three loads on a program, each after a moment of rest."""
    measured.saturated.append(loader.saturate(target, plan.saturated))
    time.sleep(0.1)
    measured.paced.append(loader.pace(target, plan.paced, plan.rate))
    measured.single.append(loader.saturate(target, plan.single, connections=1))
