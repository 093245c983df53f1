"""Request bodies arrive whole, in the one framing they had (P16, P17)."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes.caller import basic
from tests.fakes.waiting import until

JOHN = basic("john", "doe")
CHUNKED = b"Transfer-Encoding: chunked"


def post(*fields, body=b"", line=b"POST / HTTP/1.1"):
    """Write a request with exactly these fields."""
    return b"\r\n".join([line, b"Host: gateway.test", b"%b: %b" % JOHN, *fields, b"", body])


BODIES = {
    "length": (post(b"Content-Length: 5", body=b"hello"), b"Content-Length", b"hello"),
    "chunked": (post(CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n"), b"Transfer-Encoding", b"hello"),
    "chunks": (
        post(CHUNKED, body=b"2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
        b"Transfer-Encoding",
        b"hello",
    ),
    "chunked_upper_case": (
        post(b"TRANSFER-ENCODING: CHUNKED", body=b"5\r\nhello\r\n0\r\n\r\n"),
        b"Transfer-Encoding",
        b"hello",
    ),
    "chunked_empty": (post(CHUNKED, body=b"0\r\n\r\n"), b"Transfer-Encoding", b""),
    "leading_zeros": (post(b"Content-Length: 0005", body=b"hello"), b"Content-Length", b"hello"),
    "zero": (post(b"Content-Length: 0"), b"Content-Length", b""),
    "get_length": (
        post(b"Content-Length: 5", body=b"hello", line=b"GET / HTTP/1.1"),
        b"Content-Length",
        b"hello",
    ),
    "get_chunked": (
        post(CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n", line=b"GET / HTTP/1.1"),
        b"Transfer-Encoding",
        b"hello",
    ),
    "head_length": (
        post(b"Content-Length: 5", body=b"hello", line=b"HEAD / HTTP/1.1"),
        b"Content-Length",
        b"hello",
    ),
    "delete_length": (
        post(b"Content-Length: 5", body=b"hello", line=b"DELETE / HTTP/1.1"),
        b"Content-Length",
        b"hello",
    ),
    "options_length": (
        post(b"Content-Length: 5", body=b"hello", line=b"OPTIONS / HTTP/1.1"),
        b"Content-Length",
        b"hello",
    ),
    "query": (
        post(b"Content-Length: 5", body=b"hello", line=b"QUERY / HTTP/1.1"),
        b"Content-Length",
        b"hello",
    ),
    "http_1_0": (
        post(b"Content-Length: 5", body=b"hello", line=b"POST / HTTP/1.0"),
        b"Content-Length",
        b"hello",
    ),
    "no_body": (post(line=b"GET / HTTP/1.1"), None, b""),
    "post_without_length": (post(), b"Content-Length", b""),
}


@pytest.mark.parametrize("together", [True, False], ids=["one_segment", "in_pieces"])
@pytest.mark.parametrize(
    ("data", "framing", "body"), [pytest.param(*v, id=k) for k, v in BODIES.items()]
)
async def test_body_of_any_method(gateway, call, upstream, data, framing, body, together):
    """P17: a body on any method arrives whole, in the framing it had, and there is one framing."""
    caller = await call(gateway)

    await caller.write(data, pause=0 if together else 0.003, size=23)
    response = await caller.read(head=data.startswith(b"HEAD"))

    assert 200 == response.status
    (seen,) = upstream.requests
    assert (body, True) == (seen.body, seen.complete)
    names = [name for name, _ in seen.headers if name in (b"Content-Length", b"Transfer-Encoding")]
    assert ([framing] if framing else []) == names


async def test_trailer_fields_are_dropped(gateway, call, upstream):
    """P16: a trailer section is dropped and becomes no header field."""
    caller = await call(gateway)

    response = await caller.send(
        post(CHUNKED, b"Trailer: X-Admin", body=b"5\r\nhello\r\n0\r\nX-Admin: yes\r\n\r\n")
    )

    assert 200 == response.status
    (seen,) = upstream.requests
    assert ([], [], b"hello") == (seen.values(b"X-Admin"), seen.values(b"Trailer"), seen.body)
    assert b"5\r\nhello\r\n0\r\n\r\n" == bytes(seen.wire_body)


TRAILED = post(CHUNKED, body=b"5\r\nhello\r\n0\r\nX-Admin: yes\r\n\r\n")
PLAIN = post(CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n")
NEXT = post(b"X-First: 1", line=b"GET /next HTTP/1.1")


@pytest.mark.parametrize("cut", [None, -4, -2, -1, -14], ids=lambda cut: f"cut_{cut}")
@pytest.mark.parametrize("first", [TRAILED, PLAIN], ids=["trailers", "no_trailers"])
async def test_trailer_fields_never_reach_the_next_request(gateway, call, upstream, first, cut):
    """P16: a trailer becomes no field of the connection's next request either."""
    caller = await call(gateway)
    await caller.write(first[:cut])
    if cut is not None:
        await until(lambda: upstream.requests)
        await caller.write(first[cut:])

    one = await caller.read()
    two = await caller.send(NEXT)

    assert [(200, False), (200, False)] == [(each.status, each.closed) for each in (one, two)]
    assert ["/", "/next"] == [seen.target.decode() for seen in upstream.requests]
    assert [[], []] == [seen.values(b"x-admin") for seen in upstream.requests]
    assert [b"1"] == upstream.requests[1].values(b"x-first")


@pytest.mark.parametrize("first", [TRAILED, PLAIN], ids=["trailers", "no_trailers"])
@pytest.mark.parametrize("behind", [NEXT, NEXT[:-2], NEXT[:9], PLAIN + NEXT, NEXT + NEXT])
async def test_pipelining_behind_a_chunked_body(gateway, call, upstream, first, behind):
    """P16: what shares a segment with the end of a chunked body is not read: the caller is told."""
    caller = await call(gateway)

    await caller.write(NEXT + first + behind)
    answers = [await caller.read() for _ in range(2)]

    assert [(200, False), (200, True)] == [(each.status, each.closed) for each in answers]
    assert [b"close"] == answers[1].values("connection")
    assert ["/next", "/"] == [seen.target.decode() for seen in upstream.requests]
    assert [] == upstream.requests[0].values(b"x-admin")


async def test_chunked_bodies_on_one_connection(gateway, call, upstream):
    """P16: chunked requests one after another share a connection, in one piece or in many."""
    caller = await call(gateway)

    for pause in (0.0, 0.0, 0.002, 0.0):
        await caller.write(PLAIN, pause=pause)
        seen = await caller.read()
        assert (200, False) == (seen.status, seen.closed)

    assert [b"hello"] * 4 == [seen.body for seen in upstream.requests]


@pytest.mark.parametrize("last", [b"0\r\n", b"1;a"], ids=["trailers", "extension"])
async def test_endless_trailers_or_extensions(start_gateway, call, upstream, last):
    """P16, R8: what surrounds a chunked body is bounded like a head; beyond, 400 and close."""
    gateway = await start_gateway(MAX_HEADER_BYTES="4096")
    caller = await call(gateway)
    await caller.write(post(CHUNKED, body=b"5\r\nhello\r\n" + last))
    await until(lambda: upstream.requests)

    async def send():
        for _ in range(5000):
            await caller.write(b"X-T: b\r\n" * 10 if last == b"0\r\n" else b"a" * 90)
            await asyncio.sleep(0)

    sending = asyncio.create_task(send())
    seen = await caller.read()
    sending.cancel()

    assert (400, True) == (seen.status, seen.closed)
    assert not upstream.requests[0].complete
