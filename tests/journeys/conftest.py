"""Fixtures of the journeys that need a Redis."""

from __future__ import annotations

from tests.token_cache.conftest import start_redis

__all__ = ["start_redis"]
