"""The gateway as a process between oidc-provider, a real Redis and httpbin."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from typing import TYPE_CHECKING

import pytest
import redis

from .wire import Answer, ask, basic, forwarded

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.token_cache.redis_server import RedisServer

    from .running_gateway import Gateway

pytestmark = [pytest.mark.peer("redis"), pytest.mark.timeout(600)]

JOHN = basic("john", "doe")
CACHE_SECRET = "a-cache-secret-of-this-test-0123456789"


@pytest.fixture
def gateway(start_gateway: Callable[..., Gateway], oidc_provider: str) -> Gateway:
    """Start a gateway without Redis."""
    return start_gateway(ISSUER=oidc_provider)


@pytest.fixture
def start_with_redis(
    start_gateway: Callable[..., Gateway], oidc_provider: str, redis_server: RedisServer
) -> Callable[..., Gateway]:
    """Give a function that starts a gateway sharing the test's Redis."""

    def start(**settings: str) -> Gateway:
        shared = {"REDIS_URL": redis_server.url, "CACHE_SECRET": CACHE_SECRET}
        return start_gateway(ISSUER=oidc_provider, **(shared | settings))

    return start


def test_a_second_process_is_served_from_redis(start_with_redis: Callable[..., Gateway]) -> None:
    """What one process logged in, another with the same CACHE_SECRET finds in Redis."""
    first = start_with_redis().get("/anything", JOHN)
    second_gateway = start_with_redis()
    second, third = (second_gateway.get("/anything", JOHN) for _ in range(2))
    assert forwarded(first) == forwarded(second)
    assert second_gateway.cache_of(second) == "redis"
    assert second_gateway.cache_of(third) == "memory"


def test_a_process_with_another_secret_finds_nothing(
    start_with_redis: Callable[..., Gateway],
) -> None:
    """Without the CACHE_SECRET an entry is neither found nor readable (A3)."""
    first = start_with_redis().get("/anything", JOHN)
    other = start_with_redis(CACHE_SECRET="another-secret-of-this-test-0123456789")
    second = other.get("/anything", JOHN)
    assert forwarded(first) != forwarded(second)
    assert other.cache_of(second) != "redis"


def test_a_rotated_secret_still_reads_what_the_older_one_wrote(
    start_with_redis: Callable[..., Gateway],
) -> None:
    """CACHE_SECRET=new,old reads entries of the old secret (A3)."""
    first = start_with_redis().get("/anything", JOHN)
    rotated = start_with_redis(
        CACHE_SECRET=f"a-newer-secret-of-this-test-0123456789,{CACHE_SECRET}"
    )
    assert forwarded(rotated.get("/anything", JOHN)) == forwarded(first)


def test_redis_holds_no_credential_and_no_token(
    start_with_redis: Callable[..., Gateway], redis_server: RedisServer
) -> None:
    """Keys and values in Redis show neither pair nor token, and every key expires (A4, A5)."""
    token = forwarded(start_with_redis().get("/anything", JOHN))
    with redis.Redis(port=redis_server.port) as connection:
        keys = connection.keys("*")
        stored = b"".join(key + connection.dump(key) for key in keys)
        lives = {key: connection.pttl(key) for key in keys}
    assert len(keys) >= 1
    for secret in ("john", "doe", "eyJ", "kong-secret", token, token.rpartition(".")[2]):
        assert secret.encode() not in stored
    tokens = {key: life for key, life in lives.items() if key.startswith(b"bearergate:2:t:")}
    assert tokens
    assert all(0 < life <= 300_000 for life in tokens.values())
    assert min(lives.values()) > 0


@pytest.mark.parametrize("outage", ["killed", "paused"])
def test_without_redis_cached_and_new_callers_are_served(
    start_with_redis: Callable[..., Gateway], redis_server: RedisServer, outage: str
) -> None:
    """A Redis that is gone or silent is a miss: nobody sees an error (A13, F9, F10)."""
    gateway = start_with_redis()
    assert gateway.get("/anything", JOHN).status == 200
    if outage == "killed":
        redis_server.stop()
    else:
        redis_server.pause()
    again = gateway.get("/anything", JOHN)
    assert again.status == 200
    assert gateway.cache_of(again) == "memory"
    assert gateway.get("/anything", basic("service", "service-secret")).status == 200
    assert gateway.get("/anything", basic("john", "bad")).status == 401


