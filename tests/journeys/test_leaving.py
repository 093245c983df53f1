"""Callers that hang up while they wait for something else than an answer (P25, A10)."""

from __future__ import annotations

import asyncio
import select

import pytest

from tests.fakes.answers import Answer
from tests.fakes.caller import basic, request
from tests.fakes.upstream_answers import silence
from tests.fakes.waiting import until

JOHN = basic("john", "doe")
GET = request("GET", "/", [JOHN])
WAYS = pytest.mark.parametrize("way", ["reset", "leave", "end"])


def pools(gateway):
    """Return the gateway's connections to upstreams."""
    return list(gateway._proxy_port._runner.server._forwarder._by_way.values())


@WAYS
async def test_waiting_for_a_connection(start_gateway, call, upstream, way):
    """P25: who leaves while waiting for a connection to the upstream never gets one."""
    gateway = await start_gateway(UPSTREAM_MAX_CONNECTIONS="1")
    upstream.answer_next(silence())
    first, second, third = [await call(gateway) for _ in range(3)]
    await first.write(GET)
    await until(lambda: upstream.requests)
    [pool] = pools(gateway)
    await second.write(request("GET", "/left", [JOHN]))
    await until(lambda: pool._waiting)

    getattr(second, way)()
    await until(lambda: not pool._waiting)
    first.leave()
    seen = await third.send(request("GET", "/third", [JOHN]))

    assert 200 == seen.status
    assert [b"/", b"/third"] == [each.target for each in upstream.requests]


@WAYS
async def test_logging_in(start_gateway, call, upstream, provider, way, written):
    """P25, A10: who leaves during the login has a line; the login goes on for who comes next."""
    gateway = await start_gateway()
    provider.answer_next_token(Answer(delay=0.5))
    first, second = [await call(gateway) for _ in range(2)]
    await first.write(GET)
    await until(lambda: provider.token_calls)

    getattr(first, way)()
    seen = await second.send(request("GET", "/second", [JOHN]))

    assert (200, 1) == (seen.status, len(provider.token_calls))
    assert [b"/second"] == [each.target for each in upstream.requests]
    await asyncio.sleep(0)
    lines = [line for line in written() if "status" in line]
    assert [499, 200] == [line["status"] for line in lines]
    assert "the caller hung up" == lines[0]["cause"]


async def test_sending_to_an_upstream_that_does_not_read(gateway, call, upstream):
    """P25: who leaves while nobody takes the body is noticed although nothing of it is read."""
    upstream.answer_next(read_nothing, before_body=True)
    caller = await call(gateway)
    await caller.write(request("POST", "/", [JOHN, ("Content-Length", str(1 << 30))]))
    sending = asyncio.create_task(send_until_it_stops(caller))
    await until(lambda: upstream.requests)
    await sending

    caller.reset()

    await until(lambda: upstream.open_connections == 0)


async def read_nothing(_reader, writer, _request):
    """Take no byte of the body until the other side has left."""
    writer.transport.pause_reading()
    end = select.poll()
    end.register(writer.get_extra_info("socket").fileno(), select.POLLRDHUP)
    await until(lambda: end.poll(0), within=60)
    writer.transport.abort()


async def send_until_it_stops(caller):
    """Send pieces of a body until one of them has not gone out for half a second."""
    piece = bytes(1 << 20)
    while True:
        try:
            await asyncio.wait_for(caller.write(piece), 0.5)
        except TimeoutError:
            return
