"""A pool of connections to the upstream."""

from __future__ import annotations

import pytest

from gateway.forwarding.pool import UpstreamPool
from gateway.routing import read_upstream


@pytest.fixture
def pool_of(upstream):
    """Return a function that makes a pool of connections to the upstream."""
    pools = []

    def make(**how):
        how = {"connect_timeout": 5, **how}
        pools.append(UpstreamPool(read_upstream(upstream.url), **how))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()
