"""What the cost of a request depends on: a question a module, each a section of the page."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from tests.benchmarks.comparison import ratio
from tests.benchmarks.programs import CREDENTIAL, running_gateway
from tests.benchmarks.site import CONFIGS, basic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.benchmarks.load import Loader, Sample
    from tests.benchmarks.machine import Cores
    from tests.benchmarks.programs import Running
    from tests.benchmarks.site import Site

SCRIPT = str(CONFIGS / "credentials.lua")


@dataclass(frozen=True, slots=True)
class Bench:
    """What every scenario works with."""

    site: Site
    cores: Cores
    loader: Loader
    turns: int = 5
    seconds: int = 2

    def gateway(
        self, name: str, config: Path | None = None, **settings: str
    ) -> AbstractContextManager[Running]:
        """Run a gateway of the scenario's own on the proxy's core."""
        return running_gateway(self.site, (self.cores.proxy,), name, config, **settings)

    def credentials(self, count: int) -> Path:
        """Write a file of so many credentials."""
        path = self.site.folder / f"credentials-{count}"
        if not path.exists():
            lines = (basic(f"user-{n}", f"password-{n}") for n in range(count))
            path.write_text("\n".join(lines))
        return path


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page: its title, what stands under it, and figures for the targets."""

    title: str
    text: str
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Curve:
    """One gateway of a scenario and its turns."""

    label: str
    running: Running
    script: Sequence[str] = ()
    samples: list[Sample] = field(default_factory=list)

    @property
    def cpu_us(self) -> float:
        """CPU microseconds per request, the median turn."""
        return median(sample.cpu_us for sample in self.samples)

    @property
    def per_second(self) -> float:
        """Requests per second, the median turn."""
        return median(sample.load.per_second for sample in self.samples)

    def cpu_ratio(self, other: Curve) -> float:
        """Return how many times the CPU of the other's requests these take."""
        return ratio([s.cpu_us for s in self.samples], [s.cpu_us for s in other.samples])

    def more_than(self, other: Curve) -> float:
        """Return how many CPU microseconds more than the other's these take, the median turn."""
        pairs = zip(self.samples, other.samples, strict=True)
        return median(mine.cpu_us - theirs.cpu_us for mine, theirs in pairs)


def take_turns(bench: Bench, curves: Sequence[Curve]) -> None:
    """Load the gateways in turns."""
    for _ in range(bench.turns):
        for curve in curves:
            target = curve.running.target
            curve.samples.append(bench.loader.saturate(target, bench.seconds, script=curve.script))


def curve_rows(curves: Sequence[Curve]) -> list[list[str]]:
    """Write label, CPU, its ratio to the first, and requests a second of each."""
    first = curves[0]
    return [
        [c.label, f"{c.cpu_us:.1f}", f"{c.cpu_ratio(first):.2f}", f"{c.per_second:,.0f}"]
        for c in curves
    ]


__all__ = ["CREDENTIAL", "SCRIPT", "Bench", "Curve", "Section", "curve_rows", "take_turns"]
