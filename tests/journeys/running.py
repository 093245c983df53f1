"""A gateway as a process of its own, for what only a process shows: signals, exit, memory."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Self

from tests.fakes.caller import RawCaller, request
from tests.fakes.waiting import until


class RunningGateway:
    """``python -m gateway run`` with these arguments and settings, and the ports it listens on.

    Its access lines go to the file ``access_log``, or nowhere.
    """

    def __init__(self, *arguments, access_log=None, **settings):
        self._arguments = arguments
        self._access_log = access_log
        self._settings = settings
        self.port = self.admin_port = 0
        self.events = ""

    async def __aenter__(self) -> Self:
        environ = {"HOST": "127.0.0.1", "PORT": "0", "ADMIN_PORT": "0", "LOG_FORMAT": "json"}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", "run", *self._arguments,
            env={**os.environ, **environ, **self._settings},
            stdout=self._access_log or asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self._reading = asyncio.create_task(self._read_events())
        await until(lambda: self.port or self._process.returncode is not None, within=60)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reading

    def signal(self, number):
        """Send a signal."""
        self._process.send_signal(number)

    async def exited(self):
        """Wait for the end of the process and return its exit status."""
        return await self._process.wait()

    @property
    def pid(self):
        """The number of the process; of several, of the one above the workers."""
        return self._process.pid

    @property
    def workers(self):
        """The numbers of its child processes."""
        return [
            int(pid)
            for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        ]

    @property
    def peak_memory(self):
        """The most memory the process has had so far, in bytes."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024

    async def counted(self, sample):
        """Return what its metrics say of this sample, written as it is there."""
        async with RawCaller(self.admin_port) as caller:
            page = (await caller.send(request("GET", "/metrics"))).body.decode()
        found = re.search(rf"^{re.escape(sample)} (\S+)$", page, re.MULTILINE)
        return float(found[1]) if found else 0.0

    async def _read_events(self):
        while line := await self._process.stderr.readline():
            self.events += line.decode()
            if found := re.search(
                r"listening on https?://127\.0\.0\.1:(\d+), admin on http://127\.0\.0\.1:(\d+)",
                self.events,
            ):
                self.port, self.admin_port = map(int, found.groups())
