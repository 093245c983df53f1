"""Upstreams that are down or silent (F17)."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes.caller import basic, request
from tests.fakes.upstream_answers import silence
from tests.fakes.waiting import until

JOHN = basic("john", "doe")
GET = request("GET", "/", [JOHN])
INTERIM = b"HTTP/1.1 103 Early Hints\r\n\r\n"


async def test_upstream_down(gateway, call, upstream):
    """F17: an upstream that refuses connections is 502 bad_gateway; it is found again when up."""
    await upstream.down()
    caller = await call(gateway)

    seen = await caller.send(GET)
    await upstream.up()
    again = await caller.send(GET)

    assert (502, "bad_gateway") == (seen.status, seen.json()["error"])
    assert 200 == again.status


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "data", [b"", INTERIM, b"HTTP/1.1 200 OK\r\nX-A:"], ids=["silent", "interim", "half"]
)
async def test_silent_upstream(start_gateway, call, upstream, method, data):
    """F17: no response head in UPSTREAM_TIMEOUT is 504; its connection is closed."""
    gateway = await start_gateway(UPSTREAM_TIMEOUT="0.1")
    upstream.answer_next(silence(data))
    caller = await call(gateway)

    seen = await caller.send(request(method, "/", [JOHN], b"hello"))
    again = await caller.send(GET)

    assert (504, "gateway_timeout") == (seen.status, seen.json()["error"])
    assert (200, 2) == (again.status, len(upstream.requests))
    await until(lambda: upstream.open_connections == 1)


async def test_slow_upload_is_no_slow_upstream(start_gateway, call, upstream):
    """F17: the time to answer counts from the end of the request."""
    gateway = await start_gateway(UPSTREAM_TIMEOUT="0.3")
    caller = await call(gateway)

    await caller.write(request("POST", "/", [JOHN, ("Content-Length", "10")]))
    await caller.write(b"0123456789", pause=0.05)
    seen = await caller.read()

    assert (200, 10) == (seen.status, seen.json()["body_length"])


async def test_upstream_that_does_not_accept(start_gateway, call):
    """F17: connecting that takes longer than UPSTREAM_CONNECT_TIMEOUT is 504 gateway_timeout."""
    # RFC 5737: no host is at this address; some networks answer for it that there is none.
    gateway = await start_gateway(UPSTREAM_URL="http://192.0.2.1:9", UPSTREAM_CONNECT_TIMEOUT="0.1")
    caller = await call(gateway)

    seen = await caller.send(GET)

    assert (seen.status, seen.json()["error"]) in {(504, "gateway_timeout"), (502, "bad_gateway")}


async def test_upstream_that_cannot_be_resolved(start_gateway, call):
    """F17: a name that does not resolve is 502 bad_gateway."""
    gateway = await start_gateway(UPSTREAM_URL="http://upstream.invalid")
    caller = await call(gateway)

    seen = await caller.send(GET)

    assert (502, "bad_gateway") == (seen.status, seen.json()["error"])


async def test_upstream_by_its_name(start_gateway, call, upstream):
    """F17: a name is looked up; with several addresses one that answers is enough."""
    gateway = await start_gateway(UPSTREAM_URL=f"http://localhost:{upstream.port}")
    caller = await call(gateway)

    seen = await caller.send(GET)

    assert (200, [f"localhost:{upstream.port}".encode()]) == (
        seen.status,
        upstream.requests[0].values(b"host"),
    )


@pytest.mark.parametrize("times", [1, 2], ids=["new_connection", "kept_connection"])
async def test_body_later_than_the_time_for_the_head(start_gateway, call, upstream, times):
    """F17: UPSTREAM_TIMEOUT is for the head; a body may take longer, as events do."""
    gateway = await start_gateway(UPSTREAM_TIMEOUT="0.3")
    caller = await call(gateway)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    for _ in range(times - 1):
        assert 200 == (await caller.send(GET)).status

    async def answer(_reader, writer, _request):
        writer.write(head)
        await asyncio.sleep(0.7)
        writer.write(b"hello")

    upstream.answer_next(answer)
    seen = await caller.send(GET)

    assert (200, b"hello", False) == (seen.status, seen.body, seen.truncated)
