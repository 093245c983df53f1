"""What of a response passes the gateway, and how its body ends for the caller (P1, P27, P29)."""

from __future__ import annotations

import gzip

import pytest

from tests.fakes.caller import basic, request
from tests.fakes.upstream_answers import chunked, pieces, response

JOHN = basic("john", "doe")


async def test_response_passes_unchanged(gateway, call, upstream):
    """P27: a response passes unchanged but for hop-by-hop fields and X-Request-Id."""
    body = gzip.compress(b"hello" * 100)
    fields = (
        ("Server", "fake"),
        ("Date", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("Content-Encoding", "gzip"),
        ("X-A", "1"),
        ("Set-Cookie", "a=1, b"),
        ("x-b", ""),
        ("Set-Cookie", "c=2"),
        ("Vary", "*"),
        ("WWW-Authenticate", "Negotiate"),
    )
    dropped = (
        ("Connection", "keep-alive, X-Named, Content-Length, Set-Cookie"),
        ("X-Named", "1"),
        ("Keep-Alive", "timeout=5"),
        ("X-Request-Id", "of-the-upstream"),
        ("Proxy-Authenticate", "Basic"),
        ("Upgrade", "h2c"),
        ("Trailer", "X-T"),
    )
    upstream.answer_next(response(401, body, (*dropped, *fields)))
    caller = await call(gateway)

    answer = await caller.send(request("GET", "/", [JOHN, ("Accept-Encoding", "gzip")]))

    expected = [(name.encode(), value.encode()) for name, value in fields]
    *passed, length, request_id = answer.headers
    assert (401, b"Unauthorized", body) == (answer.status, answer.reason, answer.body)
    assert expected == passed
    assert (b"Content-Length", str(len(body)).encode()) == length
    assert (b"X-Request-Id", upstream.requests[0].values(b"x-request-id")[0]) == request_id


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
async def test_redirect_is_passed_on(gateway, call, upstream, status):
    """P29: a redirect of the upstream is passed on and not followed."""
    location = f"{upstream.url}/elsewhere"
    upstream.answer_next(response(status, b"", [("Location", location)]))
    caller = await call(gateway)

    answer = await caller.send(request("GET", "/", [JOHN]))

    assert (status, [location.encode()]) == (answer.status, answer.values("location"))
    assert 1 == len(upstream.requests)


@pytest.mark.parametrize(
    "status", [200, 201, 203, 205, 206, 299, 400, 403, 404, 418, 500, 502, 503, 599, 999]
)
async def test_status_is_passed_on(gateway, call, upstream, status):
    """P27: every final status of the upstream is the caller's status."""
    upstream.answer_next(b"HTTP/1.1 %d Some Reason\r\nContent-Length: 5\r\n\r\nhello" % status)
    caller = await call(gateway)

    answer = await caller.send(request("GET", "/", [JOHN]))

    assert (status, b"Some Reason", b"hello") == (answer.status, answer.reason, answer.body)


async def test_empty_reason(gateway, call, upstream):
    """P27: a status line without reason phrase is one (RFC 9112 §4)."""
    upstream.answer_next(b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n")
    caller = await call(gateway)

    assert 200 == (await caller.send(request("GET", "/", [JOHN]))).status


BODILESS = {
    "head_length": ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", [b"5"]),
    "head_chunked": ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", []),
    "head_404": ("HEAD", b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n", [b"9"]),
    "no_content": ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", []),
    "no_content_length": ("DELETE", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", []),
    "not_modified": ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", [b"5"]),
    "not_modified_bare": ("GET", b"HTTP/1.1 304 Not Modified\r\nETag: a\r\n\r\n", []),
    "empty": ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", [b"0"]),
}


@pytest.mark.parametrize(
    ("method", "answer", "lengths"), [pytest.param(*v, id=k) for k, v in BODILESS.items()]
)
async def test_response_without_body(gateway, call, upstream, method, answer, lengths):
    """P27: HEAD, 204 and 304 have no body; both connections carry the next request."""
    upstream.answer_next(answer)
    caller = await call(gateway)

    seen = await caller.send(request(method, "/", [JOHN]))
    again = await caller.send(request("GET", "/next", [JOHN]))

    assert (b"", lengths, []) == (
        seen.body,
        seen.values("content-length"),
        seen.values("transfer-encoding"),
    )
    assert "/next" == again.json()["target"]


RESPONSES = {
    "length": response(200, b"hello"),
    "chunked": chunked([b"he", b"llo"]),
    "chunked_trailer": chunked([b"hello"], end=False) + b"0\r\nX-T: 1\r\n\r\n",
    "http_1_0_keep_alive": response(200, b"hello", [("Connection", "keep-alive")]).replace(
        b"HTTP/1.1", b"HTTP/1.0"
    ),
    "http_1_0": b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "closing": response(200, b"hello", close=True),
}


@pytest.mark.parametrize("in_pieces", [False, True], ids=["one_segment", "in_pieces"])
@pytest.mark.parametrize("version", [b"1.1", b"1.0", b"1.0 keep-alive"])
@pytest.mark.parametrize("answer", [pytest.param(v, id=k) for k, v in RESPONSES.items()])
async def test_response_to_each_version(gateway, call, upstream, answer, version, in_pieces):
    """P27: each framing arrives whole at HTTP/1.1 and HTTP/1.0 callers, kept alive as they ask."""
    script = [answer[at : at + 7] for at in range(0, len(answer), 7)]
    upstream.answer_next(pieces(script, pause=0.001) if in_pieces else answer)
    caller = await call(gateway)
    number, _, keep = version.partition(b" ")
    fields = [JOHN, *([("Connection", "keep-alive")] if keep else [])]

    await caller.write(request("GET", "/", fields).replace(b"HTTP/1.1", b"HTTP/" + number))
    seen = await caller.read()

    is_chunked = b"chunked" in answer
    stays_open = version == b"1.1" or (bool(keep) and not is_chunked)
    connection = ([b"keep-alive"] if keep else []) if stays_open else [b"close"]
    assert (200, b"hello", False) == (seen.status, seen.body, seen.truncated)
    assert ([b"chunked"] if is_chunked and number == b"1.1" else []) == seen.values(
        "transfer-encoding"
    )
    assert stays_open != seen.closed
    assert connection == seen.values("connection")


async def test_connection_close_of_the_caller(gateway, call):
    """P1: a caller that asks for it gets Connection: close and the end of the connection."""
    caller = await call(gateway)

    seen = await caller.send(request("GET", "/", [JOHN, ("Connection", "close")]))

    assert ([b"close"], True) == (seen.values("connection"), seen.closed)
