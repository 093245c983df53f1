"""Fixtures of the exchange: replicas of it, and a Redis they may share."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from tests.authentication.attempting import Clock, limiter_in
from tests.authentication.replica import Replica
from tests.token_cache.conftest import shared_redis, start_redis
from tests.token_cache.topologies import ask

__all__ = ["shared_redis", "start_redis"]


@pytest.fixture
def redis(shared_redis):
    """Return an empty Redis."""
    ask(shared_redis, "FLUSHALL")
    return shared_redis


@pytest.fixture
async def replica(provider):
    """Return a function that opens one more replica with these options."""
    async with AsyncExitStack() as stack:

        async def start(redis_url="", **options):
            return await stack.enter_async_context(Replica(provider, redis_url, **options))

        yield start


@pytest.fixture
def clock():
    """Return a time the test controls."""
    return Clock()


@pytest.fixture
def limiter(clock):
    """Return a limiter in that time."""
    return limiter_in(clock)
