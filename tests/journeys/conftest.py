"""Fixtures of the journeys that need a Redis."""

from __future__ import annotations

from tests.token_cache.conftest import sentinels, start_redis

__all__ = ["sentinels", "start_redis"]
