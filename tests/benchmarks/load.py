"""The load: wrk for throughput, `pacer` for latency at a fixed rate."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.benchmarks.machine import Cores, cpu_seconds, pinned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6}
PERCENTILE = re.compile(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s|m)$", re.MULTILINE)
COUNT = re.compile(r"(\d+) requests in ([\d.]+)(us|ms|s|m)")
TROUBLE = re.compile(r"Socket errors: .*|Non-2xx or 3xx responses: \d+")


class LoadError(Exception):
    """A load did not run clean: its figures would be about something else."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one load saw; latencies in microseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float

    @property
    def per_second(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


@dataclass(frozen=True, slots=True)
class Sample:
    """One load on one program: what the load saw, and the CPU the program took meanwhile."""

    load: Load
    cpu_seconds: float

    @property
    def cpu_us(self) -> float:
        """CPU microseconds per request."""
        return self.cpu_seconds / self.load.requests * 1e6


def parse_wrk(text: str) -> Load:
    """Read what wrk prints with ``--latency``; an answer that is no 2xx is an error."""
    if trouble := TROUBLE.search(text):
        raise LoadError(trouble[0])
    count = COUNT.search(text)
    latencies = {name: float(value) * UNITS[unit] for name, value, unit in PERCENTILE.findall(text)}
    if count is None or int(count[1]) == 0 or len(latencies) != len(("p50", "p99")):
        raise LoadError(f"no figures in: {text.strip()[-300:]}")
    seconds = float(count[2]) * UNITS[count[3]] / 1e6
    return Load(int(count[1]), seconds, latencies["50"], latencies["99"])


def parse_paced(text: str) -> Load:
    """Read what the pacer prints."""
    told = json.loads(text)
    return Load(told["requests"], told["seconds"], told["p50"], told["p99"])


@dataclass(frozen=True, slots=True)
class Target:
    """Where a load goes and with which fields; ``pid`` leads the tree whose CPU is counted."""

    url: str
    headers: Mapping[str, str]
    pid: int


def _run(command: Sequence[str]) -> str:
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    if ran.returncode != 0:
        raise LoadError(f"{command[3]}: {(ran.stderr or ran.stdout).strip()[-300:]}")
    return ran.stdout


def _fields(headers: Mapping[str, str]) -> list[str]:
    return [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]


@dataclass(frozen=True, slots=True)
class Loader:
    """Loads programs from the core that is not theirs."""

    cores: Cores

    def saturate(
        self, target: Target, seconds: int, connections: int = 64, script: Sequence[str] = ()
    ) -> Sample:
        """Send as much as the program takes over so many connections."""
        command = ["wrk", "--latency", "-t1", f"-c{connections}", f"-d{seconds}s"]
        command += [*_fields(target.headers)]
        if script:
            command += ["-s", script[0], target.url, "--", *script[1:]]
        else:
            command += [target.url]
        before = cpu_seconds(target.pid)
        said = _run(pinned(self.cores.load, command))
        return Sample(parse_wrk(said), cpu_seconds(target.pid) - before)

    def pace(self, target: Target, seconds: float, rate: int) -> Sample:
        """Send so many requests a second, each when it is due, whatever happened to the last."""
        command = [sys.executable, "-m", "tests.benchmarks.pacer", target.url, str(rate)]
        command += [str(seconds), json.dumps(dict(target.headers))]
        before = cpu_seconds(target.pid)
        said = _run(pinned(self.cores.load, command))
        return Sample(parse_paced(said), cpu_seconds(target.pid) - before)
