"""Answers that make no sense or break off, and what the caller sees of them (P26, P27, F18)."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes.caller import basic, request
from tests.fakes.upstream_answers import (
    UNASKED_UPGRADE,
    WRONG_BODIES,
    WRONG_HEADS,
    chunked,
    cut,
    pieces,
    response,
)
from tests.fakes.waiting import until

JOHN = basic("john", "doe")
GET = request("GET", "/", [JOHN])
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"

MORE_WRONG_HEADS = {
    "http_2_0": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "http_0_9": b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
    "lower_case_http": b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "chunked_in_1_0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked_twice": (
        b"HTTP/1.1 200 OK\r\n" + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n"
    ),
    "gzip_chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "identity": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhello",
    "obs_fold": b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "bare_lf": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "bare_cr_in_value": b"HTTP/1.1 200 OK\r\nX-A: b\rX-B: c\r\nContent-Length: 0\r\n\r\n",
    "control_in_reason": b"HTTP/1.1 200 O\x07K\r\nContent-Length: 0\r\n\r\n",
    "delete_in_reason": b"HTTP/1.1 200 O\x7fK\r\nContent-Length: 0\r\n\r\n",
    "no_colon": b"HTTP/1.1 200 OK\r\nX-A\r\nContent-Length: 0\r\n\r\n",
    "split_in_value": b"HTTP/1.1 200 OK\r\nX-A: b\n\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "nul_in_name": b"HTTP/1.1 200 OK\r\nX\x00A: b\r\nContent-Length: 0\r\n\r\n",
    "length_huge": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nhello",
    "same_length_twice": b"HTTP/1.1 200 OK\r\n" + b"Content-Length: 5\r\n" * 2 + b"\r\nhello",
    "length_in_hex": b"HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello",
    "coding_with_underscore": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunke_d\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    ),
    "interim_flood": INTERIM * 9 + response(200),
    "interim_upgrade": INTERIM + UNASKED_UPGRADE,
    "bare_101": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "head_too_large": b"HTTP/1.1 200 OK\r\nX-A: "
    + b"a" * 70_000
    + b"\r\nContent-Length: 0\r\n\r\n",
    "fields_too_large": b"HTTP/1.1 200 OK\r\n" + b"X-A: aaaaaaaaaaa\r\n" * 5000 + b"\r\n",
    "endless_field": b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 300_000,
    "endless_reason": b"HTTP/1.1 200 " + b"a" * 300_000,
}


@pytest.mark.parametrize(
    "answer", [pytest.param(v, id=k) for k, v in (WRONG_HEADS | MORE_WRONG_HEADS).items()]
)
async def test_wrong_head(gateway, call, upstream, answer):
    """P27, F18: a head that makes no sense is 502 bad_gateway, its connection is used no more."""
    upstream.answer_next(answer)
    caller = await call(gateway)

    wrong = await caller.send(GET)
    good = await caller.send(GET)

    assert (502, "bad_gateway") == (wrong.status, wrong.json()["error"])
    assert 200 == good.status
    assert [1, 2] == [seen.connection for seen in upstream.requests]
    await until(lambda: upstream.open_connections == 1)


CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
MORE_WRONG_BODIES = {
    "chunk_size_signed": CHUNKS + b"+5\r\nhello\r\n0\r\n\r\n",
    "chunk_size_negative": CHUNKS + b"-5\r\nhello\r\n0\r\n\r\n",
    "chunk_size_prefixed": CHUNKS + b"0x5\r\nhello\r\n0\r\n\r\n",
    "chunk_size_empty": CHUNKS + b"\r\nhello\r\n0\r\n\r\n",
    "chunk_bare_lf": CHUNKS + b"5\nhello\r\n0\r\n\r\n",
    "chunk_nul_in_extension": CHUNKS + b"5;\x00\r\nhello\r\n0\r\n\r\n",
    "trailer_without_colon": CHUNKS + b"5\r\nhello\r\n0\r\nX-A\r\n\r\n",
}


@pytest.mark.parametrize(
    "answer", [pytest.param(v, id=k) for k, v in (WRONG_BODIES | MORE_WRONG_BODIES).items()]
)
@pytest.mark.parametrize("together", [True, False], ids=["one_segment", "head_first"])
async def test_wrong_body(gateway, call, upstream, answer, together):
    """P26: a body that breaks after its head is seen by the caller as one that is cut short."""
    head, _, body = answer.partition(b"\r\n\r\n")
    upstream.answer_next(answer if together else pieces([head + b"\r\n\r\n", body]))
    caller = await call(gateway)

    seen = await caller.send(GET)

    assert (True, True) == (seen.truncated, seen.closed)
    assert 1 == len(upstream.requests)


TRUNCATED = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
    "chunked_between": chunked([b"hello"], end=False),
    "chunked_inside": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhello",
    "chunked_before_end": chunked([b"hello"]).removesuffix(b"\r\n"),
}


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "close"])
@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"], ids=["1.1", "1.0"])
@pytest.mark.parametrize("answer", [pytest.param(v, id=k) for k, v in TRUNCATED.items()])
async def test_upstream_dies_in_the_body(gateway, call, upstream, answer, reset, version):
    """P26, F18: the caller never sees a clean end of a body that was cut; nothing is repeated."""
    upstream.answer_next(cut(answer, reset=reset))
    caller = await call(gateway)

    await caller.write(GET.replace(b"HTTP/1.1", version))
    data = b""
    try:
        while piece := await caller._reader.read(65536):
            data += piece
        ended_with_a_reset = False
    except ConnectionError:
        ended_with_a_reset = True

    assert ended_with_a_reset
    assert not data.endswith(b"0\r\n\r\n")
    assert 1 == len(upstream.requests)


async def test_close_delimited_body_is_reset(gateway, call, upstream):
    """P26: a reset in a body without length is passed on as a body that is cut short."""
    upstream.answer_next(cut(b"HTTP/1.1 200 OK\r\n\r\nhello", reset=True))
    caller = await call(gateway)

    seen = await caller.send(GET)

    assert (b"hello", True) == (seen.body, seen.truncated)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n"])
async def test_close_delimited_body(gateway, call, upstream, head):
    """P26: a body that ends with the connection arrives whole, as chunks; the next one is fine."""
    upstream.answer_next(cut(head + b"hello"))
    caller = await call(gateway)

    first = await caller.send(GET)
    second = await caller.send(GET)

    assert (200, b"hello", False) == (first.status, first.body, first.truncated)
    assert [b"chunked"] == first.values("transfer-encoding")
    assert (200, [1, 2]) == (second.status, [seen.connection for seen in upstream.requests])


BEFORE_HEAD = {
    "close": cut(b""),
    "reset": cut(b"", reset=True),
    "half_a_head": cut(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "interim_only": cut(INTERIM),
}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("answer", [pytest.param(v, id=k) for k, v in BEFORE_HEAD.items()])
async def test_upstream_dies_before_the_head(gateway, call, upstream, answer, method):
    """P26: no answer is 502, and a request of which a byte was sent is never sent again."""
    upstream.answer_next(answer)
    caller = await call(gateway)

    seen = await caller.send(request(method, "/", [JOHN], b"hello"))

    assert (502, "bad_gateway") == (seen.status, seen.json()["error"])
    assert 1 == len(upstream.requests)


async def test_kept_connection_dies_with_the_request(gateway, call, upstream):
    """P26: a request on a kept connection that dies under it is 502 and is not repeated."""
    caller = await call(gateway)
    await caller.send(GET)
    upstream.answer_next(cut(b"", reset=True))

    seen = await caller.send(GET)

    assert (502, 2) == (seen.status, len(upstream.requests))


async def test_kept_connection_closed_meanwhile(gateway, call, upstream):
    """P26: a kept connection the upstream has closed is not used: the request gets another."""
    upstream.answer_next(cut(response(200)))
    caller = await call(gateway)
    await caller.send(GET)
    await until(lambda: upstream.open_connections == 0)
    await asyncio.sleep(0.02)

    seen = await caller.send(GET)

    assert (200, [1, 2]) == (seen.status, [each.connection for each in upstream.requests])


async def test_upstream_shows_no_cause(start_gateway, call, upstream):
    """F17: what is wrong with the upstream is told to the log, not to the caller."""
    upstream.answer_next(cut(b""))
    gateway = await start_gateway()
    caller = await call(gateway)

    seen = await caller.send(GET)

    assert "the upstream did not give a usable answer" == seen.json()["error_description"]
    assert seen.values("x-request-id") == [seen.json()["request_id"].encode()]
    assert [b"no-store"] == seen.values("cache-control")
