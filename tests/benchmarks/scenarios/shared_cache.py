"""What a request costs whose token is in Redis and not in memory."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import redis

from tests.benchmarks.filling import fill
from tests.benchmarks.installing import Apt
from tests.benchmarks.machine import pinned
from tests.benchmarks.scenarios import SCRIPT, Bench, Curve, Section, curve_rows, take_turns
from tests.benchmarks.tables import table
from tests.peers.children import Child, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

REDIS = Apt("redis-server", ("redis-server",))
USERS = 1_000


def measure(bench: Bench) -> Section:
    """Let a gateway whose memory holds one credential serve a thousand of them."""
    file = bench.credentials(USERS)
    around = (SCRIPT, str(file))
    with ExitStack() as stack:
        port = stack.enter_context(running_redis(bench))
        shared = {
            "REDIS_URL": f"redis://127.0.0.1:{port}/0",
            "CACHE_SECRET": "of-the-benchmark" * 4,
        }
        kept = stack.enter_context(bench.gateway("with-memory", **shared))
        asked = stack.enter_context(bench.gateway("with-redis", **shared, CACHE_MAX_ENTRIES="1"))
        curves = [Curve("in memory", kept, around), Curve("in Redis", asked, around)]
        for curve in curves:
            fill(curve.running, file.read_text().splitlines())
        before = hits(port)
        take_turns(bench, curves)
        asked_redis = hits(port) - before
    requests = sum(sample.load.requests for sample in curves[1].samples)
    head = ("token found", "CPU µs per request", "to memory", "requests/s")
    said = (
        "The token is sealed in Redis; it is fetched, opened and read again with each request.\n\n"
        f"{table(head, curve_rows(curves))}\n\n"
        f"Redis answered {asked_redis / requests:.2f} look-ups a request of the second row."
    )
    return Section("Tokens from Redis", said, {"redis": curves[1].cpu_us})


def hits(port: int) -> int:
    """Return how many look-ups Redis has answered with a value."""
    with redis.Redis(port=port) as client:
        found: int = client.info("stats")["keyspace_hits"]
        return found


@contextmanager
def running_redis(bench: Bench) -> Iterator[int]:
    """Run Redis on the load's core and give its port."""
    port = free_port()
    command = [REDIS.program(), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += ["--appendonly", "no", "--dir", str(bench.site.folder)]
    child = Child(pinned(bench.cores.load, command), bench.site.folder / "redis.log")
    try:
        child.wait_for_port(port)
        yield port
    finally:
        child.stop()
