"""Request bodies arrive whole, in the one framing they had (P16, P17)."""

from __future__ import annotations

import pytest

from tests.fakes.caller import basic

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
