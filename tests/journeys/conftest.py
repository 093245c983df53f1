"""Fixtures of the journeys: a Redis, and upstreams and a provider for several routes."""

from __future__ import annotations

import pytest

from tests.fakes.provider import FakeProvider
from tests.fakes.upstream import RecordingUpstream
from tests.settings.environments import written
from tests.token_cache.conftest import sentinels, start_redis

__all__ = ["sentinels", "start_redis"]


@pytest.fixture
async def orders():
    """Return another upstream."""
    async with RecordingUpstream() as fake:
        yield fake


@pytest.fixture
async def partner():
    """Return another provider, with another user and another registration of the gateway."""
    async with FakeProvider(client_id="gw", client_secret="CANARY-partner") as fake:
        fake.users = {"paula": "pass"}
        yield fake


@pytest.fixture
def start_routes(start_gateway, tmp_path, upstream, orders, partner):
    """Return a function that starts a gateway with this file and other settings."""

    async def start(text, **settings):
        text = text.replace("ORDERS", orders.url).replace("PARTNER", partner.issuer)
        return await start_gateway(written(tmp_path, text), **settings)

    return start
