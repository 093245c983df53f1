"""How the number of cached credentials counts, and what a login without the cache costs."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.benchmarks.filling import fill
from tests.benchmarks.machine import resident_bytes
from tests.benchmarks.scenarios import SCRIPT, Bench, Curve, Section, curve_rows, take_turns
from tests.benchmarks.tables import table

if TYPE_CHECKING:
    from tests.benchmarks.load import Sample

COUNTS = (10, 1_000, 100_000)


@dataclass(frozen=True, slots=True)
class Filled:
    """A gateway that knows its credentials, and what it took to get there."""

    curve: Curve
    idle: int
    logins: Sample
    per_credential: float


def measure(bench: Bench) -> Section:
    """Fill gateways with credentials, then send each of them round and round."""
    with ExitStack() as stack:
        filled = [start(bench, count, stack) for count in COUNTS]
        curves = [one.curve for one in filled]
        take_turns(bench, curves)
    most = filled[-1]
    rows = table(
        ("cached credentials", "CPU µs per request", "to 10", "requests/s"), curve_rows(curves)
    )
    said = (
        "Each request shows the credential that was not used for longest, so that no cache of the "
        "processor helps.\n\n"
        f"{rows}\n\n"
        f"A login without the cache (token request, answer read, signature verified, token kept) "
        f"took {most.logins.cpu_us:,.0f} µs of CPU in the gateway: the mean of "
        f"{COUNTS[-1]:,} logins over 64 connections, with a provider that answers at once.\n"
        f"A cached credential takes {most.per_credential / 1024:.1f} KiB of memory, "
        f"its token of {len(bench.site.token):,} bytes included.\n"
        f"An idle worker takes {filled[0].idle / 2**20:.0f} MiB."
    )
    figures = {
        "credentials": curves[-1].cpu_ratio(curves[0]),
        "idle": filled[0].idle / 2**20,
        "per_credential": most.per_credential / 1024,
    }
    return Section("Cached credentials, and logins without the cache", said, figures)


def start(bench: Bench, count: int, stack: ExitStack) -> Filled:
    """Start a gateway, log in with each credential once and show it once more."""
    most = {"CACHE_MAX_ENTRIES": str(2 * COUNTS[-1])}
    running = stack.enter_context(bench.gateway(f"with {count} credentials", **most))
    file = bench.credentials(count)
    before = resident_bytes(running.child.pid)
    shown = file.read_text().splitlines()
    logins = fill(running, shown)
    fill(running, shown)
    grown = resident_bytes(running.child.pid) - before
    curve = Curve(f"{count:,}", running, (SCRIPT, str(file)))
    return Filled(curve, before, logins, grown / count)
