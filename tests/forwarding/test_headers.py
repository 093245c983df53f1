"""Request and response heads on their own (P1-P8, P27)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.errors import UpstreamError
from gateway.forwarding.headers import (
    Forwarded,
    ResponseFraming,
    forwarded_for,
    read_response_head,
    write_request_head,
    write_response_head,
)
from gateway.request import read_head
from gateway.routing import read_upstream

FORWARDED = Forwarded(b"192.0.2.1", b"http", b"gateway.test", b"id-1")
UPSTREAM = read_upstream("http://httpbin:8080/base")
BEGIN = b"Host: httpbin:8080\r\n"
TOKEN_LINE = b"Authorization: Bearer t\r\n"
END = (
    b"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n"
    b"X-Forwarded-Host: gateway.test\r\nX-Request-Id: id-1\r\n"
)


def written(
    *fields,
    method="GET",
    body_length=0,
    access_token="t",  # noqa: S107 - of nobody
    forwarded=FORWARDED,
    upstream=UPSTREAM,
    **more,
):
    """Write the upstream request of a caller's request with these fields."""
    head = read_head(
        method=method,
        target=b"/a?x",
        version=(1, 1),
        headers=((b"Host", b"gateway.test"), *fields),
        peer="192.0.2.1",
        max_header_bytes=32_768,
    )
    return write_request_head(
        head,
        upstream,
        forwarded,
        target=head.target,
        access_token=access_token,
        body_length=body_length,
        **more,
    )


def test_request_head():
    """P1, P6, P10: the head sent on, byte for byte."""
    head = written((b"Accept", b"*/*"), (b"Authorization", b"Basic YTpi"), (b"x-!", b"\xff"))

    assert head == (
        b"GET /base/a?x HTTP/1.1\r\n" + BEGIN + b"Accept: */*\r\nx-!: \xff\r\n"
        b"Authorization: Bearer t\r\n" + END + b"\r\n"
    )


def test_public_request_head():
    """P6: on a public route there is no Authorization at all."""
    head = written((b"Authorization", b"Basic YTpi"), access_token=None)

    assert b"GET /base/a?x HTTP/1.1\r\n" + BEGIN + END + b"\r\n" == head


def test_unknown_host():
    """P7: an HTTP/1.0 request without Host tells no X-Forwarded-Host."""
    nameless = Forwarded(b"192.0.2.1", b"https", b"", b"id-1")

    assert b"X-Forwarded-Host" not in written(forwarded=nameless)


def test_referer_is_dropped_with_the_query():
    """C8: where credentials were in the query, the Referer may hold them too."""
    referer = (b"Referer", b"http://gateway.test/?password=secret")

    assert b"secret" in written(referer)
    assert b"secret" not in written(referer, drop_referer=True)
    assert b"X-A: b" in written(referer, (b"X-A", b"b"), drop_referer=True)


def test_withheld_fields():
    """P3: fields that carried credentials are not sent on, however their names are spelled."""
    fields = ((b"X-Token", b"secret"), (b"x-tOKEN", b"secret"), (b"X-A", b"b"))

    head = written(*fields, withheld=frozenset({b"x-token"}))

    assert b"secret" not in head
    assert b"X-A: b\r\n" in head


@pytest.mark.parametrize(
    ("stripped", "line"),
    [
        pytest.param("/a", b"GET /base/?x HTTP/1.1\r\n", id="all-of-the-path"),
        pytest.param("/", b"GET /base/a?x HTTP/1.1\r\n", id="its-begin"),
    ],
)
def test_stripped_path(stripped, line):
    """RFC 9112 §3.2.1: without its prefix the target is a path again."""
    upstream = replace(UPSTREAM, stripped=stripped.encode())

    assert written(upstream=upstream).startswith(line)


FRAMINGS = {
    "get": ("GET", 0, b""),
    "get_with_body": ("GET", 5, b"Content-Length: 5\r\n"),
    "get_chunked": ("GET", None, b"Transfer-Encoding: chunked\r\n"),
    "post": ("POST", 0, b"Content-Length: 0\r\n"),
    "delete": ("DELETE", 0, b""),
}


@pytest.mark.parametrize(
    ("method", "length", "framing"), [pytest.param(*v, id=k) for k, v in FRAMINGS.items()]
)
def test_one_framing(method, length, framing):
    """P15, P17: exactly one framing field is written, or none where there is nothing to say."""
    assert written(method=method, body_length=length).endswith(END + framing + b"\r\n")


def test_announced_empty_body():
    """P17: a body announced as empty stays announced."""
    assert b"Content-Length: 0\r\n" in written((b"Content-Length", b"0"))


@pytest.mark.parametrize(
    "value", [b"X-A", b"close, x-a", b"X-A ,\tX-B", b",x-a,", b"X-A, content-length"]
)
def test_fields_named_by_connection(value):
    """P1, P2: what Connection names goes; what frames the message stays."""
    head = written((b"Connection", value), (b"X-A", b"gone"), (b"X-C", b"kept"), body_length=5)

    assert (False, True, True) == (b"gone" in head, b"kept" in head, b"Content-Length: 5" in head)


def test_forwarded_for():
    """P7: earlier proxies come first; a peer without an address is named as it is."""
    assert b"a, b, 192.0.2.1" == forwarded_for([b"a", b"b"], "192.0.2.1")
    assert b"unknown" == forwarded_for([], "unknown")


