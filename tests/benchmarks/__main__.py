"""``python -m tests.benchmarks``: what `make bench` runs."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks import page
from tests.benchmarks.comparison import OWN, Measured, Plan, compare
from tests.benchmarks.installing import Apt, MissingError
from tests.benchmarks.load import Loader, LoadError, Target
from tests.benchmarks.machine import Cores, allow_many_files, describe
from tests.benchmarks.peers import PEERS
from tests.benchmarks.programs import Running, running_gateway, running_peer
from tests.benchmarks.scenarios import (
    Bench,
    Section,
    bodies,
    connections,
    credentials,
    routes,
    shared_cache,
    workers,
)
from tests.benchmarks.site import running_site
from tests.benchmarks.tables import comparison_table
from tests.peers.children import ChildError

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from tests.benchmarks.site import Site

WRK = Apt("wrk", ("wrk",))
TASKSET = Apt("taskset", ("util-linux",))
EVERY = (OWN, *(peer.name for peer in PEERS))
SCENARIOS = {
    "credentials": credentials.measure,
    "redis": shared_cache.measure,
    "connections": connections.measure,
    "bodies": bodies.measure,
    "workers": workers.measure,
    "routes": routes.measure,
}


def say(text: str) -> None:
    """Tell someone who waits how far it is."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)  # noqa: T201 - a program


def arguments() -> argparse.Namespace:
    """Read the command line; without any choice everything runs and the page is written."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=...")
    parser.add_argument("--only", metavar="PROGRAMS", help=f"of {','.join(EVERY)}")
    parser.add_argument("--scenarios", metavar="NAMES", help=f"of {','.join(SCENARIOS)}")
    parser.add_argument("--quick", action="store_true", help="shorter turns, no page")
    given = parser.parse_args()
    given.whole = not (given.only or given.scenarios or given.quick)
    chosen = given.only or ("" if given.scenarios else ",".join(EVERY))
    given.only = [name for name in chosen.split(",") if name]
    given.scenarios = (given.scenarios or "").split(",") if given.scenarios else []
    if given.whole:
        given.scenarios = list(SCENARIOS)
    if unknown := {*given.only, *given.scenarios} - {*EVERY, *SCENARIOS}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    return given


class Missing(dict[str, str]):
    """What could not be measured, and why."""

    def note(self, name: str, why: str) -> None:
        """Keep the reason for the page, and tell it."""
        self[name] = why
        say(f"without {name}: {why}")


def start(
    site: Site, cores: Cores, only: Container[str], stack: ExitStack, missing: Missing
) -> list[Running]:
    """Start the wanted programs; one that cannot be had is noted, and left out."""
    runnings = []
    if OWN in only:
        runnings.append(stack.enter_context(running_gateway(site, (cores.proxy,))))
    for peer in PEERS:
        if peer.name not in only:
            continue
        try:
            runnings.append(stack.enter_context(running_peer(peer, site, cores.proxy)))
        except (MissingError, ChildError) as exc:
            missing.note(peer.title, str(exc))
    return runnings


def run_scenarios(names: Sequence[str], bench: Bench, missing: Missing) -> list[Section]:
    """Run the wanted scenarios; one that this version or machine does not allow is noted."""
    sections = []
    for name in names:
        say(f"scenario {name}")
        try:
            sections.append(SCENARIOS[name](bench))
        except (MissingError, ChildError, LoadError, OSError) as exc:
            missing.note(f"scenario {name}", str(exc))
    return sections


def run(given: argparse.Namespace, folder: Path) -> tuple[list[Measured], list[Section], str]:
    """Run what is wanted; return the figures and the page."""
    cores = Cores.choose()
    cores.leave()
    loader, plan = Loader(cores), Plan.quick() if given.quick else Plan.full()
    missing = Missing()
    measured: list[Measured] = []
    with ExitStack() as stack:
        site = stack.enter_context(running_site(folder, cores.load))
        upstream = Target(f"http://127.0.0.1:{site.upstream}/", {}, site.pid)
        with ExitStack() as peers:
            runnings = start(site, cores, given.only, peers, missing)
            if runnings:
                say(f"{len(runnings)} programs, {plan.turns} turns each")
                measured = compare(runnings, upstream, loader, plan, missing.note)
        bench = Bench(site, cores, loader, turns=plan.turns)
        sections = run_scenarios(given.scenarios, bench, missing)
    text = page.write(measured, sections, missing, plan=plan, apart=cores.apart)
    return measured, sections, text


def main() -> None:
    """Measure, print, and write the page after a whole run."""
    given = arguments()
    try:
        for tool in (TASKSET, WRK):
            tool.program()
        allow_many_files()
        with tempfile.TemporaryDirectory(prefix="bearergate-bench-") as folder:
            measured, sections, text = run(given, Path(folder))
    except (MissingError, ChildError, LoadError) as exc:
        sys.exit(f"the benchmarks cannot run: {exc}")
    if given.whole:
        page.PAGE.write_text(text)
        say(f"written: {page.PAGE.relative_to(Path.cwd())}")
    short = [
        describe(),
        *([comparison_table(measured)] if measured else []),
    ]
    shown = text if given.whole else "\n\n".join([*short, *(one.text for one in sections)])
    print(shown)  # noqa: T201 - what it is run for


if __name__ == "__main__":
    main()
