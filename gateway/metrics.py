"""What is counted about the work of one process, in the Prometheus text format.

Rule: every label has a fixed set of values. Nothing a caller sends, no user, path, token or key id
becomes a label, so the number of series never grows with the traffic.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

REGISTRY = CollectorRegistry()

# endpoint: token, discovery, jwks, revocation, introspection, userinfo; grant: password,
# client_credentials, refresh_token or none; outcome: ok, refused, error, timeout, unavailable.
PROVIDER_REQUESTS = Counter(
    "bearergate_provider_requests",
    "Calls to the provider.",
    ("endpoint", "grant", "outcome"),
    registry=REGISTRY,
)
PROVIDER_SECONDS = Histogram(
    "bearergate_provider_request_seconds",
    "How long calls to the provider took.",
    ("endpoint",),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
# tier: memory, redis; outcome: hit, miss.
CACHE_LOOKUPS = Counter(
    "bearergate_cache_lookups",
    "Look-ups of cached tokens.",
    ("tier", "outcome"),
    registry=REGISTRY,
)
REDIS_FAILURES = Counter(
    "bearergate_redis_failures", "Calls to Redis that failed or were refused.", registry=REGISTRY
)
# where: worker, replica.
FLIGHTS_JOINED = Counter(
    "bearergate_flights_joined",
    "Requests that waited for a login somebody else had begun.",
    ("where",),
    registry=REGISTRY,
)
# outcome: ok, refused, failed, adopted (another replica had renewed it).
RENEWALS = Counter(
    "bearergate_renewals",
    "Tokens renewed in the background.",
    ("outcome",),
    registry=REGISTRY,
)
NEGATIVE_HITS = Counter(
    "bearergate_negative_hits",
    "Refused credentials answered without asking the provider.",
    registry=REGISTRY,
)
# reason: user, address, spread.
THROTTLED = Counter(
    "bearergate_throttled",
    "Logins not sent to the provider because too many had been refused.",
    ("reason",),
    registry=REGISTRY,
)
PURGED = Counter("bearergate_purged_entries", "Cached tokens purged.", registry=REGISTRY)
TUNNELS = Gauge(
    "bearergate_tunnels_open", "WebSocket connections that are open.", registry=REGISTRY
)
# reason: caller, upstream, expired, purged, idle, shutdown.
TUNNELS_ENDED = Counter(
    "bearergate_tunnels_ended",
    "WebSocket connections that have ended.",
    ("reason",),
    registry=REGISTRY,
)
BREAKER_STATE = Gauge(
    "bearergate_breaker_state",
    "The breaker in front of the provider: 0 closed, 1 half open, 2 open.",
    registry=REGISTRY,
)
KEY_SET_AGE = Gauge(
    "bearergate_key_set_age_seconds",
    "Seconds since the provider's key set was last fetched well.",
    registry=REGISTRY,
)

CONNECTIONS = Gauge(
    "bearergate_connections", "Connections of callers that are open.", registry=REGISTRY
)
# reason: all, address.
CONNECTIONS_REFUSED = Counter(
    "bearergate_connections_refused",
    "Connections answered 503 because too many were open.",
    ("reason",),
    registry=REGISTRY,
)
# reason: head, body, answer, total.
CONNECTIONS_CUT = Counter(
    "bearergate_connections_cut",
    "Connections ended because their caller was too slow.",
    ("reason",),
    registry=REGISTRY,
)

for _reason in ("user", "address", "spread"):
    THROTTLED.labels(_reason)  # there from the beginning, so that a rise from nothing is seen


class Tally:
    """A counter for what every request does: added to a number, told to Prometheus when asked."""

    __slots__ = ("_count", "_counter")

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._count = 0

    def inc(self) -> None:
        """Count one more."""
        self._count += 1

    def settle(self) -> None:
        """Tell Prometheus, which locks for every addition."""
        count, self._count = self._count, 0
        self._counter.inc(count)


MEMORY_HIT = Tally(CACHE_LOOKUPS.labels("memory", "hit"))
MEMORY_MISS = CACHE_LOOKUPS.labels("memory", "miss")
REDIS_HIT = CACHE_LOOKUPS.labels("redis", "hit")
REDIS_MISS = CACHE_LOOKUPS.labels("redis", "miss")


def write_metrics() -> bytes:
    """Write every metric of this process, to be sent as ``CONTENT_TYPE``."""
    MEMORY_HIT.settle()
    return generate_latest(REGISTRY)


def merge_pages(pages: Iterable[str], *, gauges: bool = True) -> bytes:
    """Write the pages of several processes as one.

    Numbers are added up; of the breaker's state and the keys' age the largest is kept, of a moment
    of creation the earliest. Without ``gauges`` only what was counted is written.
    """
    merged = _Merged()
    for page in pages:
        for family in text_string_to_metric_families(page):
            if gauges or family.type != "gauge" or family.name.endswith(_CREATED):
                merged.add(family)
    registry = CollectorRegistry()
    registry.register(merged)
    return generate_latest(registry)


class _Merged(Collector):
    """Families of several pages, each once."""

    def __init__(self) -> None:
        self._families: dict[str, Metric] = {}
        self._values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}

    def add(self, family: Metric) -> None:
        name = family.name
        self._families.setdefault(name, Metric(name, family.documentation, family.type))
        values = self._values.setdefault(name, {})
        for sample in family.samples:
            key = sample.name, tuple(sample.labels.items())
            before = values.get(key, math.nan)
            values[key] = _combine(family, before, sample.value)

    def collect(self) -> Iterator[Metric]:
        for name, family in self._families.items():
            for (sample, labels), value in self._values[name].items():
                family.add_sample(sample, dict(labels), value)
            yield family


def _combine(family: Metric, before: float, value: float) -> float:
    if math.isnan(before) or math.isnan(value):
        return value if math.isnan(before) else before
    if family.name in _WORST:
        return max(before, value)
    return min(before, value) if family.name.endswith(_CREATED) else before + value


_CREATED = "_created"
_WORST = frozenset({"bearergate_breaker_state", "bearergate_key_set_age_seconds"})


__all__ = [
    "BREAKER_STATE",
    "CACHE_LOOKUPS",
    "CONNECTIONS",
    "CONNECTIONS_CUT",
    "CONNECTIONS_REFUSED",
    "CONTENT_TYPE",
    "FLIGHTS_JOINED",
    "KEY_SET_AGE",
    "MEMORY_HIT",
    "MEMORY_MISS",
    "NEGATIVE_HITS",
    "PROVIDER_REQUESTS",
    "PROVIDER_SECONDS",
    "PURGED",
    "REDIS_FAILURES",
    "REDIS_HIT",
    "REDIS_MISS",
    "REGISTRY",
    "RENEWALS",
    "THROTTLED",
    "TUNNELS",
    "TUNNELS_ENDED",
    "merge_pages",
    "write_metrics",
]
