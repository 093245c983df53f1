"""Parsing that stays linear, callbacks that stay short, and file descriptors that run out."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.authentication.attempts.decision import one_spelling
from gateway.errors import GatewayError
from gateway.forwarding.headers import read_response_head
from gateway.oauth.credentials.basic import read_authorization
from gateway.request import read_head
from gateway.server.hops import read_address
from tests.fakes.caller import RawCaller, basic, request
from tests.journeys.running import RunningGateway

JOHN = basic("john", "doe")
GET = request("GET", "/", [JOHN])
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
KIB = 1024
# A callback may hold the loop for so long; what is looked at is the processor's time, and of a few
# tries the fastest, so that a busy machine does not count.
LONGEST = 0.05
TRIES = 5
EVIL = {
    "letters": b"a" * 64 * KIB,
    "commas": b"," * 64 * KIB,
    "semicolons": b";" * 64 * KIB,
    "blanks": b"a" + b" \t" * 32 * KIB + b"b",
    "quotes": b'"' * 64 * KIB,
    "escapes": b'"' + b"\\" * 64 * KIB,
    "equals": b"a=" * 32 * KIB,
    "percents": b"%" * 64 * KIB,
    "encoded": b"%41" * 21 * KIB,
    "dots": b"/.a" * 21 * KIB,
    "dashes": b"x-forwarded-" + b"-" * 64 * KIB,
    "brackets": b"[" * 64 * KIB,
    "octets": bytes(range(128, 256)) * 512,
}


def fields(name, value):
    """Write the fields of a request as aiohttp hands them over."""
    return ((b"Host", b"gateway.test"), (name, value))


def head(target=b"/", pairs=((b"Host", b"gateway.test"),)):
    """Read a request head."""
    return read_head(
        method="GET",
        target=target,
        version=(1, 1),
        headers=pairs,
        peer="x",
        max_header_bytes=1 << 20,
    )


READERS = {
    "target": lambda evil: head(b"/" + evil),
    "query": lambda evil: head(b"/?" + evil),
    "field": lambda evil: head(pairs=fields(b"X-A", evil)),
    "name": lambda evil: head(pairs=fields(b"X-" + evil, b"a")),
    "host": lambda evil: head(pairs=((b"Host", evil),)),
    "expect": lambda evil: head(pairs=fields(b"Expect", evil)),
    "length": lambda evil: head(pairs=fields(b"Content-Length", evil)),
    "coding": lambda evil: head(pairs=fields(b"Transfer-Encoding", evil)),
    "basic": lambda evil: read_authorization([b"Basic " + evil]),
    "address": read_address,
    "response": lambda evil: read_response_head("GET", 200, evil, [(b"Connection", evil)]),
    "user": lambda evil: one_spelling(evil.decode("latin-1")),
}


def fastest(read, evil):
    """Return the least time of a few tries, in seconds of this thread."""
    times = []
    for _ in range(TRIES):
        began = time.thread_time()
        with suppress(GatewayError):
            read(evil)
        times.append(time.thread_time() - began)
    return min(times)


@pytest.mark.parametrize("evil", EVIL.values(), ids=EVIL)
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_reading_is_linear(read, evil):
    """R9: 64 KiB of the worst, wherever they stand, are read within a fraction of a callback."""
    assert fastest(read, evil) < LONGEST


LARGE = {
    "fields": request("GET", "/", [JOHN] + [("a", "")] * 6000),
    "field": request("GET", "/", [JOHN, ("X-A", b"," * 30_000)]),
    "connection": request("GET", "/", [JOHN, ("Connection", b"a," * 15_000)]),
    "forwarded": request("GET", "/", [JOHN, ("Forwarded", b'for="' * 6_000)]),
    "target": request("GET", b"/" + b"%41;" * 7_000, [JOHN]),
    "query": request("GET", b"/?" + b"a=b&" * 7_000, [JOHN]),
    "basic": request("GET", "/", [(b"Authorization", b"Basic " + b"YWFh" * 7_000)]),
    "chunks": request("POST", "/", [JOHN, ("Transfer-Encoding", "chunked")])
    + b"1\r\nx\r\n" * 2_000
    + b"0\r\n\r\n",
    "pipeline": GET * 30,
}


def spent(pid):
    """Return how long a process has been on a processor, in seconds."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def open_files(pid):
    """Return how many file descriptors a process has."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@pytest.fixture
async def process(provider, upstream):
    """Return a gateway running as a process of its own."""
    settings = {
        "ISSUER": provider.issuer,
        "CLIENT_ID": provider.client_id,
        "CLIENT_SECRET": provider.client_secret,
        "UPSTREAM_URL": upstream.url,
        "TRUSTED_PROXIES": "127.0.0.0/8",
    }
    async with RunningGateway(**settings) as running, RawCaller(running.port) as caller:
        await caller.send(GET)
        yield running


@ON_LINUX
@pytest.mark.parametrize("data", LARGE.values(), ids=LARGE)
async def test_no_request_holds_the_loop(process, data):
    """R10: the worst requests cost the whole process less than a callback may take."""
    costs = []
    for _ in range(TRIES):
        before = spent(process.pid)
        async with RawCaller(process.port) as caller:
            await caller.send(data)
        costs.append(spent(process.pid) - before)

    assert min(costs) < LONGEST


@ON_LINUX
async def test_file_descriptors_run_out(process):
    """R11: without file descriptors the gateway neither ends nor spins, and recovers by itself."""
    async with RawCaller(process.port) as kept:
        assert 200 == (await kept.send(GET)).status
        used = open_files(process.pid)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (used + 20, used + 20))
        crowd = [await asyncio.open_connection("127.0.0.1", process.port) for _ in range(200)]
        for _, writer in crowd:
            writer.write(GET)
        before, began = spent(process.pid), time.monotonic()
        await asyncio.sleep(2)
        share = (spent(process.pid) - before) / (time.monotonic() - began)
        for _, writer in crowd:
            writer.close()

        assert share < 0.5
        assert 200 == (await served(process.port))
        assert 200 == (await kept.send(GET)).status


async def served(port):
    """Try until somebody is served; return the status."""
    async with asyncio.timeout(20):
        while True:
            async with RawCaller(port) as caller:
                seen = await caller.send(GET)
            if seen.status == 200:
                return seen.status
            await asyncio.sleep(0.05)


PRINTED = """
import resource, logging
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
from gateway.app.limits import limits_of
from gateway.settings import load
settings = {{"ISSUER": "https://a.example", "UPSTREAM_URL": "http://b", "CLIENT_ID": "c",
    "CLIENT_SECRET": "s"}}
print(limits_of(load(None, settings).settings).connections.all,
      resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@ON_LINUX
@pytest.mark.parametrize(
    ("soft", "hard", "connections", "files"),
    [
        pytest.param(128, 128, 32, 128, id="nofile_128"),
        pytest.param(64, 1096, 500, 1096, id="raised_to_what_may_be_had"),
    ],
)
def test_connections_for_which_there_are_files(soft, hard, connections, files):
    """R11: no more callers are let in than the process may have file descriptors for."""
    printed = subprocess.run(
        [sys.executable, "-c", PRINTED.format(soft=soft, hard=hard)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip

    assert [connections, files] == [int(word) for word in printed.split()]
