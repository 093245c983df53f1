"""The machine that is measured: its cores, and what /proc says about the programs on it."""

from __future__ import annotations

import os
import platform
import resource
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.interpreter import gateway_python, python_version

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cores:
    """Where the proxy under test runs, and where everything else does."""

    proxy: int
    load: int

    @classmethod
    def choose(cls) -> Cores:
        """Take the last core for the proxy and the first for the rest; one core has to do both."""
        free = sorted(os.sched_getaffinity(0))
        return cls(proxy=free[-1], load=free[0])

    @property
    def apart(self) -> bool:
        """Tell whether the proxy has a core of its own."""
        return self.proxy != self.load

    def leave(self) -> None:
        """Keep this process off the proxy's core."""
        os.sched_setaffinity(0, {self.load})


def pinned(core: int, command: list[str]) -> list[str]:
    """Return the command, kept on one core."""
    return ["taskset", "--cpu-list", str(core), *command]


def parse_stat(text: str) -> tuple[int, int, float]:
    """Return the process id, the parent's and the CPU seconds that /proc/<pid>/stat tells."""
    pid = int(text.split(" ", 1)[0])
    fields = text.rpartition(")")[2].split()  # a command's name may hold anything
    return pid, int(fields[1]), (int(fields[11]) + int(fields[12])) / TICKS


def parse_memory(text: str, name: str) -> int:
    """Return the bytes that a line of /proc/<pid>/status tells; a zombie has none."""
    for line in text.splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def tree(root: int, parents: dict[int, int]) -> set[int]:
    """Return the process and everything it started that still runs."""
    found = {root}
    while grown := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= grown
    return found


def _stats() -> list[tuple[int, int, float]]:
    stats = []
    for path in PROC.glob("[0-9]*/stat"):
        try:
            stats.append(parse_stat(path.read_text()))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return stats


def cpu_seconds(root: int) -> float:
    """Return user + system CPU seconds of a process tree so far."""
    stats = _stats()
    members = tree(root, {pid: parent for pid, parent, _ in stats})
    return sum(cpu for pid, _, cpu in stats if pid in members)


def resident_bytes(root: int) -> int:
    """Return the resident memory of a process tree; pages that are shared count in each."""
    return _memory(root, "VmRSS")


def peak_bytes(root: int) -> int:
    """Return the most resident memory that the processes of a tree have had."""
    return _memory(root, "VmHWM")


def _memory(root: int, name: str) -> int:
    members = tree(root, {pid: parent for pid, parent, _ in _stats()})
    return sum(parse_memory((PROC / str(pid) / "status").read_text(), name) for pid in members)


def allow_many_files() -> int:
    """Lift the limit of open files as far as it goes and return it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def describe() -> str:
    """Say in one line what the figures were measured on, without its name."""
    model = "an unnamed processor"
    for line in (PROC / "cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    virtual = ", virtual" if "hypervisor" in (PROC / "cpuinfo").read_text() else ""
    cores = os.cpu_count()  # this process may keep to one of them
    kernel = ".".join(platform.release().split(".")[:2])
    return (
        f"{cores} cores of {model}{virtual}, {memory:.0f} GiB of memory, Linux {kernel}, "
        f"Python {python_version(gateway_python())}"
    )
