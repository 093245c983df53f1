from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import trustme

from gateway.token_cache.redis import RedisTokenCache
from gateway.token_cache.sealing import Opened, SealingKeys
from tests.peers.children import missing

if TYPE_CHECKING:
    from pathlib import Path

    from tests.token_cache.redis_server import RedisServer

NOW = 1_700_000_000.0
KEYS = SealingKeys([b"n" * 32])
ALICE = b"a" * 32


@pytest.fixture
def tls_redis(tmp_path: Path, start_redis) -> tuple[RedisServer, Path]:
    """Start a Redis that speaks TLS; return it and the file with its trust anchor."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = (
        f"tls-cert-file {tmp_path / 'cert.pem'}",
        f"tls-key-file {tmp_path / 'key.pem'}",
        "tls-auth-clients no",
    )
    try:
        return start_redis(tls=tls), tmp_path / "ca.pem"
    except RuntimeError:
        missing("a redis-server with TLS", "apt-get install redis-server")


async def test_tls(tls_redis) -> None:
    """D8: rediss:// reaches a server whose certificate the given authority vouches for."""
    server, ca_file = tls_redis
    url = f"rediss://127.0.0.1:{server.port}/?ssl_ca_certs={ca_file}"
    cache = RedisTokenCache.connect(url, KEYS, timeout=5.0)
    await cache.store(ALICE, b"token", NOW + 60, NOW)
    assert await cache.find([ALICE], NOW) == Opened(b"token", NOW + 60)
    await cache.aclose()


async def test_tls_of_an_unknown_authority(tls_redis) -> None:
    """D8: a certificate nobody vouches for is a failure like any other."""
    server, _ = tls_redis
    cache = RedisTokenCache.connect(f"rediss://127.0.0.1:{server.port}/", KEYS, timeout=5.0)
    assert await cache.find([ALICE], NOW) is None
    assert cache.failures == 1
    await cache.aclose()


async def test_closed_while_stopped(tls_redis) -> None:
    """F10: closing connections to a Redis that hangs ends and does not raise."""
    server, ca_file = tls_redis
    url = f"rediss://127.0.0.1:{server.port}/?ssl_ca_certs={ca_file}"
    cache = RedisTokenCache.connect(url, KEYS, timeout=1.0)
    assert await cache.ping() is True
    server.pause()
    await cache.aclose()
    server.stop()
    await asyncio.sleep(0.05)  # lets asyncio see that the other side is gone
