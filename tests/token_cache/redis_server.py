"""A Redis of one's own, as a child process: started, stopped, killed and paused for real."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

from tests.peers.children import free_port
from tests.peers.installed import redis_server

if TYPE_CHECKING:
    from pathlib import Path

START_TIMEOUT = 60.0


class RedisServer:
    """One server in a folder of its own; ``options`` are lines of its configuration."""

    def __init__(
        self, folder: Path, *options: str, tls: tuple[str, ...] = (), sentinel: bool = False
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._arguments = ("--sentinel",) if sentinel else ()
        self.folder = folder
        self.socket = folder / "redis.sock"
        self.dump = folder / "dump.rdb"
        listen = tls and (f"tls-port {self.port}", "port 0", *tls)
        keeps = ("save ''", "appendonly no", f"unixsocket {self.socket}")
        self._lines = (
            *(listen or (f"port {self.port}",)),
            "bind 127.0.0.1",
            f"dir {folder}",
            *(() if sentinel else keeps),
            *options,
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        configuration = self.folder / "redis.conf"
        configuration.write_text("\n".join(self._lines) + "\n")
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(redis_server()), str(configuration), *self._arguments], stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_TIMEOUT
        while not self._accepts():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "redis.log").read_text())
            time.sleep(0.01)

    def stop(self) -> None:
        """Kill it, paused or not."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Stop it from running while its connections stay open (SIGSTOP)."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run again (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _accepts(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False
