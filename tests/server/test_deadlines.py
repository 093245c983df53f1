"""How long a caller may take, and how many callers may be connected (P23, R8)."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from gateway.metrics import REGISTRY
from tests.fakes.caller import RawCaller, basic, request
from tests.fakes.upstream_answers import response, silence
from tests.fakes.waiting import until

JOHN = basic("john", "doe")
GET = request("GET", "/", [JOHN])
# Short where something has to end, long where it must not.
SHORT, LONG = "0.5", "60"


def counted(name, **labels):
    """Return what a counter of this process stands at."""
    return REGISTRY.get_sample_value(f"bearergate_{name}", labels) or 0


async def drip(caller, data, pause=0.02):
    """Send byte after byte until all is sent or the connection ends."""
    for at in range(len(data)):
        caller._writer.write(data[at : at + 1])
        await asyncio.sleep(pause)


@pytest.fixture
async def impatient(start_gateway):
    """Return a gateway that waits for a request head only shortly."""
    return await start_gateway(REQUEST_HEAD_TIMEOUT=SHORT, KEEPALIVE_TIMEOUT=LONG)


async def test_silent_connection(impatient, call, upstream):
    """P23: a connection on which nothing arrives is closed after REQUEST_HEAD_TIMEOUT."""
    caller = await call(impatient)

    assert await caller.closed()
    assert [] == upstream.requests


@pytest.mark.parametrize("before", [0, 1, 3])
async def test_head_that_is_dripped(impatient, call, upstream, before):
    """P23: a dripped head is 408 and close, however little is missing of it; the first one too."""
    caller = await call(impatient)
    for _ in range(before):
        assert 200 == (await caller.send(GET)).status
    cut = counted("connections_cut_total", reason="head")
    dripping = asyncio.create_task(drip(caller, GET * 20))

    seen = await caller.read()
    dripping.cancel()

    assert (408, "invalid_request", True) == (seen.status, seen.json()["error"], seen.closed)
    assert before == len(upstream.requests)
    assert cut + 1 == counted("connections_cut_total", reason="head")


@pytest.mark.parametrize("part", [1, 10, len(GET) - 1])
async def test_head_that_stops(impatient, call, upstream, part):
    """P23: a head of which a part is missing is 408 and close."""
    caller = await call(impatient)
    await caller.send(GET)

    await caller.write(GET[:part])
    seen = await caller.read()

    assert (408, True) == (seen.status, seen.closed)
    assert 1 == len(upstream.requests)


async def test_idle_connection(start_gateway, call):
    """P23: a connection without a request is closed after KEEPALIVE_TIMEOUT, without a word."""
    gateway = await start_gateway(KEEPALIVE_TIMEOUT=SHORT)
    caller = await call(gateway)
    await caller.send(GET)

    assert await caller.closed()


@pytest.mark.parametrize("body", [b"", b"x" * 200_000], ids=["no_body", "body"])
async def test_idle_connection_is_no_late_head(impatient, call, upstream, body):
    """P23: between two requests REQUEST_HEAD_TIMEOUT does not count, also after a body."""
    caller = await call(impatient)
    head = request("POST", "/", [JOHN, ("Content-Length", str(len(body)))])
    await caller.write(head)
    await until(lambda: upstream.requests)
    await caller.write(body)
    first = await caller.read()
    await asyncio.sleep(4 * float(SHORT))

    assert [200, 200] == [first.status, (await caller.send(GET)).status]


async def test_slow_answer_is_no_late_head(impatient, call, upstream):
    """P23: while a request is under way REQUEST_HEAD_TIMEOUT and KEEPALIVE_TIMEOUT do not count."""
    go = asyncio.Event()

    async def answer(_reader, writer, _request):
        await go.wait()
        writer.write(response(200))

    upstream.answer_next(answer)
    caller = await call(impatient)
    await caller.write(GET)
    await asyncio.sleep(4 * float(SHORT))
    go.set()

    assert 200 == (await caller.read()).status


async def test_request_that_takes_too_long(start_gateway, call, upstream, written):
    """P23: after REQUEST_TIMEOUT a request is cut, a response too; the access line says why."""
    gateway = await start_gateway(REQUEST_TIMEOUT=SHORT)
    upstream.answer_next(silence(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"))
    caller = await call(gateway)

    seen = await caller.send(GET)

    assert (200, True) == (seen.status, seen.truncated)
    await until(lambda: upstream.open_connections == 0)
    assert "the request took longer than REQUEST_TIMEOUT" in {
        line.get("cause") for line in written()
    }


async def test_stream_without_total_limit(start_gateway, call, upstream):
    """P23: without REQUEST_TIMEOUT a stream is not cut by any deadline for callers."""
    gateway = await start_gateway(REQUEST_HEAD_TIMEOUT=SHORT, KEEPALIVE_TIMEOUT=SHORT)

    async def answer(_reader, writer, _request):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        for octet in b"hello":
            await asyncio.sleep(float(SHORT))
            writer.write(bytes([octet]))

    upstream.answer_next(answer)
    caller = await call(gateway)

    assert b"hello" == (await caller.send(GET)).body


async def test_head_without_end(gateway, call, upstream):
    """P24, R8: fields that go on and on are 431 before their end, whatever each one's size."""
    caller = await call(gateway)
    await caller.send(GET)
    before = counted("connections_cut_total", reason="head")

    async def send():
        await caller.write(b"GET / HTTP/1.1\r\n")
        for number in range(2000):
            await caller.write(b"X-%d: %b\r\n" % (number, b"a" * 100))
            await asyncio.sleep(0)

    sending = asyncio.create_task(send())
    seen = await caller.read()
    sending.cancel()

    assert (431, True) == (seen.status, seen.closed)
    assert (1, before) == (len(upstream.requests), counted("connections_cut_total", reason="head"))


