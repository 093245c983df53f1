"""What a second worker brings."""

from __future__ import annotations

from contextlib import ExitStack

from tests.benchmarks.programs import running_gateway
from tests.benchmarks.scenarios import Bench, Curve, Section, curve_rows, take_turns
from tests.benchmarks.tables import table


def measure(bench: Bench) -> Section:
    """Run with one worker and with two, on every core there is.

    The load needs a core too, so what two workers could do on two free cores is worked out from
    the CPU a request takes: twice what one does, less what a request costs more.
    """
    cores = tuple(sorted({bench.cores.load, bench.cores.proxy}))
    with ExitStack() as stack:
        curves = [
            Curve(
                str(count),
                stack.enter_context(
                    running_gateway(bench.site, cores, f"with {count} workers", WORKERS=str(count))
                ),
            )
            for count in (1, 2)
        ]
        for curve in curves:
            bench.loader.saturate(curve.running.target, 1)
        take_turns(bench, curves)
    head = ("workers", "CPU µs per request", "to 1", "requests/s")
    on_paper = 2 / curves[1].cpu_ratio(curves[0])
    said = (
        "Load, upstream and workers share the cores here, so the requests a second say little.\n\n"
        f"{table(head, curve_rows(curves))}\n\n"
        f"Two workers with a free core each would answer {on_paper:.2f} times as many requests as "
        "one: worked out from the CPU, not measured."
    )
    return Section("Workers", said, {"workers": on_paper})
