"""Requests sent on: bodies that fail, upstreams that do not read, callers that leave (P25, P26)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.errors import UpstreamError, UpstreamTimeoutError
from gateway.forwarding.pool import PoolLimits
from gateway.forwarding.upstream import Forwarder
from gateway.routing import read_upstream
from tests.fakes.upstream_answers import cut, response, silence
from tests.fakes.waiting import until
from tests.forwarding.exchanging import HEAD

POST = b"POST / HTTP/1.1\r\nHost: upstream.test\r\nContent-Length: 100000000\r\n\r\n"


class Parts:
    """A request body that is these parts; a part that is an exception is raised."""

    def __init__(self, *parts):
        self._parts = list(parts)

    async def next_part(self):
        """Return the next part, empty at the end."""
        part = self._parts.pop(0) if self._parts else b""
        if isinstance(part, BaseException):
            raise part
        return part


def hasty(upstream):
    """Return where requests go that are answered soon or not at all."""
    return replace(read_upstream(upstream.url), timeout=0.2)


@pytest.fixture
async def forwarder():
    """Return a forwarder."""
    forwarder = Forwarder()
    yield forwarder
    forwarder.close()


async def test_upstream_that_does_not_read(forwarder, upstream):
    """F17: an upstream that stops reading the request is a timeout."""

    async def never_read(_reader, _writer, _request):
        await asyncio.sleep(60)

    upstream.answer_next(never_read, before_body=True)
    body = Parts(*[b"x" * 1_000_000] * 100)

    with pytest.raises(UpstreamTimeoutError):
        await forwarder.forward(hasty(upstream), "POST", POST, body)


async def test_body_that_fails(forwarder, upstream):
    """P26: a failure of the caller's body is what is told, and the upstream is left."""
    with pytest.raises(RuntimeError, match="broken"):
        await forwarder.forward(hasty(upstream), "POST", POST, Parts(b"x", RuntimeError("broken")))
    await until(lambda: upstream.open_connections == 0)


async def test_body_that_fails_after_the_head(forwarder, upstream):
    """P26: a body that fails after the response head cuts the response."""
    upstream.answer_next(silence(b"HTTP/1.1 200 OK\r\n\r\nhello"), before_body=True)

    class Late(Parts):
        async def next_part(self):
            await asyncio.sleep(0.05)
            return await super().next_part()

    answer = await forwarder.forward(hasty(upstream), "POST", POST, Late(RuntimeError("broken")))

    assert b"hello" == await answer.read()
    with pytest.raises(UpstreamError):
        await answer.read()
    answer.close()


async def test_upload_to_an_upstream_that_has_left(forwarder, upstream):
    """P20: when the upstream answers and closes, the rest of the body is not sent."""
    upstream.answer_next(response(413, b"no", close=True), before_body=True)

    class Endless:
        async def next_part(self):
            await asyncio.sleep(0.001)
            return b"x" * 1000

    answer = await forwarder.forward(hasty(upstream), "POST", POST, Endless())

    assert (413, b"no") == (answer.head.status, await answer.read())
    await asyncio.sleep(0.05)
    answer.close()


async def test_cancelled_connect_and_read(forwarder, upstream):
    """P25: a cancelled request leaves no connection behind."""
    upstream.answer_next(silence())
    task = asyncio.create_task(forwarder.forward(hasty(upstream), "GET", HEAD))
    await until(lambda: upstream.requests)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: upstream.open_connections == 0)


async def test_early_answer_ends_the_connection(forwarder, upstream):
    """P19, P20: behind an answer that came before the end of the body, nothing is sent."""
    upstream.answer_next(response(200, b"enough"), before_body=True)

    class Waiting:
        async def next_part(self):
            await asyncio.Event().wait()

    place = hasty(upstream)
    answer = await forwarder.forward(place, "POST", POST, Waiting())
    assert b"enough" == await answer.read()
    answer.close()

    assert forwarder._pool(place).find() is None
    await until(lambda: upstream.open_connections == 0)


async def test_answer_before_the_whole_request_is_taken(forwarder, upstream):
    """P19, P20: an upstream that answers before it has taken the request is not asked again."""
    taken = asyncio.Event()

    async def answer_first(_reader, writer, _request):
        writer.transport.pause_reading()
        writer.write(response(200, b"enough"))
        await taken.wait()

    upstream.answer_next(answer_first, before_body=True)
    place = hasty(upstream)
    answer = await forwarder.forward(place, "POST", POST + bytes(50_000_000))
    assert b"enough" == await answer.read()
    answer.close()

    assert forwarder._pool(place).find() is None
    taken.set()


async def test_failed_requests_leave_their_places(upstream):
    """R8: a request that gets no answer, or that its caller has left, gives its place back."""
    forwarder = Forwarder(PoolLimits(connections=1))
    place = read_upstream(upstream.url)
    for _ in range(2):
        upstream.answer_next(cut(b""))
        with pytest.raises(UpstreamError, match="closed"):
            await forwarder.forward(place, "GET", HEAD)
    upstream.answer_next(silence())
    left = asyncio.create_task(forwarder.forward(place, "GET", HEAD))
    await until(lambda: len(upstream.requests) == 3)
    left.cancel()

    answer = await forwarder.forward(place, "GET", HEAD)

    assert 200 == answer.head.status
    answer.close()
    forwarder.close()


async def test_connection_of_an_upload_is_kept(forwarder, upstream):
    """P20: behind a body that was sent in pieces and to its end, the connection is used again."""
    place = hasty(upstream)
    data = b"POST / HTTP/1.1\r\nHost: upstream.test\r\nTransfer-Encoding: chunked\r\n\r\n"
    for _ in range(3):
        parts = Parts(b"hel", b"lo")
        answer = await forwarder.forward(place, "POST", data, parts, chunked=True)
        while await answer.read():
            pass
        answer.close()

    assert [b"hello"] * 3 == [each.body for each in upstream.requests]
    assert 1 == upstream.connections


async def test_silence_behind_an_upload(forwarder, upstream):
    """F17: an upstream that has been sent a body in pieces has as long for the head as any."""
    upstream.answer_next(silence())
    data = b"POST / HTTP/1.1\r\nHost: upstream.test\r\nTransfer-Encoding: chunked\r\n\r\n"

    with pytest.raises(UpstreamTimeoutError, match="answer"):
        await asyncio.wait_for(
            forwarder.forward(hasty(upstream), "POST", data, Parts(b"hello"), chunked=True),
            20,
        )
