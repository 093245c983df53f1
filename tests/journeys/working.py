"""A gateway of several workers: asked, loaded, and looked at from outside."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path

import aiohttp

from tests.fakes.caller import RawCaller, basic, request
from tests.fakes.waiting import until

JOHN = basic("john", "doe")


GET = request("GET", "/", [JOHN])


CONCURRENCY = 8


LONG = 30.0


async def ask(gateway):
    """Send one request on a connection of its own; return its status, 0 without an answer."""
    async with RawCaller(gateway.port, within=LONG) as caller:
        return (await caller.send(GET)).status


async def admin(gateway, path, method="GET"):
    """Ask the admin port; return status and text."""
    url = f"http://127.0.0.1:{gateway.admin_port}{path}"
    async with aiohttp.ClientSession() as session, session.request(method, url) as response:
        return response.status, await response.text()


async def all_ready(gateway):
    """Wait until both workers are ready."""
    async with asyncio.timeout(LONG):
        text = ""
        while "2 of 2 ready" not in text:
            _, text = await admin(gateway, "/readyz")


async def lookups(gateway):
    """Return how many look-ups in memory the metrics tell of."""
    _, page = await admin(gateway, "/metrics")
    lines = [line for line in page.splitlines() if "lookups_total" in line and "memory" in line]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def cached_by_both(gateway, provider):
    """Send requests until both workers have logged john in; return how many it took."""
    for count in range(1, 200):
        assert 200 == await ask(gateway)
        if len(provider.token_calls) == 2:
            return count
    raise AssertionError("one worker gets every connection")


async def stops(gateway):
    """End a gateway as an operator does; tell whether it says that all went well."""
    gateway.signal(signal.SIGTERM)
    return await gateway.exited() == 0


def has_ended(pid):
    """Tell whether a process is gone, or nothing but its exit status is left of it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


class Load:
    """Callers who connect, ask once, and come again; ``failures`` had no answer, or another."""

    def __init__(self, gateway):
        self._gateway = gateway
        self._tasks = []
        self.answered = 0
        self.refused = 0
        self.failures = []

    async def __aenter__(self):
        self._tasks = [asyncio.create_task(self._come_again()) for _ in range(CONCURRENCY)]
        return self

    async def __aexit__(self, *_):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def finished(self):
        """Wait until no caller can connect any more."""
        await asyncio.wait_for(asyncio.gather(*self._tasks), LONG)

    async def more(self, count=50):
        """Wait until so many more have been answered."""
        goal = self.answered + count
        await until(lambda: self.answered >= goal, LONG)

    async def _come_again(self):
        while not self.refused:
            status = await self._once()
            if status is None:
                self.refused += 1
            elif status == 200:
                self.answered += 1
            else:
                self.failures.append(status)

    async def _once(self):
        """Return the status; None when nobody listens."""
        with socket.socket() as caller:
            try:  # in one go, so that a request follows its connection at once
                caller.connect(("127.0.0.1", self._gateway.port))
                caller.sendall(GET)
            except ConnectionRefusedError:
                return None
            except ConnectionError:
                return 0
            caller.setblocking(False)
            return await self._read(caller)

    async def _read(self, caller):
        seen = b""
        try:
            async with asyncio.timeout(LONG):
                while b"\r\n\r\n" not in seen:
                    data = await asyncio.get_running_loop().sock_recv(caller, 65536)
                    if not data:
                        return 0
                    seen += data
        except (ConnectionError, TimeoutError):
            return 0
        return int(seen.split(b" ")[1])