def test_redis_is_used_again_after_it_came_back(
    start_with_redis: Callable[..., Gateway], redis_server: RedisServer
) -> None:
    """A gateway that saw Redis go writes to it again once it is back (F9)."""
    gateway = start_with_redis(CACHE_TTL_MAX="1")
    redis_server.stop()
    assert gateway.get("/anything", JOHN).status == 200
    redis_server.start()
    deadline = time.monotonic() + 30
    with redis.Redis(port=redis_server.port) as connection:
        while not connection.dbsize() and time.monotonic() < deadline:
            assert gateway.get("/anything", JOHN).status == 200
            time.sleep(0.1)
        assert time.monotonic() < deadline


def test_a_gateway_starts_while_redis_is_down(
    start_with_redis: Callable[..., Gateway], redis_server: RedisServer
) -> None:
    """Redis is a convenience: without it the gateway gets ready and serves (A13)."""
    redis_server.stop()
    assert start_with_redis().get("/anything", JOHN).status == 200


def test_the_upstream_sees_bearer_and_no_basic(gateway: Gateway) -> None:
    """Httpbin receives exactly one Authorization field, of scheme Bearer (RFC 6750 §2.1, P6)."""
    headers = gateway.get("/headers", JOHN).document()["headers"]
    assert headers["Authorization"].startswith("Bearer eyJ")
    assert "Basic" not in json.dumps(headers)


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("/gzip", id="gzip"),
        pytest.param("/deflate", id="deflate"),
        pytest.param("/brotli", id="brotli"),
        pytest.param("/image/png", id="png"),
        pytest.param("/encoding/utf8", id="utf8"),
        pytest.param("/bytes/100000?seed=7", id="bytes"),
        pytest.param("/stream-bytes/100000?seed=7", id="chunked-bytes"),
        pytest.param("/range/1024", id="range"),
        pytest.param("/status/418", id="status-418"),
        pytest.param("/status/204", id="status-204"),
        pytest.param("/status/503", id="status-503"),
        pytest.param("/redirect-to?url=/anything", id="redirect"),
        pytest.param("/cookies/set?a=1&b=2", id="cookies"),
        pytest.param("/basic-auth/john/doe", id="its-own-401"),
        pytest.param("/response-headers?X-One=1&X-One=2", id="repeated-field"),
    ],
)
def test_a_response_passes_unchanged(gateway: Gateway, httpbin: str, target: str) -> None:
    """Status, representation fields and every body byte are httpbin's own (RFC 9110 §7.7, P29)."""
    through = gateway.get(target, JOHN)
    direct = ask(httpbin + target, headers={"Authorization": "Bearer x"})
    assert through.status == direct.status
    for name in ("Content-Type", "Content-Encoding", "Location", "Set-Cookie", "ETag", "X-One"):
        assert through.header(name) == direct.header(name)
    assert decoded(through) == decoded(direct)


def decoded(answer: Answer) -> object:
    """Return the body; of a page that echoes the request only what says how it was packed."""
    coding = answer.header("Content-Encoding")
    if coding == "gzip":
        return json.loads(gzip.decompress(answer.body))["gzipped"]
    if coding == "deflate":
        return json.loads(zlib.decompress(answer.body))["deflated"]
    if coding == "br":
        return b"Authorization" not in answer.body
    return answer.body


def test_a_streamed_response_arrives_whole(gateway: Gateway) -> None:
    """Each line of a chunked stream arrives (RFC 9112 §7.1)."""
    lines = gateway.get("/stream/20", JOHN).body.splitlines()
    assert [json.loads(line)["id"] for line in lines] == list(range(20))


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_request_body_arrives_whole(gateway: Gateway, method: str) -> None:
    """Method, query and body reach httpbin byte for byte."""
    body = bytes(range(256)) * 1024
    headers = JOHN | {"Content-Type": "application/octet-stream"}
    answer = gateway.get("/anything/a%20b?x=%20y;z", headers, method=method, body=body)
    echoed = answer.document()
    assert echoed["method"] == method
    assert echoed["url"].endswith("?x=%20y;z")
    assert echoed["headers"]["Content-Length"] == str(len(body))
    assert len(echoed["data"]) > len(body)
