"""``python -m tests.benchmarks``: what `make bench` runs."""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.comparison import Measured, Plan, compare
from tests.benchmarks.installing import Apt, MissingError
from tests.benchmarks.load import Loader, Target
from tests.benchmarks.machine import Cores, allow_many_files, describe
from tests.benchmarks.peers import PEERS
from tests.benchmarks.programs import Running, running_gateway, running_peer
from tests.benchmarks.site import running_site
from tests.benchmarks.tables import comparison_table
from tests.peers.children import ChildError

if TYPE_CHECKING:
    from collections.abc import Container

    from tests.benchmarks.site import Site

WRK = Apt("wrk", ("wrk",))
TASKSET = Apt("taskset", ("util-linux",))
EVERY = ("bearergate", *(peer.name for peer in PEERS))


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=...")
    parser.add_argument("--only", default=",".join(EVERY), help=f"of {','.join(EVERY)}")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter turns, no page")
    given = parser.parse_args()
    given.only = given.only.split(",")
    if unknown := set(given.only) - set(EVERY):
        parser.error(f"no such program: {', '.join(sorted(unknown))}")
    return given


def start(site: Site, cores: Cores, only: Container[str], stack: ExitStack) -> list[Running]:
    """Start the wanted programs; one that cannot be had is named, and left out."""
    runnings = []
    if "bearergate" in only:
        runnings.append(stack.enter_context(running_gateway(site, (cores.proxy,))))
    for peer in PEERS:
        if peer.name not in only:
            continue
        try:
            runnings.append(stack.enter_context(running_peer(peer, site, cores.proxy)))
        except (MissingError, ChildError) as exc:
            print(f"without {peer.name}: {exc}", file=sys.stderr)  # noqa: T201 - for the terminal
    return runnings


def measure(given: argparse.Namespace, folder: Path) -> list[Measured]:
    """Run the comparison."""
    cores = Cores.choose()
    loader = Loader(cores)
    with ExitStack() as stack:
        site = stack.enter_context(running_site(folder, cores.load))
        runnings = start(site, cores, given.only, stack)
        upstream = Target(f"http://127.0.0.1:{site.upstream}/", {}, site.pid)
        plan = Plan.quick() if given.quick else Plan.full()
        return compare(runnings, upstream, loader, plan)


def main() -> None:
    """Measure and print."""
    given = arguments()
    try:
        for tool in (TASKSET, WRK):
            tool.program()
        allow_many_files()
        with tempfile.TemporaryDirectory(prefix="bearergate-bench-") as folder:
            measured = measure(given, Path(folder))
    except MissingError as exc:
        sys.exit(f"the benchmarks cannot run: {exc}")
    print(describe(), comparison_table(measured), sep="\n\n")  # noqa: T201 - what it is run for


if __name__ == "__main__":
    main()
