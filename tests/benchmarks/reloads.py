"""``python -m tests.benchmarks.reloads``: a configuration read again every second under load.

Prints how many requests were answered and how many failed; any that failed ends it with 1.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.load import Loader, LoadError
from tests.benchmarks.machine import Cores, allow_many_files
from tests.benchmarks.programs import running_gateway
from tests.benchmarks.site import running_site

if TYPE_CHECKING:
    from tests.benchmarks.programs import Running

RELOADED = "the configuration is reloaded"


def written(file: Path, leeway: int) -> None:
    """Put a configuration there in one step, as deployments do."""
    new = file.with_suffix(".new")
    new.write_text(f"leeway: {leeway}\nroutes: [{{name: r{leeway}, paths: [/]}}]\n")
    new.replace(file)


def reload_often(gateway: Running, file: Path, seconds: int) -> None:
    """Change the configuration and say so, once a second."""
    for second in range(seconds):
        written(file, 1 + second % 2)
        os.kill(gateway.child.pid, signal.SIGHUP)
        time.sleep(1)


def measure(seconds: int) -> str:
    """Return what was seen; raises ``LoadError`` when a request failed."""
    cores = Cores.choose()
    cores.leave()
    allow_many_files()
    with (
        tempfile.TemporaryDirectory(prefix="bearergate-bench-") as folder,
        running_site(Path(folder), cores.load) as site,
        ThreadPoolExecutor(1) as pool,
    ):
        file = Path(folder) / "reloads.yaml"
        written(file, 1)
        with running_gateway(site, (cores.proxy,), "reloads", file) as gateway:
            reloading = pool.submit(reload_often, gateway, file, seconds)
            load = Loader(cores).saturate(gateway.target, seconds).load
            reloading.result()
        count = (Path(folder) / "reloads.log").read_text().count(RELOADED)
    return f"{load.requests} requests answered 200 in {load.seconds:.0f} s and {count} reloads"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    try:
        print(measure(parser.parse_args().seconds))  # noqa: T201 - what it is run for
    except LoadError as exc:
        sys.exit(f"requests failed: {exc}")
