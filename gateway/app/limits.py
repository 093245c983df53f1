"""How large, how slow and how many: the settings, and what the operating system allows."""

from __future__ import annotations

import logging
import resource
from typing import TYPE_CHECKING

from gateway.forwarding.pool import PoolLimits
from gateway.server import Limits
from gateway.server.deadlines import BODY_WINDOW, STANDSTILL, Patience
from gateway.server.door import Bounds

if TYPE_CHECKING:
    from gateway.settings import Settings

_log = logging.getLogger(__name__)

# What a process needs beside its callers: the listeners, the provider, Redis, files, farewells.
RESERVED_FILES = 96


def limits_of(settings: Settings) -> Limits:
    """Return the limits of the proxy port."""
    return Limits(
        settings.max_header_bytes,
        settings.max_body_bytes,
        Patience(
            head=settings.request_head_timeout,
            idle=settings.keepalive_timeout,
            total=settings.request_timeout,
            min_rate=settings.request_min_rate,
            body_window=BODY_WINDOW if settings.request_min_rate else STANDSTILL,
        ),
        Bounds(_affordable(settings.max_connections), settings.max_connections_per_address),
    )


def pool_limits(settings: Settings) -> PoolLimits:
    """Return the limits of the connections to each upstream."""
    return PoolLimits(
        settings.upstream_max_connections,
        settings.upstream_idle_timeout,
        settings.upstream_connection_lifetime,
    )


def _affordable(connections: int) -> int:
    """Return how many connections there are file descriptors for, each with its upstream's."""
    files = raise_file_limit()
    affordable = max(1, (files - RESERVED_FILES) // 2, files // 4)
    if affordable >= connections:
        return connections
    _log.log(
        logging.WARNING if affordable < connections // 2 else logging.INFO,
        "no more than %d connections are let in instead of MAX_CONNECTIONS=%d: the process may "
        "have %d files open, and a request takes two; raise the limit (ulimit -n)",
        affordable,
        connections,
        files,
    )
    return affordable


def raise_file_limit() -> int:
    """Allow the process as many open files as it may give itself; return how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            return soft
    return hard if hard != resource.RLIM_INFINITY else 1 << 20
