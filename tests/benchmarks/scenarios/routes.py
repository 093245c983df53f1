"""How the number of routes counts."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.benchmarks.scenarios import Bench, Curve, Section, curve_rows, take_turns
from tests.benchmarks.tables import table

if TYPE_CHECKING:
    from pathlib import Path

MANY = 1_000
NOWHERE = "http://127.0.0.1:9"  # should the routes not count, requests fail


def measure(bench: Bench) -> Section:
    """Compare one route with a thousand, by a path of one of them and by a path of none."""
    with ExitStack() as stack:
        one, many = (
            stack.enter_context(
                bench.gateway(f"with {n} routes", write_routes(bench, n), UPSTREAM_URL=NOWHERE)
            )
            for n in (1, MANY)
        )
        middle = f"/service-{MANY // 2}/orders"
        curves = [
            Curve("1", replace(one, path=middle)),
            Curve(f"{MANY:,}, taking one in the middle", replace(many, path=middle)),
            Curve(f"{MANY:,}, taking the one for the rest", replace(many, path="/other/orders")),
        ]
        for curve in curves:
            bench.loader.saturate(curve.running.target, 1)
        # A difference of a few microseconds takes more turns than a ratio.
        take_turns(replace(bench, turns=4 * bench.turns, seconds=1), curves)
    more = max(curve.more_than(curves[0]) for curve in curves[1:])
    head = ("routes", "CPU µs per request", "to 1", "requests/s")
    said = (
        f"{table(head, curve_rows(curves))}\n\n"
        f"The dearer of the two with {MANY:,} routes costs {more:+.1f} µs a request."
    )
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
