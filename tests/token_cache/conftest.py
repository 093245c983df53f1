from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.token_cache.redis_server import RedisServer

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
        servers.append(RedisServer(tmp_path, *options, tls=tls))
        servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
