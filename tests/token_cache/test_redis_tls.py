from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import trustme

from gateway.token_cache.redis import RedisTokenCache
from gateway.token_cache.sealing import Opened, SealingKeys
from tests.peers.children import missing
from tests.token_cache.asking import look, put
from tests.token_cache.topologies import RedisCluster, Sentinels, require_redis

if TYPE_CHECKING:
    from pathlib import Path

    from tests.token_cache.redis_server import RedisServer

NOW = 1_700_000_000.0
KEYS = SealingKeys([b"n" * 32])
ALICE = b"a" * 32


@pytest.fixture
def certificates(tmp_path: Path) -> tuple[Path, tuple[str, ...]]:
    """Return the file with the trust anchor and the lines that make a server speak TLS."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem", (
        f"tls-cert-file {tmp_path / 'cert.pem'}",
        f"tls-key-file {tmp_path / 'key.pem'}",
        f"tls-ca-cert-file {tmp_path / 'ca.pem'}",
    )


@pytest.fixture
def tls_redis(certificates, start_redis) -> tuple[RedisServer, Path, Path]:
    """Start a Redis that speaks TLS; return it, its trust anchor and a folder of client files."""
    ca_file, tls = certificates
    try:
        return start_redis(tls=(*tls, "tls-auth-clients optional")), ca_file, ca_file.parent
    except RuntimeError:
        missing("a redis-server with TLS", "apt-get install redis-server")


async def test_tls(tls_redis) -> None:
    """D8: rediss:// reaches a server whose certificate the given authority vouches for."""
    server, ca_file, _ = tls_redis
    url = f"rediss://127.0.0.1:{server.port}/?ssl_ca_certs={ca_file}"
    cache = RedisTokenCache.connect(url, KEYS, timeout=5.0)
    await put(cache, ALICE, b"token", NOW + 60, NOW)
    assert await look(cache, [ALICE], NOW) == Opened(b"token", NOW + 60)
    await cache.aclose()


async def test_tls_of_an_unknown_authority(tls_redis) -> None:
    """D8: a certificate nobody vouches for is a failure like any other."""
    server, _, _ = tls_redis
    cache = RedisTokenCache.connect(f"rediss://127.0.0.1:{server.port}/", KEYS, timeout=5.0)
    assert await look(cache, [ALICE], NOW) is None
    assert cache.failures == 1
    await cache.aclose()


async def test_closed_while_stopped(tls_redis) -> None:
    """F10: closing connections to a Redis that hangs ends and does not raise."""
    server, ca_file, _ = tls_redis
    url = f"rediss://127.0.0.1:{server.port}/?ssl_ca_certs={ca_file}"
    cache = RedisTokenCache.connect(url, KEYS, timeout=1.0)
    assert await cache.ping() is True
    server.pause()
    await cache.aclose()
    server.stop()
    await asyncio.sleep(0.05)  # lets asyncio see that the other side is gone


async def test_client_certificate(certificates, start_redis) -> None:
    """A server that wants a certificate of its clients gets the one of the URL."""
    require_redis()
    ca_file, tls = certificates
    server = start_redis(tls=(*tls, "tls-auth-clients yes"))
    url = f"rediss://127.0.0.1:{server.port}/?ssl_ca_certs={ca_file}"
    own = f"&ssl_certfile={ca_file.parent / 'cert.pem'}&ssl_keyfile={ca_file.parent / 'key.pem'}"
    for given, works in ((own, True), ("", False)):
        cache = RedisTokenCache.connect(url + given, KEYS, timeout=5.0)
        assert await cache.ping() is works
        await cache.aclose()


async def test_cluster(certificates, tmp_path: Path, topology) -> None:
    """D8: with tls=true the nodes of a cluster are reached, and checked, over TLS."""
    require_redis()
    ca_file, tls = certificates
    tls = (*tls, "tls-auth-clients no")
    running = topology(RedisCluster(tmp_path / "cluster", tls=tls, ca_file=ca_file))
    running.start()
    for given, works in ((f"&ssl_ca_certs={ca_file}", True), ("", False)):
        cache = RedisTokenCache.connect(f"{running.url}?tls=true{given}", KEYS, timeout=5.0)
        assert await cache.ping() is works
        await cache.aclose()


async def test_sentinel(certificates, tmp_path: Path, topology) -> None:
    """D8: with tls=true sentinels and primary are reached, and checked, over TLS."""
    require_redis()
    ca_file, tls = certificates
    running = topology(Sentinels(tmp_path / "sentinels", tls=(*tls, "tls-auth-clients no")))
    for server in (running.primary, running.replica, *running.sentinels):
        server.start()
    for given, works in ((f"&ssl_ca_certs={ca_file}", True), ("", False)):
        cache = RedisTokenCache.connect(f"{running.url}?tls=true{given}", KEYS, timeout=5.0)
        assert await cache.ping() is works
        await cache.aclose()
