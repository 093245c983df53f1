"""The gateway as an operator runs it: ``python -m gateway run``, configured by environment."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .children import Child, free_port
from .wire import Answer, ask

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH")
READY_TIMEOUT = 60.0


@dataclass(frozen=True)
class Gateway:
    """A running gateway."""

    child: Child
    port: int
    admin_port: int

    @property
    def url(self) -> str:
        """The proxy listener."""
        return f"http://127.0.0.1:{self.port}"

    def key_set(self) -> dict[str, Any]:
        """Return the JWK Set of the gateway's own keys, as a provider fetches it."""
        answer = ask(f"http://127.0.0.1:{self.admin_port}/openid-connect/jwks")
        document: dict[str, Any] = answer.document()
        return document

    def purge(self, user: str) -> Any:
        """Forget what is cached for a user; return what the admin port says."""
        url = f"http://127.0.0.1:{self.admin_port}/cache?user={user}"
        return ask(url, method="DELETE").document()

    def get(self, target: str, headers: dict[str, str] | None = None, **more: Any) -> Answer:
        """Send one request through the gateway."""
        return ask(self.url + target, headers=headers, **more)

    def log_lines(self) -> list[dict[str, Any]]:
        """Return the JSON log lines written so far."""
        lines = [line for line in self.child.output().splitlines() if line.startswith("{")]
        return [json.loads(line) for line in lines]

    def access_line(self, answer: Answer, patience: float = 10.0) -> dict[str, Any]:
        """Return the access line of the request that got this answer."""
        request_id = answer.header("X-Request-Id")
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            for line in self.log_lines():
                if line.get("request_id") == request_id and "duration_ms" in line:
                    return line
            time.sleep(0.05)
        raise AssertionError(f"no access line for {request_id}\n{self.child.output()}")

    def cache_of(self, answer: Answer) -> str | None:
        """Return where the token of this request came from, by the access line."""
        cache: str | None = self.access_line(answer).get("cache")
        return cache

    def wait_ready(self) -> None:
        """Return when readiness says 200; tell the gateway's last lines if it never does."""
        self.child.wait_for_port(self.admin_port, READY_TIMEOUT)
        deadline = time.monotonic() + READY_TIMEOUT
        while ask(f"http://127.0.0.1:{self.admin_port}/readyz").status != 200:
            if self.child.returncode() is not None or time.monotonic() > deadline:
                self.child.fail("it did not get ready")
            time.sleep(0.1)
        self.child.wait_for_port(self.port)


def start(log: Path, environment: Mapping[str, str], *arguments: str) -> Gateway:
    """Start a gateway on free ports and return it when it is ready."""
    port, admin_port = free_port(), free_port()
    own = {name: os.environ[name] for name in KEPT if name in os.environ}
    own |= {name: value for name, value in os.environ.items() if name.startswith("COV")}
    own |= {"HOST": "127.0.0.1", "PORT": str(port), "ADMIN_PORT": str(admin_port)}
    own |= {"LOG_FORMAT": "json", "PYTHONUNBUFFERED": "1", **environment}
    command = [sys.executable, "-m", "gateway", "run", *arguments]
    gateway = Gateway(Child(command, log, environment=own, cwd=ROOT), port, admin_port)
    try:
        gateway.wait_ready()
    except BaseException:
        gateway.child.stop()
        raise
    return gateway
