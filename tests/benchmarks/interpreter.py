"""The Python the measured gateway runs on: the one that the machine's distribution has packaged."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from tests.benchmarks.installing import run, tools_folder

LOCK = Path(__file__).parents[2] / "requirements" / "runtime.lock"
OLDEST = (3, 11)


@cache
def gateway_python() -> str:
    """Return a Python with what the gateway depends on; raises ``MissingError``.

    It is the distribution's, as an operator has it: compiled with optimisation by profile, which a
    Python that was built by hand often is not. Where that is too old it is the one we run on.
    """
    system = shutil.which("python3", path="/usr/bin")
    if system is None or _version(system) < OLDEST:
        return sys.executable
    told = hashlib.sha256(LOCK.read_bytes() + python_version(system).encode()).hexdigest()
    folder = tools_folder() / f"gateway-{told[:12]}"
    python, done = folder / "bin" / "python", folder / "installed"
    if not done.exists():
        run([system, "-m", "venv", "--clear", "--without-pip", str(folder)])
        pip = [sys.executable, "-m", "pip", "--python", str(python)]
        run([*pip, "install", "-q", "--require-hashes", "-r", str(LOCK)])
        done.touch()
    return str(python)


def python_version(program: str) -> str:
    """Return the version a Python tells."""
    ran = subprocess.run([program, "--version"], check=True, capture_output=True, text=True)
    return ran.stdout.split()[-1]


def _version(program: str) -> tuple[int, ...]:
    return tuple(int(part) for part in python_version(program).split(".")[:2])
