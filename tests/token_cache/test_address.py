"""The URLs an operator may write for Redis."""

from __future__ import annotations

import pytest
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection

from gateway.token_cache.address import RedisAddress, read_redis_url

TLS = {"connection_class": SSLConnection}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param(
            "redis://redis.example:6380/2",
            RedisAddress("single", (("redis.example", 6380),), options={"db": 2}),
            id="host, port, database",
        ),
        pytest.param(
            "redis://redis.example",
            RedisAddress("single", (("redis.example", 6379),), options={"db": 0}),
            id="host alone",
        ),
        pytest.param(
            "redis://user:p%40s%2Fs@redis.example",
            RedisAddress(
                "single",
                (("redis.example", 6379),),
                options={"username": "user", "password": "p@s/s", "db": 0},
            ),
            id="user and password",
        ),
        pytest.param(
            "redis://:secret@[::1]:6379/?db=3",
            RedisAddress("single", (("::1", 6379),), options={"password": "secret", "db": 3}),
            id="IPv6, password alone, database as an option",
        ),
        pytest.param(
            "rediss://redis.example?ssl_ca_certs={file}&ssl_certfile={file}&ssl_keyfile={file}",
            RedisAddress(
                "single",
                (("redis.example", 6379),),
                options={
                    **TLS,
                    "ssl_ca_certs": "{file}",
                    "ssl_certfile": "{file}",
                    "ssl_keyfile": "{file}",
                    "db": 0,
                },
            ),
            id="TLS with a client certificate",
        ),
        pytest.param(
            "unix:///run/redis%20one.sock?db=1&username=u&password=p",
            RedisAddress(
                "single",
                (),
                options={
                    "connection_class": UnixDomainSocketConnection,
                    "path": "/run/redis one.sock",
                    "username": "u",
                    "password": "p",
                    "db": 1,
                },
            ),
            id="socket",
        ),
        pytest.param(
            "unix://u:p@/run/redis.sock",
            RedisAddress(
                "single",
                (),
                options={
                    "connection_class": UnixDomainSocketConnection,
                    "path": "/run/redis.sock",
                    "username": "u",
                    "password": "p",
                    "db": 0,
                },
            ),
            id="socket with the user in front",
        ),
        pytest.param(
            "redis+sentinel://u:p@a.example,b.example:5000,[::1]:5001/mymaster/4"
            "?sentinel_username=su&sentinel_password=sp",
            RedisAddress(
                "sentinel",
                (("a.example", 26379), ("b.example", 5000), ("::1", 5001)),
                master="mymaster",
                options={"username": "u", "password": "p", "db": 4},
                sentinel_options={"username": "su", "password": "sp"},
            ),
            id="sentinel",
        ),
        pytest.param(
            "redis+sentinel://a.example/mymaster?tls=true&ssl_ca_certs={file}",
            RedisAddress(
                "sentinel",
                (("a.example", 26379),),
                master="mymaster",
                options={**TLS, "ssl_ca_certs": "{file}", "db": 0},
                sentinel_options={**TLS, "ssl_ca_certs": "{file}"},
            ),
            id="sentinel over TLS",
        ),
        pytest.param(
            "redis+cluster://:p@a.example,b.example:7000?tls=true",
            RedisAddress(
                "cluster",
                (("a.example", 6379), ("b.example", 7000)),
                options={**TLS, "password": "p", "db": 0},
            ),
            id="cluster over TLS",
        ),
        pytest.param(
            "redis+cluster://a.example/?tls=false",
            RedisAddress("cluster", (("a.example", 6379),), options={"db": 0}),
            id="cluster",
        ),
    ],
)
def test_url(url, expected, tmp_path):
    """A URL names hosts, database, credentials and certificates."""
    file = tmp_path / "a.pem"
    file.touch()

    def filled(options):
        return {
            name: value.format(file=file) if isinstance(value, str) else value
            for name, value in options.items()
        }

    read = read_redis_url(url.format(file=file))
    assert (read.kind, read.nodes, read.master) == (expected.kind, expected.nodes, expected.master)
    assert dict(read.options) == filled(expected.options)
    assert dict(read.sentinel_options) == filled(expected.sentinel_options)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://CANARY@redis.example", id="scheme"),
        pytest.param("redis://:CANARY@", id="no host"),
        pytest.param("redis://:CANARY@redis.example:0", id="port 0"),
        pytest.param("redis://:CANARY@redis.example:66000", id="port"),
        pytest.param("redis://[CANARY", id="bracket"),
        pytest.param("redis://:CANARY@redis.example/name", id="database by name"),
        pytest.param("redis://:CANARY@redis.example/?db=x", id="database option"),
        pytest.param("redis://:CANARY@redis.example/?db=1&db=2", id="option twice"),
        pytest.param("redis://:CANARY@redis.example/?socket_timeout=60", id="timeout"),
        pytest.param("redis://:CANARY@redis.example/?ssl_ca_certs=x", id="certificates in clear"),
        pytest.param("redis://:CANARY@a.example,b.example", id="two hosts"),
        pytest.param("rediss://:CANARY@redis.example/?ssl_cert_reqs=none", id="verification off"),
        pytest.param("rediss://:CANARY@redis.example/?ssl_check_hostname=no", id="hostname off"),
        pytest.param("rediss://redis.example/?ssl_ca_certs=/CANARY", id="no such file"),
        pytest.param("redis://:CANARY@redis.example/#x", id="fragment"),
        pytest.param("unix://", id="no socket"),
        pytest.param("unix://CANARY/redis.sock", id="socket on a host"),
        pytest.param("redis+sentinel://:CANARY@a.example", id="no master"),
        pytest.param("redis+sentinel://:CANARY@a.example/m/x", id="sentinel database"),
        pytest.param("redis+sentinel://:CANARY@a.example/m/1/2", id="sentinel path"),
        pytest.param("redis+sentinel://:CANARY@a.example,/m", id="empty host"),
        pytest.param("redis+sentinel://:CANARY@a.example/m?tls=maybe", id="tls maybe"),
        pytest.param("redis+sentinel://a.example/m?ssl_ca_certs=/CANARY", id="files without tls"),
        pytest.param("redis+cluster://:CANARY@a.example/1", id="cluster database"),
        pytest.param("redis+cluster://:CANARY@a.example?sentinel_password=x", id="no sentinels"),
    ],
)
def test_url_refused(url):
    """L1: D8: other URLs are refused, verification stays on, and the error quotes nothing."""
    with pytest.raises(ValueError, match=r"^(it|its|the|one) ") as caught:
        read_redis_url(url)
    assert "CANARY" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_repr():
    """L1: credentials are not shown."""
    assert "CANARY" not in repr(
        read_redis_url("redis+sentinel://u:CANARY@h/m?sentinel_password=CANARY")
    )
