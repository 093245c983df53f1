"""DELETE /cache on the admin port."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import TestClient, TestServer

from gateway.admin import Admin
from gateway.token_cache.ledger import PurgeLedger
from gateway.token_cache.memory import MemoryCache
from gateway.token_cache.purge import Purger
from gateway.token_cache.redis import RedisTokenCache
from gateway.token_cache.sealing import SealingKeys
from tests.peers.children import free_port

KEYS = SealingKeys([b"n" * 32])


def owners(user):
    """Return the pseudonyms of a user."""
    return KEYS.owners("https://sso.example", user)


@pytest.fixture
def memory():
    """Return a memory with two entries of john and one of mary."""
    cache = MemoryCache(10, 1000)
    for key, user in ((b"1", "john"), (b"2", "john"), (b"3", "mary")):
        cache.store(key, "principal", 60, 1, owners(user))
    return cache


@pytest.fixture
async def admin(memory):
    """Return a client of an admin port whose process has no Redis."""
    purger = Purger(PurgeLedger(), [memory], owners=owners)
    application = Admin(dict, None, bytes, purger=purger).application()
    async with TestClient(TestServer(application)) as client:
        yield client


@pytest.mark.parametrize(
    ("query", "status", "purged"),
    [
        pytest.param("", 200, 3, id="everything"),
        pytest.param("?user=john", 200, 2, id="one user"),
        pytest.param("?user=John", 200, 2, id="letter case"),
        pytest.param("?user=nobody", 200, 0, id="a user without entries"),
        pytest.param("?user=", 400, None, id="an empty name"),
        pytest.param("?user", 400, None, id="no name"),
        pytest.param("?usr=john", 400, None, id="misspelled"),
        pytest.param("?user=john&user=mary", 400, None, id="two names"),
        pytest.param("?user=john&x=1", 400, None, id="one more parameter"),
    ],
)
async def test_purge(admin, memory, query, status, purged):
    """A7: a purge says how many entries it took; what is not clear purges nothing."""
    response = await admin.delete("/cache" + query)
    document = await response.json()
    assert (response.status, document.get("purged")) == (status, purged)
    assert response.headers["Cache-Control"] == "no-store"
    assert len(memory) == 3 - (purged or 0)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "OPTIONS"])
async def test_other_methods(admin, memory, method):
    """Other methods are 405 and purge nothing."""
    response = await admin.request(method, "/cache")
    assert (response.status, response.headers["Allow"]) == (405, "DELETE")
    assert len(memory) == 3


async def test_redis_gone(memory):
    """A13: with Redis away the answer is 503: this process is purged, others may not be."""
    redis = RedisTokenCache.connect(f"redis://127.0.0.1:{free_port()}", KEYS)
    purger = Purger(PurgeLedger(), [memory], owners=owners, redis=redis)
    application = Admin(dict, redis.ping, bytes, purger=purger).application()
    async with TestClient(TestServer(application)) as client:
        response = await client.delete("/cache?user=john")
        document = await response.json()
    assert (response.status, document["purged"], document["error"]) == (503, 2, "cache_unavailable")
    assert len(memory) == 1
    await redis.aclose()
