"""Figures as Markdown."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from tests.benchmarks.comparison import cpu_ratio

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.benchmarks.comparison import Measured

MIB = 2**20
COLUMNS = (
    "program", "CPU µs per request", "to nginx's", "requests/s", "p50 µs", "p99 µs",
    "1 connection, p50 µs", "memory MiB",
)  # fmt: skip


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def comparison_table(measured: Sequence[Measured]) -> str:
    """Write the table of the proxies; the direct call has no CPU of a proxy."""
    nginx = next((one for one in measured if one.name == "nginx"), None)
    return table(COLUMNS, [comparison_row(one, nginx) for one in measured])


def comparison_row(one: Measured, nginx: Measured | None) -> list[str]:
    """Write one program's row."""
    direct = one.name == "direct"
    times = "" if direct or nginx is None else f"{cpu_ratio(one, nginx):.2f}"
    return [
        one.title,
        "" if direct else f"{one.cpu_us:.1f}",
        times,
        f"{one.per_second:,.0f}",
        f"{median(s.load.p50 for s in one.paced):,.0f}",
        f"{median(s.load.p99 for s in one.paced):,.0f}",
        f"{median(s.load.p50 for s in one.single):,.0f}",
        "" if direct else f"{one.resident / MIB:,.0f}",
    ]
