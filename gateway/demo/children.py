"""Programs the demo starts, their output and their end.

Rule: every child leads a process group of its own and the whole group is gone after ``stop``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

LAST_LINES: Final = 20
LINE_LIMIT: Final = 1 << 20
STOP_GRACE: Final = 5.0

# What a child keeps of the environment; every setting of the gateway and of the provider is left
# behind, so that the demo is the same in every shell.
KEPT_NAMES: Final = frozenset(
    {"PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH"}
)
KEPT_PREFIXES: Final = ("LC_", "PYTHON", "COVERAGE_")  # COVERAGE_: measured runs see the children


class DemoError(Exception):
    """The demo cannot go on; the text says why and what helps."""


def child_environment(
    environment: Mapping[str, str], settings: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment of a child: the part of ours it needs, and its settings."""
    kept = {
        name: value
        for name, value in environment.items()
        if name in KEPT_NAMES or name.startswith(KEPT_PREFIXES)
    }
    return {**kept, "PYTHONUNBUFFERED": "1", **settings}


class Child:
    """A running program whose lines are kept, and shown where ``show`` is given."""

    def __init__(
        self, name: str, process: asyncio.subprocess.Process, show: Callable[[str], None] | None
    ) -> None:
        self.name = name
        self._process = process
        self._show = show
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        cwd: Path | None = None,
        show: Callable[[str], None] | None = None,
    ) -> Child:
        """Start a program in a process group of its own."""
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                env=environment,
                cwd=cwd,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
                limit=LINE_LIMIT,
            )
        except OSError as exc:
            raise DemoError(f"cannot start {name} ({command[0]}): {exc.strerror}") from exc
        return cls(name, process, show)

    @property
    def pid(self) -> int:
        """The process id, which is the id of its group too."""
        return self._process.pid

    @property
    def last_lines(self) -> str:
        """The last lines it wrote."""
        return "\n".join(self._last)

    async def ended(self) -> int:
        """Wait for its end and the last of its output; return its exit status."""
        status = await self._process.wait()
        await asyncio.wait([self._reading], timeout=STOP_GRACE)
        return status

    async def stop(self, grace: float = STOP_GRACE) -> None:
        """End the whole group, politely first."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._process.wait()
        self._signal(signal.SIGKILL)
        await self.ended()
        self._reading.cancel()

    def obituary(self, status: int) -> str:
        """Say how it ended, with its last lines unless they have been shown."""
        how = f"exit status {status}" if status >= 0 else signal.Signals(-status).name
        if self._show is not None and self._last:
            return f"{self.name} ended with {how}; its last lines are above"
        lines = self.last_lines or "(it wrote nothing)"
        return f"{self.name} ended with {how}; its last lines:\n{lines}"

    async def _read(self) -> None:
        stream = self._process.stdout
        while stream is not None and (line := await stream.readline()):
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            self._last.append(text)
            if self._show is not None:
                self._show(text)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
