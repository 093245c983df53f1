"""What a connection to the upstream may still be used for (P19, P20, P27, F18)."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes.caller import basic, request
from tests.fakes.upstream_answers import chunked, pieces, response
from tests.fakes.waiting import until

JOHN = basic("john", "doe")
GET = request("GET", "/", [JOHN])
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"


EXTRA = {
    "second_response": response(200, b"hello") + response(200, b"smuggled"),
    "extra_bytes": response(200, b"hello") + b"smuggled",
    "body_of_204": response(204) + b"smuggled",
    "body_of_304": response(304) + b"smuggled",
    "after_last_chunk": chunked([b"hello"]) + b"smuggled",
    "after_close": response(200, b"hello", close=True) + b"smuggled",
}


@pytest.mark.parametrize("together", [True, False], ids=["one_segment", "later"])
@pytest.mark.parametrize("answer", [pytest.param(v, id=k) for k, v in EXTRA.items()])
async def test_more_than_one_response(gateway, call, upstream, answer, together):
    """P20, P27, F18: bytes beyond the response poison the connection and reach no caller."""
    at = answer.index(b"smuggled") if b"HTTP" not in answer[9:] else answer.rindex(b"HTTP/1.1")
    upstream.answer_next(answer if together else pieces([answer[:at], answer[at:]]))
    caller = await call(gateway)

    first = await caller.send(GET)
    await asyncio.sleep(0 if together else 0.05)
    second = await caller.send(GET)

    assert b"smuggled" not in first.body + second.body
    assert (200, "/") == (second.status, second.json()["target"])
    assert [1, 2] == [seen.connection for seen in upstream.requests]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(response(200, b"hello"), id="length"),
        pytest.param(chunked([b"hello"]), id="chunked"),
        pytest.param(chunked([]), id="last_chunk"),
        pytest.param(chunked([]).removesuffix(b"\r\n\r\n"), id="part_of_a_chunk"),
        pytest.param(chunked([]).removesuffix(b"\r\n") + b"X-A: b\r\n\r\n", id="trailer"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nhello", id="until_close"),
    ],
)
async def test_body_in_answer_to_head(gateway, call, upstream, answer):
    """P27: a body in answer to HEAD reaches nobody and its connection is used no more."""
    upstream.answer_next(answer)
    caller = await call(gateway)

    first = await caller.send(request("HEAD", "/", [JOHN]))
    second = await caller.send(GET)

    assert (200, 200) == (first.status, second.status)
    assert "/" == second.json()["target"]
    assert [1, 2] == [seen.connection for seen in upstream.requests]


HEADS = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    "chunked": chunked([], end=False),
    "after_interim": INTERIM + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
}


@pytest.mark.parametrize("cut", [-1, -2, -12, None], ids=lambda cut: f"cut_{cut}")
@pytest.mark.parametrize("answer", [pytest.param(v, id=k) for k, v in HEADS.items()])
async def test_answer_to_head(gateway, call, upstream, answer, cut):
    """P20: the head a GET would have had ends the answer to HEAD; its connection is used again."""
    upstream.answer_next(pieces([answer[:cut], answer[cut:]]) if cut else answer)
    caller = await call(gateway)

    first = await caller.send(request("HEAD", "/", [JOHN]))
    second = await caller.send(GET)

    assert (200, 200) == (first.status, second.status)
    assert 1 == upstream.connections


@pytest.mark.parametrize(
    ("fields", "connections"),
    [
        pytest.param(b"Connection: keep-alive\r\nContent-Length: 5\r\n", 1, id="kept"),
        pytest.param(b"Content-Length: 5\r\n", 2, id="not_kept"),
    ],
)
async def test_http_1_0_upstream(gateway, call, upstream, fields, connections):
    """P20: the connection of an HTTP/1.0 upstream is used again only if it says so."""
    upstream.answer_next(b"HTTP/1.0 200 OK\r\n" + fields + b"\r\nhello")
    caller = await call(gateway)

    first = await caller.send(GET)
    second = await caller.send(GET)

    assert (b"hello", 200, connections) == (first.body, second.status, upstream.connections)


async def test_interim_responses_are_dropped(gateway, call, upstream):
    """P27: interim responses the caller did not ask for are dropped; the final one arrives."""
    upstream.answer_next(b"HTTP/1.1 100 Continue\r\n\r\n" + INTERIM + response(200, b"hello"))
    caller = await call(gateway)

    seen = await caller.send(GET)
    again = await caller.send(GET)

    assert ((), 200, b"hello") == (seen.interim, seen.status, seen.body)
    assert [] == seen.values("link")
    assert (200, 1) == (again.status, upstream.connections)


async def test_early_answer(gateway, call, upstream):
    """P19, P20: an answer before the end of the body ends both connections."""
    upstream.answer_next(response(413, b"enough"), before_body=True)
    caller = await call(gateway)

    await caller.write(request("POST", "/", [JOHN, ("Content-Length", "1000")]))
    seen = await caller.read()

    assert (413, b"enough", True) == (seen.status, seen.body, seen.closed)
    assert [b"close"] == seen.values("connection")
    await until(lambda: upstream.open_connections == 0)
    assert not upstream.requests[0].complete


async def test_early_answer_and_then_the_body(gateway, call, upstream):
    """P20: an upstream that answers first and then reads is given the whole body."""
    upstream.answer_next(chunked([b"one"], end=False), before_body=True)
    caller = await call(gateway)

    await caller.write(request("POST", "/", [JOHN, ("Content-Length", "10")]))
    await until(lambda: upstream.requests)
    await caller.write(b"0123456789")

    await upstream.called(1)
    assert b"0123456789" == upstream.requests[0].body


async def test_idle_connection_is_closed(start_gateway, call, upstream):
    """UPSTREAM_IDLE_TIMEOUT: a connection to the upstream that nobody uses is closed."""
    gateway = await start_gateway(UPSTREAM_IDLE_TIMEOUT="0.1")
    caller = await call(gateway)

    assert 200 == (await caller.send(GET)).status

    await until(lambda: upstream.open_connections == 0, within=60)


async def test_old_connection_is_closed(start_gateway, call, upstream):
    """UPSTREAM_CONNECTION_LIFETIME: a connection that is older carries no further request."""
    gateway = await start_gateway(UPSTREAM_CONNECTION_LIFETIME="0.1", UPSTREAM_IDLE_TIMEOUT="3600")
    upstream.answer_next(pieces([response(200, b"late")], 0.2))
    caller = await call(gateway)

    assert 200 == (await caller.send(GET)).status

    await until(lambda: upstream.open_connections == 0, within=60)
