"""Messages that two servers could read as two different things (P15, P19, trap 16)."""

from __future__ import annotations

import pytest

from tests.fakes.caller import RawResponse, basic, request
from tests.fakes.waiting import until

JOHN = basic("john", "doe")


def post(*fields, body=b"", line=b"POST / HTTP/1.1"):
    """Write a request with exactly these fields."""
    return b"\r\n".join([line, b"Host: gateway.test", b"%b: %b" % JOHN, *fields, b"", body])


CHUNKED = b"Transfer-Encoding: chunked"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

WRONG_FRAMING = {
    "length_and_chunked": post(b"Content-Length: 5", CHUNKED, body=b"0\r\n\r\n" + SMUGGLED),
    "chunked_and_length": post(CHUNKED, b"Content-Length: 5", body=b"0\r\n\r\n" + SMUGGLED),
    "two_lengths": post(b"Content-Length: 3", b"Content-Length: 5", body=b"hello"),
    "same_length_twice": post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"),
    "length_list": post(b"Content-Length: 5, 5", body=b"hello"),
    "length_signed": post(b"Content-Length: +5", body=b"hello"),
    "length_negative": post(b"Content-Length: -5", body=b"hello"),
    "length_hex": post(b"Content-Length: 0x5", body=b"hello"),
    "length_fraction": post(b"Content-Length: 5.0", body=b"hello"),
    "length_empty": post(b"Content-Length:", body=b"hello"),
    "length_with_space": post(b"Content-Length: 1 1", body=b"hello"),
    "length_overflow": post(b"Content-Length: 99999999999999999999", body=b"hello"),
    "length_thousands_of_digits": post(b"Content-Length: " + b"1" * 5000, body=b"hello"),
    "chunked_twice": post(CHUNKED, CHUNKED, body=b"0\r\n\r\n"),
    "chunked_chunked": post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "identity": post(b"Transfer-Encoding: identity", body=b""),
    "gzip_chunked": post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "chunked_gzip": post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"),
    "xchunked": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "chunked_quoted": post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"),
    "chunked_parameter": post(b"Transfer-Encoding: chunked;q=1", body=b"0\r\n\r\n"),
    "coding_vertical_tab": post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "coding_space_in_name": post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"),
    "coding_underscore": post(b"Transfer_Encoding: chunked", body=b"0\r\n\r\n"),
    "length_underscore": post(b"Content_Length: 5", body=b"hello"),
    "coding_in_1_0": post(CHUNKED, line=b"POST / HTTP/1.0", body=b"0\r\n\r\n"),
    "obs_fold": post(b"X-A: b\r\n c", b"Content-Length: 0"),
    "obs_fold_coding": post(b"Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n"),
    "bare_lf": b"POST / HTTP/1.1\nHost: gateway.test\nContent-Length: 0\n\n",
    "bare_lf_one_line": post(b"X-A: b\nX-C: d", b"Content-Length: 0"),
    "bare_cr": post(b"X-A: b\rX-C: d", b"Content-Length: 0"),
    "nul_in_value": post(b"X-A: b\x00c", b"Content-Length: 0"),
    "nul_in_name": post(b"X\x00A: b", b"Content-Length: 0"),
    "empty_name": post(b": b", b"Content-Length: 0"),
    "no_colon": post(b"X-A", b"Content-Length: 0"),
    "http_2_0": post(line=b"GET / HTTP/2.0"),
    "http_1_2": post(line=b"GET / HTTP/1.2"),
    "http_0_9": b"GET /\r\n\r\n",
    "lower_case_http": post(line=b"GET / http/1.1"),
    "no_version": post(line=b"GET /"),
    "preface_of_http_2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tls_hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
}


@pytest.mark.parametrize("data", [pytest.param(v, id=k) for k, v in WRONG_FRAMING.items()])
async def test_wrong_framing(gateway, call, provider, upstream, data):
    """P15: wrong framing is answered once with HTTP/1.1 400 and the connection is closed."""
    caller = await call(gateway)

    response = await caller.send(data)

    assert (400, True) == (response.status, response.closed)
    assert [b"close"] == response.values("connection")
    assert "invalid_request" == response.json()["error"]
    assert ([], []) == (upstream.requests, upstream.malformed)


WRONG_CHUNKS = {
    "size_not_hex": b"xyz\r\nhello\r\n0\r\n\r\n",
    "size_signed": b"+5\r\nhello\r\n0\r\n\r\n",
    "size_prefixed": b"0x5\r\nhello\r\n0\r\n\r\n",
    "size_underscore": b"1_0\r\nhellohellohello!\r\n0\r\n\r\n",
    "size_overflow": b"ffffffffffffffff1\r\nhello\r\n0\r\n\r\n",
    "size_empty": b"\r\nhello\r\n0\r\n\r\n",
    "longer_than_said": b"3\r\nhello\r\n0\r\n\r\n",
    "bare_lf_after_size": b"5\nhello\r\n0\r\n\r\n",
    "bare_lf_after_data": b"5\r\nhello\n0\r\n\r\n",
    "bare_cr_in_extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "bare_lf_in_extension": b"5;a\nhello\r\n0\r\n\r\n",
    "nul_in_extension": b"5;\x00\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("together", [True, False], ids=["one_segment", "head_first"])
@pytest.mark.parametrize("body", [pytest.param(v, id=k) for k, v in WRONG_CHUNKS.items()])
async def test_wrong_chunks(gateway, call, upstream, body, together):
    """P15: a broken chunked body ends in 400 and close; no upstream sees a whole request of it."""
    caller = await call(gateway)
    await caller.send(request("GET", "/warm", [JOHN]))
    head = post(CHUNKED)

    if together:
        response = await caller.send(head + body)
    else:
        await caller.write(head)
        await until(lambda: len(upstream.requests) == 2)
        response = await caller.send(body)

    assert (400, True) == (response.status, response.closed)
    assert [] == [seen for seen in upstream.requests[1:] if seen.complete]
    await until(lambda: upstream.open_connections <= 1)


async def test_pipelined_requests(gateway, call, upstream):
    """P15: pipelined requests are answered in order, each once."""
    caller = await call(gateway)

    await caller.write(b"".join(request("GET", f"/{number}", [JOHN]) for number in range(40)))
    answers: list[RawResponse] = [await caller.read() for _ in range(40)]

    assert [f"/{number}" for number in range(40)] == [each.json()["target"] for each in answers]
    assert 40 == len(upstream.requests)


async def test_body_of_a_refused_request_is_no_request(gateway, call, upstream):
    """P19: what follows an answer that came before the body's end is never read as a request."""
    caller = await call(gateway)
    wrong = basic("john", "wrong")

    await caller.write(request("POST", "/", [wrong, ("Content-Length", "1000")]) + SMUGGLED)
    response = await caller.read()

    assert (401, True) == (response.status, response.closed)
    assert [b"close"] == response.values("connection")
    assert [] == upstream.requests


async def test_refused_pipelined_request(gateway, call, upstream):
    """P15: a request behind one that was refused for its form is not read."""
    caller = await call(gateway)

    await caller.write(request("GET", "/a#b", [JOHN]) + request("GET", "/second", [JOHN]))
    response = await caller.read()

    assert (400, True) == (response.status, response.closed)
    assert [] == upstream.requests
