"""A proxy as a running program: pinned to its core, and told by its process id."""

from __future__ import annotations

import os
import re
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.benchmarks.interpreter import gateway_python
from tests.benchmarks.load import Target
from tests.benchmarks.machine import pinned
from tests.benchmarks.site import BODY, CONFIGS, Site, basic, filled
from tests.peers.children import Child, free_port
from tests.peers.wire import ask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.benchmarks.installing import Source

CREDENTIAL = basic("john", "correct horse battery staple")
READY_TIMEOUT = 10.0
OK = 200
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH")


@dataclass(frozen=True, slots=True)
class Peer:
    """A proxy of someone else: where it comes from, how it is configured and started.

    ``files`` are templates of ``configs/``; in them, in ``command`` and in ``environment`` a
    ``@name@`` stands for a value of the site's, for ``@port@``, for ``@program@``, or for
    ``@config@``, the first of the files.
    """

    name: str
    title: str
    source: Source
    files: tuple[str, ...]
    command: tuple[str, ...]
    bearer: bool = False
    version: str = "-v"
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Running:
    """A proxy that listens."""

    name: str
    title: str
    child: Child
    port: int
    headers: Mapping[str, str]
    admin_port: int = 0
    version: str = ""
    path: str = "/"

    @property
    def target(self) -> Target:
        """Where loads go."""
        return Target(f"http://127.0.0.1:{self.port}{self.path}", self.headers, self.child.pid)


def prove(running: Running) -> None:
    """See that the upstream's own answer comes through; a program may need a moment for it."""
    deadline, answer = time.monotonic() + READY_TIMEOUT, None
    while time.monotonic() < deadline:
        answer = ask(running.target.url, headers=dict(running.headers))
        if answer.status == OK and answer.body == BODY.encode():
            return
        time.sleep(0.1)
    running.child.fail(f"requests were answered {answer.status if answer else 'never'}")


def version_of(command: list[str]) -> str:
    """Return the first thing that looks like a version in what a program says about itself."""
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    found = re.search(r"\d+\.\d+\.\d+", ran.stdout + ran.stderr)
    return found[0] if found else "of unknown version"


@contextmanager
def running_peer(peer: Peer, site: Site, core: int) -> Iterator[Running]:
    """Run a peer; raises ``MissingError`` when it cannot be had and ``ChildError`` when it ends."""
    port, program = free_port(), peer.source.program()
    version = version_of([program, peer.version]) if peer.version else ""
    values = {**site.values, "port": str(port), "program": program}
    for name in peer.files:
        text = filled((CONFIGS / name).read_text(), values)
        (site.folder / name).write_text(text)
    values["config"] = str(site.folder / peer.files[0]) if peer.files else ""
    command = [filled(part, values) for part in peer.command]
    environment = {name: filled(value, values) for name, value in peer.environment}
    log = site.folder / f"{peer.name}.log"
    child = Child(pinned(core, command), log, environment={**os.environ, **environment})
    try:
        child.wait_for_port(port)
        shown = f"Bearer {site.token}" if peer.bearer else CREDENTIAL
        running = Running(
            peer.name, peer.title, child, port, {"Authorization": shown}, version=version
        )
        prove(running)
        yield running
    finally:
        child.stop()


def gateway_settings(site: Site) -> dict[str, str]:
    """Return what the gateway needs to be told; everything else has its default."""
    return {
        "ISSUER": site.issuer,
        "CLIENT_ID": "gateway",
        "CLIENT_SECRET": "gateway-secret-of-the-benchmark",
        "UPSTREAM_URL": f"http://127.0.0.1:{site.upstream}",
        "CACHE_TTL_MAX": "86400",
        "HOST": "127.0.0.1",
        "LOG_FORMAT": "json",
    }


@contextmanager
def running_gateway(
    site: Site,
    cores: tuple[int, ...],
    name: str = "bearergate",
    config: Path | None = None,
    **settings: str,
) -> Iterator[Running]:
    """Run the gateway as an operator does; its access lines are written, and thrown away."""
    port, admin_port = free_port(), free_port()
    environment = {key: os.environ[key] for key in KEPT if key in os.environ}
    environment |= {**gateway_settings(site), "PORT": str(port), "ADMIN_PORT": str(admin_port)}
    on = ",".join(map(str, cores))
    start = f'exec taskset --cpu-list {on} "$0" -m gateway run "$@" >/dev/null'
    given = ["--config", str(config)] if config else []
    log = site.folder / f"{name}.log"
    command = ["sh", "-c", start, gateway_python(), *given]
    child = Child(command, log, environment={**environment, **settings})
    try:
        child.wait_for_port(admin_port)
        child.wait_for_port(port)
        running = Running(name, name, child, port, {"Authorization": CREDENTIAL}, admin_port)
        prove(running)
        yield running
    finally:
        child.stop()
