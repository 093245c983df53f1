"""How the number of routes counts."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from tests.benchmarks.scenarios import Bench, Curve, Section, curve_rows, take_turns
from tests.benchmarks.tables import table

if TYPE_CHECKING:
    from pathlib import Path

COUNTS = (1, 1_000)


def measure(bench: Bench) -> Section:
    """Compare one route with a thousand, of which the load takes the one for everything else."""
    with ExitStack() as stack:
        curves = [
            Curve(
                f"{count:,}",
                stack.enter_context(
                    bench.gateway(f"with {count} routes", write_routes(bench, count))
                ),
            )
            for count in COUNTS
        ]
        for curve in curves:
            bench.loader.saturate(curve.running.target, 1)
        take_turns(bench, curves)
    more = curves[1].cpu_us - curves[0].cpu_us
    head = ("routes", "CPU µs per request", "to 1", "requests/s")
    said = f"{table(head, curve_rows(curves))}\n\nA thousand routes cost {more:.1f} µs a request."
    return Section("Routes", said, {"routes": more})


def write_routes(bench: Bench, count: int) -> Path:
    """Write a file with so many routes; the last one takes what no other does."""
    upstream = f"http://127.0.0.1:{bench.site.upstream}"
    lines = ["routes:"]
    for number in range(count - 1):
        lines += [f"  - name: service-{number}", f"    paths: [/service-{number}]"]
        lines += [f"    upstream: {upstream}"]
    lines += ["  - name: all", "    paths: [/]", f"    upstream: {upstream}"]
    path = bench.site.folder / f"routes-{count}.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path
