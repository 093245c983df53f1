"""Redis as people run it: a primary with a replica and sentinels, and a cluster, all for real."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any

import redis

from tests.peers.children import free_port, missing
from tests.token_cache.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATIENCE = 30.0
MASTER = "tokens"


def require_redis() -> None:
    """Skip, or fail in CI, where there is no redis-server with its redis-cli."""
    if not (shutil.which("redis-server") and shutil.which("redis-cli")):
        missing("a redis-server and redis-cli", "apt-get install redis-server redis-tools")


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something the servers settle among themselves."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if condition():
                return
        except redis.RedisError:
            pass
        if time.monotonic() > deadline:
            raise RuntimeError(f"it never came to this: {what}")
        time.sleep(0.05)


def ask(server: RedisServer, *command: str | int, **options: Any) -> Any:
    """Return what a server answers."""
    with redis.Redis(
        "127.0.0.1", server.port, decode_responses=True, protocol=2, **options
    ) as client:
        return client.execute_command(*command)


class Sentinels:
    """A primary, a replica of it, and three sentinels that fail over after half a second."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        sentinel_options: tuple[str, ...] = (),
        tls: tuple[str, ...] = (),
    ) -> None:
        options = (*options, "tls-replication yes") if tls else options
        sentinel_options = (*sentinel_options, "tls-replication yes") if tls else sentinel_options
        self.primary = RedisServer(folder / "primary", *options, tls=tls)
        replica_of = f"replicaof 127.0.0.1 {self.primary.port}"
        self.replica = RedisServer(folder / "replica", replica_of, *options, tls=tls)
        lines = (
            f"sentinel monitor {MASTER} 127.0.0.1 {self.primary.port} 2",
            f"sentinel down-after-milliseconds {MASTER} 500",
            f"sentinel failover-timeout {MASTER} 2000",
            *sentinel_options,
        )
        self.sentinels = [
            RedisServer(folder / f"sentinel{n}", *lines, tls=tls, sentinel=True) for n in range(3)
        ]

    def start(self) -> None:
        """Start all five and wait until everybody knows everybody."""
        for server in (self.primary, self.replica, *self.sentinels):
            server.start()
        for sentinel in self.sentinels:
            until(lambda server=sentinel: self._settled(server), "sentinels know each other")

    @property
    def url(self) -> str:
        """Where the sentinels are, and what they call the primary."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{MASTER}"

    def wait_for_failover(self) -> None:
        """Wait until the replica is the primary."""
        until(lambda: ask(self.replica, "ROLE")[0] == "master", "the replica is promoted")

    def stop(self) -> None:
        """Kill all of them."""
        for server in (*self.sentinels, self.replica, self.primary):
            server.stop()

    @staticmethod
    def _settled(sentinel: RedisServer) -> bool:
        flat = ask(sentinel, "SENTINEL", "MASTER", MASTER)
        state = dict(zip(flat[::2], flat[1::2], strict=True))
        return int(state["num-other-sentinels"]) == 2 and int(state["num-slaves"]) == 1


class RedisCluster:
    """Three primaries with a third of the slots each; with ``replicas`` one replica for each."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        replicas: int = 0,
        tls: tuple[str, ...] = (),
        ca_file: Path | None = None,
    ) -> None:
        self.replicas = replicas
        self._ssl = {"ssl": True, "ssl_ca_certs": str(ca_file)} if tls else {}
        self._cli = ("--tls", "--cacert", str(ca_file)) if tls else ()
        self.servers = [
            RedisServer(
                folder / f"node{n}",
                "cluster-enabled yes",
                f"cluster-port {free_port()}",
                "cluster-node-timeout 1000",
                "cluster-replica-validity-factor 0",
                "repl-ping-replica-period 1",
                *(("tls-cluster yes", "tls-replication yes") if tls else ()),
                *options,
                tls=tls,
            )
            for n in range(3 + 3 * replicas)
        ]

    def start(self) -> None:
        """Start the nodes, make them a cluster and wait until each says so."""
        for server in self.servers:
            server.start()
        nodes = [f"127.0.0.1:{server.port}" for server in self.servers]
        wanted = ("--cluster-replicas", str(self.replicas), "--cluster-yes")
        made = subprocess.run(
            ["redis-cli", *self._cli, "--cluster", "create", *nodes, *wanted],
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        if made.returncode:
            raise RuntimeError(made.stdout.decode() + made.stderr.decode())
        for server in self.servers:
            until(lambda node=server: self._settled(node), "each node has the whole cluster")

    @property
    def url(self) -> str:
        """Where two of the nodes are."""
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in self.servers[:2])
        return f"redis+cluster://{hosts}"

    def server_at(self, port: int) -> RedisServer:
        """Return the server that listens at this port."""
        return next(server for server in self.servers if server.port == port)

    def stop(self) -> None:
        """Kill all of them."""
        for server in self.servers:
            server.stop()

    def _settled(self, server: RedisServer) -> bool:
        links = ask(server, "CLUSTER", "NODES", **self._ssl).count("connected")
        state = ask(server, "CLUSTER", "INFO", **self._ssl)
        return "cluster_state:ok" in state and links >= len(self.servers)
