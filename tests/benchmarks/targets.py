"""What the gateway is meant to reach, and what it reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.benchmarks.comparison import added_latency_ratio, cpu_ratio, throughput_ratio
from tests.benchmarks.tables import table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.benchmarks.comparison import Measured


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit a figure has to keep."""

    sign: str
    value: float
    unit: str = ""

    def __str__(self) -> str:
        """Write it as a reader does."""
        return f"{self.sign} {self.value:g}{self.unit}"

    def holds(self, figure: float) -> bool:
        """Tell whether the figure keeps it."""
        if self.sign == "≥":
            return figure >= self.value
        return figure < self.value if self.sign == "<" else figure <= self.value


@dataclass(frozen=True, slots=True)
class Goal:
    """One measure, by the key of its figure."""

    key: str
    measure: str
    bound: Bound


CPU = "CPU per cached request, bearergate / "
GOALS = (
    Goal("cpu nginx", f"{CPU}nginx `proxy_pass`", Bound("≤", 2.7)),
    Goal("cpu caddy", f"{CPU}Caddy `reverse_proxy`", Bound("≤", 0.55)),
    Goal("cpu traefik", f"{CPU}Traefik", Bound("<", 1)),
    Goal("cpu envoy-jwt", f"{CPU}Envoy with `jwt_authn`", Bound("<", 1)),
    Goal("cpu envoy-jwt-cached", f"{CPU}the same with its cache of verified tokens", Bound("<", 1)),
    Goal("cpu oauth2-proxy", f"{CPU}oauth2-proxy", Bound("<", 1)),
    Goal("rate lua", "requests/s of one worker, bearergate / nginx + Lua bridge", Bound("≥", 0.5)),
    Goal("latency", "latency added at 1 connection, p50, bearergate / nginx", Bound("≤", 3)),
    Goal("credentials", "CPU per request, 100,000 cached credentials / 10", Bound("≤", 1.15)),
    Goal("workers", "requests/s, 2 workers on 2 free cores / 1, on paper", Bound("≥", 1.8)),
    Goal("idle", "memory of one idle worker", Bound("≤", 80, " MiB")),
    Goal("per_connection", "memory of an idle connection", Bound("≤", 24, " KiB")),
    Goal("per_credential", "memory of a cached credential", Bound("≤", 4, " KiB")),
    Goal("body", "CPU per GiB of body, bearergate / nginx, the worse direction", Bound("≤", 4)),
    Goal("routes", "CPU per request, 1,000 routes less 1 route", Bound("≤", 5, " µs")),
)


def figures_of(measured: Sequence[Measured]) -> dict[str, float]:
    """Return the ratios of the comparison, by their goals' keys."""
    by_name = {one.name: one for one in measured}
    own = by_name.get("bearergate")
    if own is None:
        return {}
    figures = {
        f"cpu {name}": cpu_ratio(own, by_name[name]) for name in by_name if by_name[name].saturated
    }
    if lua := by_name.get("lua"):
        figures["rate lua"] = throughput_ratio(own, lua)
    if nginx := by_name.get("nginx"):
        figures["latency"] = added_latency_ratio(own, nginx, by_name["direct"])
    return figures


def targets_table(figures: Mapping[str, float], goals: Sequence[Goal] = GOALS) -> str:
    """Write the table of the targets; a figure nobody took is said to be missing."""
    return table(("measure", "target", "measured", "kept"), [row(goal, figures) for goal in goals])


def row(goal: Goal, figures: Mapping[str, float]) -> list[str]:
    """Write one target's row."""
    figure = figures.get(goal.key)
    if figure is None:
        return [goal.measure, str(goal.bound), "not measured", ""]
    kept = "yes" if goal.bound.holds(figure) else "no"
    return [goal.measure, str(goal.bound), f"{figure:.2f}{goal.bound.unit}", kept]
