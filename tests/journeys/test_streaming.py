"""Bodies that pass without being kept, and callers that leave in the middle (P22, P25)."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fakes.caller import RawCaller, basic, request
from tests.fakes.upstream_answers import endless, silence
from tests.fakes.waiting import until
from tests.journeys.running import RunningGateway

JOHN = basic("john", "doe")
MEBIBYTE = 1 << 20
# Of a body; the statement is about 1 GiB: STREAM_MIB=1024 sends that.
SIZE = int(os.environ.get("STREAM_MIB", "64")) * MEBIBYTE
# What may be under way at once: the buffers of two sockets, two parsers and the pieces in between.
ALLOWED_GROWTH = 16 * MEBIBYTE
PIECE = bytes(range(256)) * 256
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")


@pytest.fixture
async def process(provider, upstream):
    """Return a gateway running as a process of its own."""
    upstream.keep = 0
    settings = {
        "ISSUER": provider.issuer,
        "CLIENT_ID": provider.client_id,
        "CLIENT_SECRET": provider.client_secret,
        "UPSTREAM_URL": upstream.url,
    }
    async with RunningGateway(**settings) as running:
        yield running


def kernel_buffers():
    """Return how much the kernel may hold of what crosses two connections, in bytes."""
    most = [
        int(Path(f"/proc/sys/net/ipv4/tcp_{which}mem").read_text().split()[2]) for which in "rw"
    ]
    return 2 * sum(most)


def expected_digest():
    """Return the hash of ``SIZE`` bytes made of ``PIECE``."""
    digest = hashlib.sha256()
    for _ in range(SIZE // len(PIECE)):
        digest.update(PIECE)
    return digest.hexdigest()


async def slowly(reader):
    """Read everything, pausing so often that whoever writes has to wait."""
    digest = hashlib.sha256()
    total = 0
    while piece := await reader.read(256 * 1024):
        digest.update(piece)
        total += len(piece)
        await asyncio.sleep(0.001)
    return total, digest.hexdigest()


async def send_sized(_reader, writer, _request):
    """Answer with ``SIZE`` bytes as fast as they are taken."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % SIZE)
    for _ in range(SIZE // len(PIECE)):
        writer.write(PIECE)
        await writer.drain()
    writer.close()


@ON_LINUX
async def test_slow_reader_of_a_large_response(process, upstream):
    """P22: 64 MiB to a slow caller arrive whole; the gateway keeps a small part of them."""
    upstream.answer_next(send_sized)
    async with RawCaller(process.port) as warm:
        await warm.send(request("GET", "/", [JOHN]).replace(b"GET", b"HEAD", 1))
    upstream.answer_next(send_sized)
    before = process.peak_memory
    reader, writer = await asyncio.open_connection("127.0.0.1", process.port, limit=MEBIBYTE)
    writer.write(request("GET", "/", [JOHN, ("Connection", "close")]))
    await reader.readuntil(b"\r\n\r\n")

    total, digest = await slowly(reader)
    writer.close()

    assert (SIZE, expected_digest()) == (total, digest)
    assert process.peak_memory - before < ALLOWED_GROWTH


@ON_LINUX
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_slow_upstream_of_a_large_request(process, upstream, framing):
    """P22: 64 MiB to a slow upstream arrive whole; the gateway keeps a small part of them."""
    seen = asyncio.get_running_loop().create_future()

    async def read_slowly(reader, writer, _request):
        await asyncio.sleep(0.5)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        seen.set_result(None)

    async with RawCaller(process.port, within=240) as caller:
        await caller.send(request("GET", "/", [JOHN]))
        before = process.peak_memory
        upstream.answer_next(read_slowly)
        upstream.requests.clear()
        length = (
            ("Content-Length", str(SIZE))
            if framing == "length"
            else ("Transfer-Encoding", "chunked")
        )
        await caller.write(request("POST", "/", [JOHN, length]))
        for _ in range(SIZE // len(PIECE)):
            chunk = b"%x\r\n%b\r\n" % (len(PIECE), PIECE)
            await caller.write(PIECE if framing == "length" else chunk)
        await caller.write(b"" if framing == "length" else b"0\r\n\r\n")
        answer = await caller.read()

    assert (200, SIZE) == (answer.status, upstream.requests[0].body_length)
    assert expected_digest() == upstream.requests[0].body_sha256
    assert process.peak_memory - before < ALLOWED_GROWTH


@ON_LINUX
@pytest.mark.parametrize("side", ["upload", "download"])
async def test_peer_that_stops_reading(process, upstream, side):
    """P22: a peer that stops reading stops the other side; the gateway does not fill up."""
    taken = 0
    bound = kernel_buffers() + ALLOWED_GROWTH

    async def never_read(reader, writer, _request):
        await asyncio.sleep(60)

    async def write_for_ever(_reader, writer, _request):
        nonlocal taken
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"%x\r\n%b\r\n" % (len(PIECE), PIECE))
            await writer.drain()
            taken += len(PIECE)

    async with RawCaller(process.port) as caller:
        await caller.send(request("GET", "/", [JOHN]))
        before = process.peak_memory
        upstream.answer_next(never_read if side == "upload" else write_for_ever, before_body=True)
        await caller.write(
            request("POST", "/", [JOHN, ("Content-Length", str(2 * bound * (side == "upload")))])
        )

        async def upload():
            nonlocal taken
            while True:
                await caller.write(PIECE)
                taken += len(PIECE)

        writing = asyncio.create_task(upload()) if side == "upload" else None
        await until(lambda: taken, within=60)
        before_this = 0
        while before_this < taken < bound:
            before_this = taken
            await asyncio.sleep(0.5)
        if writing is not None:
            writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing

    assert taken < bound
    assert process.peak_memory - before < ALLOWED_GROWTH


@pytest.mark.parametrize("way", ["reset", "leave"])
@pytest.mark.parametrize("where", ["before_head", "in_response", "in_request", "paused_response"])
async def test_caller_leaves(gateway, call, upstream, way, where):
    """P25, P20: when the caller leaves, the upstream connection is closed, wherever they were."""
    caller = await call(gateway)
    await caller.send(request("GET", "/", [JOHN]))
    head = request("GET", "/", [JOHN])
    if where == "before_head":
        upstream.answer_next(silence())
    elif where == "in_response":
        upstream.answer_next(silence(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"))
    elif where == "paused_response":
        upstream.answer_next(endless(PIECE))
    else:
        head = request("POST", "/", [JOHN, ("Content-Length", "10")]) + b"hello"
    await caller.write(head)
    await until(lambda: len(upstream.requests) == 2)
    if where == "in_response":
        await caller.read_some()

    getattr(caller, way)()

    await until(lambda: upstream.open_connections == 0)
    other = await call(gateway)
    assert 200 == (await other.send(request("GET", "/", [JOHN]))).status
    assert len(upstream.requests) == 3


async def test_caller_that_pipelines_and_leaves(gateway, call, upstream):
    """P25: requests behind the one under way are not started once the caller has left."""
    upstream.answer_next(silence())
    caller = await call(gateway)
    await caller.write(request("GET", "/", [JOHN]) * 5)
    await until(lambda: upstream.requests)

    caller.reset()

    await until(lambda: upstream.open_connections == 0)
    assert 1 == len(upstream.requests)


async def test_response_is_passed_as_it_comes(gateway, call, upstream):
    """P22: each piece of a response is passed on before the next has come."""
    more = asyncio.Event()

    async def answer(_reader, writer, _request):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (b"one", b"two"):
            await more.wait()
            more.clear()
            writer.write(b"3\r\n%b\r\n" % piece)
        await more.wait()
        writer.write(b"0\r\n\r\n")

    upstream.answer_next(answer)
    caller = await call(gateway)
    await caller.write(request("GET", "/", [JOHN]))

    parts = []
    for _ in range(4):
        parts.append(await caller.read_some())
        more.set()

    assert parts[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert [b"3\r\none\r\n", b"3\r\ntwo\r\n", b"0\r\n\r\n"] == parts[1:]


async def test_request_is_passed_as_it_comes(gateway, call, upstream):
    """P22: each piece of a request body is passed on before the next has come."""
    caller = await call(gateway)
    await caller.write(request("POST", "/", [JOHN, ("Content-Length", "6")]))

    for count, piece in enumerate((b"one", b"two"), 1):
        await caller.write(piece)
        await until(
            lambda expected=count * 3: (
                upstream.requests and upstream.requests[0].body_length == expected
            )
        )
    answer = await caller.read()

    assert (200, b"onetwo") == (answer.status, upstream.requests[0].body)
