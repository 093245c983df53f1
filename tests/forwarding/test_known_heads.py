"""A connection that has read the same head before reads the next response as a new one would."""

import random

import pytest

from gateway.errors import UpstreamError
from gateway.forwarding.response_reader import MAX_KNOWN_HEAD, MAX_ONCE, ResponseReader


def response(*fields, status=b"200 OK", body=b"hello", version=b"1.1"):
    """Return the bytes of a response with a length."""
    lines = [b"HTTP/" + version + b" " + status, *fields, b"Content-Length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


PLAIN = response(b"Server: x", b"Date: now")


def read(reader, *pieces, method="GET"):
    """Return all there is to know of one response, or that it was refused and why."""
    reader.begin(method)
    try:
        for piece in pieces:
            reader.feed(piece)
    except UpstreamError as error:
        return str(error)
    return reader.head, reader.complete, reader.keep_alive, reader.buffered, reader.take()


def knowing(data=PLAIN):
    """Return a reader that has read this response before."""
    reader = ResponseReader()
    read(reader, data)
    return reader


NEXT = {
    "same": PLAIN,
    "other_body": response(b"Server: x", b"Date: now", body=b"world"),
    "other_date": response(b"Server: x", b"Date: later"),
    "no_body": response(body=b""),
    "longer_body": PLAIN + b"!",
    "shorter_body": PLAIN[:-1],
    "two": PLAIN + PLAIN,
    "head_alone": PLAIN[:-5],
    "line_end_before": b"\r\n" + PLAIN,
    "line_end_behind": PLAIN + b"\r\n",
    "close": response(b"Connection: close"),
    "http_1_0": response(version=b"1.0"),
    "http_2": response(version=b"2.0"),
    "interim": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + PLAIN,
    "switching": response(b"Upgrade: x", b"Connection: upgrade", status=b"101 Switching"),
    "no_content": response(status=b"204 No Content", body=b""),
    "not_modified": response(status=b"304 Not Modified", body=b""),
    "cookie": response(b"Set-Cookie: a=b"),
    "named": response(b"Connection: keep-alive, x-a", b"X-A: 1"),
    "folded": response(b"X-A: 1\r\n 2"),
    "bare_line_feeds": PLAIN.replace(b"\r\n", b"\n"),
    "bare_line_feed": response(b"X-A: 1\nX-B: 2"),
    "bare_carriage_return": response(b"X-A: 1\rX-B: 2"),
    "space_before_colon": response(b"X-A : 1"),
    "nul": response(b"X-A: \0"),
    "two_lengths": response(b"Content-Length: 5"),
    "other_lengths": response(b"Content-Length: 6"),
    "length_and_coding": response(b"Transfer-Encoding: chunked"),
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "until_close": b"HTTP/1.1 200 OK\r\n\r\nhello",
    "body_of_line_ends": response(body=b"\r\n\r\n"),
    "large_head": response(b"X-A: " + b"a" * MAX_KNOWN_HEAD),
    "garbage": b"garbage\r\n\r\n",
}


@pytest.mark.parametrize("data", [pytest.param(v, id=k) for k, v in NEXT.items()])
def test_the_next_response(data):
    """P27: behind any response, and behind itself, it is read as on a new connection."""
    expected = read(ResponseReader(), data)

    assert expected == read(knowing(), data)
    if not isinstance(expected, str) and expected[1] and expected[2]:  # else none may follow
        again = knowing(data)
        assert expected == read(again, data)
        assert read(ResponseReader(), PLAIN) == read(again, PLAIN)


def test_head_that_answers_head():
    """P27: the head that answers HEAD has no body, though a GET had one with the same head."""
    expected = read(ResponseReader(), PLAIN[:-5], method="HEAD")
    reader = knowing()

    assert expected == read(reader, PLAIN[:-5], method="HEAD")
    assert read(ResponseReader(), PLAIN) == read(reader, PLAIN)


def test_response_in_pieces():
    """P27: a response that comes in pieces is read, wherever it is cut."""
    expected = read(ResponseReader(), PLAIN)
    for cut in range(1, len(PLAIN)):
        assert expected == read(knowing(), PLAIN[:cut], PLAIN[cut:])


def test_second_response_in_another_piece():
    """P27: bytes behind a response that was known are a second response, and refused."""
    assert "the upstream sent two responses to one request" == read(knowing(), PLAIN, PLAIN)


def test_random_changes():
    """P27: whatever octet is changed, taken out or put in, a known head changes nothing."""
    chosen = random.Random(1)  # noqa: S311 - the same octets each time
    for _ in range(3000):
        data = bytearray(PLAIN)
        for _ in range(chosen.randint(1, 3)):
            at = chosen.randrange(len(data))
            data[at : at + chosen.randint(0, 1)] = bytes(chosen.choices(b"\r\n :5aC\0\xff", k=1))
        assert read(ResponseReader(), bytes(data)) == read(knowing(), bytes(data))


def test_heads_that_never_come_again():
    """Which heads have come does not matter either: the thousandth is read as the first."""
    reader = ResponseReader()
    for number in range(3 * MAX_ONCE):
        data = response(b"X-Number: %d" % number)
        assert read(ResponseReader(), data) == read(reader, data)
    assert read(ResponseReader(), data) == read(reader, data)


def test_cookies_are_not_kept():
    """The head of a response that sets a cookie is forgotten with the response."""
    assert knowing()._known is not None
    assert knowing(response(b"Set-Cookie: a=b"))._known is None