HEADS = {
    "length": ("GET", 200, [(b"Content-Length", b"5")], ResponseFraming.LENGTH),
    "chunked": ("GET", 200, [(b"transfer-encoding", b"Chunked")], ResponseFraming.CHUNKED),
    "close": ("GET", 200, [(b"Server", b"x")], ResponseFraming.CLOSE),
    "head": ("HEAD", 200, [(b"Content-Length", b"5")], ResponseFraming.NONE),
    "no_content": ("GET", 204, [], ResponseFraming.NONE),
    "not_modified": ("GET", 304, [(b"Content-Length", b"5")], ResponseFraming.NONE),
}


@pytest.mark.parametrize(
    ("method", "status", "fields", "framing"), [pytest.param(*v, id=k) for k, v in HEADS.items()]
)
def test_framing_of_a_response(method, status, fields, framing):
    """P27: method, status and fields tell how the body ends (RFC 9112 §6.3)."""
    assert framing is read_response_head(method, status, b"OK", fields).framing


WRONG = {
    "coding": (b"OK", [(b"Transfer-Encoding", b"gzip")]),
    "two_codings": (b"OK", [(b"Transfer-Encoding", b"chunked")] * 2),
    "length_and_coding": (b"OK", [(b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked")]),
    "line_feed": (b"O\nK", []),
    "escape": (b"\x1b[31m", []),
}


@pytest.mark.parametrize(("reason", "fields"), [pytest.param(*v, id=k) for k, v in WRONG.items()])
def test_wrong_response_head(reason, fields):
    """P27: a response head that can be read two ways is refused."""
    with pytest.raises(UpstreamError):
        read_response_head("GET", 200, reason, fields)


def answered(status, fields, **how):
    """Write the response head the caller gets."""
    how = {"framing": ResponseFraming.LENGTH, "keep_alive": True, "version": (1, 1), **how}
    head = read_response_head("GET", status, b"OK", fields)
    return write_response_head(head, request_id=b"id-1", **how)


def test_response_head():
    """P1, P27: the head sent back, byte for byte."""
    fields = [
        (b"Connection", b"X-Named, content-length"),
        (b"x-named", b"1"),
        (b"X-Request-ID", b"other"),
        (b"Keep-Alive", b"timeout=5"),
        (b"content-length", b"5"),
        (b"Set-Cookie", b"a=\xff"),
    ]

    expected = b"content-length: 5\r\nSet-Cookie: a=\xff\r\nX-Request-Id: id-1\r\n\r\n"
    assert b"HTTP/1.1 200 OK\r\n" + expected == answered(200, fields)


ENDS = {
    "keep_alive": ({}, b""),
    "close": ({"keep_alive": False}, b"Connection: close\r\n"),
    "http_1_0": ({"version": (1, 0)}, b"Connection: keep-alive\r\n"),
    "chunked": ({"framing": ResponseFraming.CHUNKED}, b"Transfer-Encoding: chunked\r\n"),
}


@pytest.mark.parametrize(("how", "end"), [pytest.param(*v, id=k) for k, v in ENDS.items()])
def test_end_of_a_response_head(how, end):
    """P27: framing and connection are the gateway's own words."""
    assert b"HTTP/1.1 200 OK\r\nX-Request-Id: id-1\r\n" + end + b"\r\n" == answered(200, [], **how)


def test_no_content_has_no_length():
    """P27: 204 says nothing about a length (RFC 9110 §8.6)."""
    assert b"Content-Length" not in answered(204, [(b"Content-Length", b"0")])


RESERVED = frozenset({b"x-user"})


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(b"X-User", id="P3-as-configured"),
        pytest.param(b"x-user", id="P3-lower-case"),
        pytest.param(b"X-USER", id="P3-upper-case"),
        pytest.param(b"X--User", id="P3-two-dashes"),
        pytest.param(b"X-User-", id="P3-dash-at-the-end"),
        pytest.param(b"-X-User", id="P3-dash-at-the-front"),
        pytest.param(b"X.User", id="P3-dot"),
        pytest.param(b"X'User", id="P3-quote"),
        pytest.param(b"X+User", id="P3-plus"),
        pytest.param(b"x~uSeR", id="P3-tilde"),
    ],
)
@pytest.mark.parametrize("told", [b"", b"X-User: john\r\n"])
def test_reserved_names(name, told):
    """P3, P4: a field the gateway fills never comes from the caller, filled or not."""
    head = written(
        (name, b"admin"), (name, b"root"), (b"X-Users", b"a"), reserved=RESERVED, told=told
    )

    assert b"admin" not in head
    assert b"root" not in head
    assert b"X-Users: a\r\n" + (TOKEN_LINE + told) in head


def test_reserved_names_in_connection():
    """P3: what the caller names in Connection is not taken out of what the gateway says."""
    told = b"X-User: john\r\n"
    head = written(
        (b"Connection", b"X-User, close"), (b"X-User", b"admin"), reserved=RESERVED, told=told
    )

    assert 1 == head.count(b"X-User")
    assert told in head


def test_said_in_a_response():
    """P3: what the gateway says to the caller takes the place of the upstream's, said or not."""
    fields = [(b"X-Me", b"admin"), (b"x_me", b"admin"), (b"X-Other", b"a")]
    response = read_response_head("GET", 204, b"No Content", fields)

    for line in (b"", b"X-Me: john\r\n"):
        head = write_response_head(
            response,
            request_id=b"id-1",
            framing=ResponseFraming.NONE,
            keep_alive=True,
            version=(1, 1),
            said=(frozenset({b"x-me"}), line),
        )
        assert (
            b"HTTP/1.1 204 No Content\r\nX-Other: a\r\nX-Request-Id: id-1\r\n" + line + b"\r\n"
        ) == head
