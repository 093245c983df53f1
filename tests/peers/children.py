"""Child processes and loopback ports of the peer tests.

Rule: every child leads a process group of its own, and the whole group is gone after ``stop``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STOP_TIMEOUT = 15.0


class ChildError(Exception):
    """A child did not come up; the text ends with the last lines it wrote."""


def free_port() -> int:
    """Return a loopback port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Tell whether something accepts connections on the loopback port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def cache_folder() -> Path:
    """Where installed counterparts are kept, outside the repository."""
    caches = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("BEARERGATE_CACHE") or f"{caches}/bearergate")


def missing(reason: str, command: str) -> NoReturn:
    """Skip on a laptop and fail in CI because a counterpart is not there."""
    text = f"{reason}; install it with: {command}"
    if os.environ.get("CI") == "true":
        pytest.fail(text, pytrace=False)
    pytest.skip(text)


class Child:
    """A program started for the tests, its output kept in a file."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.command = list(command)
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                env=None if environment is None else dict(environment),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id, which is the id of the group too."""
        return self._process.pid

    def returncode(self) -> int | None:
        """Return the exit status, None while it runs."""
        return self._process.poll()

    def output(self) -> str:
        """Return everything it has written so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_for_port(self, port: int, patience: float = 30.0) -> None:
        """Return when the port accepts connections; if it never does, tell the last lines."""
        deadline = time.monotonic() + patience
        while not listens(port):
            if self.returncode() is not None or time.monotonic() > deadline:
                self.fail(f"port {port} was not opened")
            time.sleep(0.05)

    def fail(self, what: str) -> NoReturn:
        """Stop it and raise, with the last lines it wrote."""
        ended = self.returncode()
        self.stop()
        state = "still running" if ended is None else f"exit status {ended}"
        tail = "\n".join(self.output().splitlines()[-40:])
        raise ChildError(f"{self.command[0]}: {what} ({state})\n{tail}")

    def pause(self) -> None:
        """Stop the group without ending it: connections stay open and nothing answers."""
        os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused group go on."""
        os.killpg(self.pid, signal.SIGCONT)

    def stop(self, patience: float = STOP_TIMEOUT) -> int:
        """End the group, politely first, and return the exit status of its leader."""
        for number in (signal.SIGCONT, signal.SIGTERM):
            self._signal_group(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        return self.kill()

    def kill(self) -> int:
        """End the group at once and return the exit status of its leader."""
        self._signal_group(signal.SIGKILL)
        return self._process.wait(STOP_TIMEOUT)

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