@pytest.mark.parametrize("count", [129, 200, 1000])
async def test_too_many_fields(gateway, call, upstream, count):
    """P9, R8: more than 128 fields are 431, however many."""
    caller = await call(gateway)

    seen = await caller.send(request("GET", "/", [JOHN, *[("X-A", "b")] * (count - 2)]))

    assert (431, True, []) == (seen.status, seen.closed, upstream.requests)


async def test_connections_at_the_bound(start_gateway, call):
    """R8: MAX_CONNECTIONS are served; the next is 503 and close; one that leaves makes room."""
    gateway = await start_gateway(MAX_CONNECTIONS="3")
    callers = [await call(gateway) for _ in range(3)]
    assert [200] * 3 == [(await caller.send(GET)).status for caller in callers]

    for _ in range(3):
        refused = await (await call(gateway)).read()
        assert (503, "too_many_connections") == (refused.status, refused.json()["error"])
        assert (True, [b"1"]) == (refused.closed, refused.values("retry-after"))
    callers[0].leave()

    await until(lambda: counted("connections") == 2)
    assert 200 == (await (await call(gateway)).send(GET)).status
    assert [200, 200] == [(await caller.send(GET)).status for caller in callers[1:]]


async def test_refused_connection_with_a_request(start_gateway, call, upstream):
    """R8: the answer to who is turned away arrives although a request was sent."""
    gateway = await start_gateway(MAX_CONNECTIONS="1")
    first = await call(gateway)
    await first.send(GET)
    caller = await call(gateway)

    refused = await caller.send(request("POST", "/", [JOHN], b"x" * 10_000))

    assert (503, True) == (refused.status, refused.closed)
    assert 1 == len(upstream.requests)


async def test_connections_of_one_address(start_gateway, call):
    """R8: MAX_CONNECTIONS_PER_ADDRESS are served, the next is 503; another address is not met."""
    gateway = await start_gateway(MAX_CONNECTIONS_PER_ADDRESS="2")
    async with AsyncExitStack() as stack:
        callers = [
            await stack.enter_async_context(RawCaller(gateway.port, source=source))
            for source in ("127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.2")
        ]
        assert [200] * 4 == [(await caller.send(GET)).status for caller in callers]

        refused = await (await call(gateway)).read()
        callers[0].leave()
        await until(lambda: counted("connections") == 3)
        again = await (await call(gateway)).send(GET)

    assert (503, 200) == (refused.status, again.status)


async def test_connections_of_a_trusted_proxy(start_gateway, call):
    """R8: a trusted proxy speaks for many: MAX_CONNECTIONS_PER_ADDRESS does not meet it."""
    gateway = await start_gateway(MAX_CONNECTIONS_PER_ADDRESS="1", TRUSTED_PROXIES="127.0.0.0/8")

    callers = [await call(gateway) for _ in range(5)]

    assert [200] * 5 == [(await caller.send(GET)).status for caller in callers]


async def test_many_who_are_turned_away(start_gateway, call):
    """R8: a flood of connections is turned away, each with an answer, and leaves nothing behind."""
    gateway = await start_gateway(MAX_CONNECTIONS="1")
    first = await call(gateway)
    await first.send(GET)

    callers = [await call(gateway) for _ in range(200)]
    refused = [await caller.read() for caller in callers]

    assert {503} == {seen.status for seen in refused}
    assert 200 == (await first.send(GET)).status


async def test_slow_callers_are_ended_and_others_served(start_gateway, call, upstream):
    """P23: slow heads and silent connections all end; others are served meanwhile."""
    gateway = await start_gateway(REQUEST_HEAD_TIMEOUT="1")
    warm = await call(gateway)
    await warm.send(GET)
    starts = [b"", GET[:20], GET[:-2]] * 100
    slow = [await call(gateway) for _ in starts]
    for caller, start in zip(slow, starts, strict=True):
        await caller.write(start)

    served = [(await warm.send(GET)).status for _ in range(50)]

    assert {200} == set(served)
    seen = [await caller.read() for caller in slow]
    assert {0, 408} == {each.status for each in seen}
    assert all(each.closed for each in seen)
    await until(lambda: counted("connections") == 1)
    assert 200 == (await warm.send(GET)).status
