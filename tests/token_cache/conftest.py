from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.token_cache.redis_server import RedisServer
from tests.token_cache.topologies import RedisCluster, Sentinels, ask, require_redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Start a Redis for tests that leave it running."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def start_redis(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """Start Redis servers which the test may pause and kill."""
    servers: list[RedisServer] = []

    def start(*options: str, tls: tuple[str, ...] = ()) -> RedisServer:
        servers.append(RedisServer(tmp_path / f"{len(servers)}", *options, tls=tls))
        servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def sentinels(tmp_path: Path) -> Iterator[Sentinels]:
    """Start a primary, a replica and three sentinels for a test to break."""
    require_redis()
    running = Sentinels(tmp_path)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """Start a cluster for tests that leave it as it is."""
    require_redis()
    running = RedisCluster(tmp_path_factory.mktemp("cluster"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def cluster(shared_cluster: RedisCluster) -> RedisCluster:
    """Return that cluster, emptied."""
    for server in shared_cluster.servers:
        ask(server, "FLUSHALL")
    return shared_cluster


@pytest.fixture
def fragile_cluster(tmp_path: Path) -> Iterator[Callable[..., RedisCluster]]:
    """Start a cluster for a test to break."""
    require_redis()
    made: list[RedisCluster] = []

    def start(*options: str, replicas: int = 0) -> RedisCluster:
        made.append(RedisCluster(tmp_path, *options, replicas=replicas))
        made[-1].start()
        return made[-1]

    yield start
    for running in made:
        running.stop()


@pytest.fixture
def topology() -> Iterator[Callable]:
    """Return a function that has something stopped at the end."""
    with ExitStack() as stack:

        def stopped(running):
            stack.callback(running.stop)
            return running

        yield stopped
