"""The front gate on its own, without a server (P9-P17)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import (
    ExpectationFailedError,
    GatewayError,
    HeaderTooLargeError,
    MethodNotAllowedError,
    RequestError,
)
from gateway.request import MAX_FIELDS, field_name, read_head

HOST = (b"Host", b"gateway.test")


def head_of(*headers, method="GET", target=b"/", version=(1, 1), max_header_bytes=32_768):
    """Read a head with these fields."""
    return read_head(
        method=method,
        target=target,
        version=version,
        headers=headers,
        peer="192.0.2.1",
        max_header_bytes=max_header_bytes,
    )


def test_head_keeps_what_arrived():
    """P10: method, target and fields are kept as they arrived, and found by lower-case name."""
    headers = (HOST, (b"X-Twice", b"a"), (b"x-twice", b"\xff"), (b"Expect", b"100-Continue"))

    head = head_of(*headers, target=b"/a%20b?x=1?&")

    assert (b"/a%20b", b"x=1?&", headers) == (head.path, head.query, head.headers)
    assert ((b"a", b"\xff"), ()) == (head.values(b"x-twice"), head.values(b"absent"))
    assert (0, True, "192.0.2.1") == (head.body_length, head.expects_continue, head.peer)


def test_head_shows_no_content():
    """L2: the repr of a head holds no target and no field."""
    head = head_of(HOST, (b"Authorization", b"Basic YTpi"), target=b"/?password=secret")

    assert "YTpi" not in repr(head)
    assert "secret" not in repr(head)


GOOD_BODIES = {
    "none": ((), 0),
    "length": (((b"Content-Length", b"5"),), 5),
    "longest": (((b"content-length", b"9" * 19),), int("9" * 19)),
    "chunked": (((b"Transfer-Encoding", b"Chunked"),), None),
}


@pytest.mark.parametrize(
    ("fields", "length"), [pytest.param(*v, id=k) for k, v in GOOD_BODIES.items()]
)
def test_body_length(fields, length):
    """P15: one plain framing field tells the length of the body."""
    assert length == head_of(HOST, *fields).body_length


BAD = {
    "two_lengths": (RequestError, [HOST, (b"Content-Length", b"5"), (b"Content-Length", b"5")]),
    "signed_length": (RequestError, [HOST, (b"Content-Length", b"+5")]),
    "length_of_20_digits": (RequestError, [HOST, (b"Content-Length", b"1" * 20)]),
    "length_of_5000_digits": (RequestError, [HOST, (b"Content-Length", b"1" * 5000)]),
    "length_arabic": (RequestError, [HOST, (b"Content-Length", "٣".encode())]),
    "both": (RequestError, [HOST, (b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked")]),
    "two_codings": (RequestError, [HOST, *[(b"Transfer-Encoding", b"chunked")] * 2]),
    "identity": (RequestError, [HOST, (b"Transfer-Encoding", b"identity")]),
    "underscore": (RequestError, [HOST, (b"X_A", b"b")]),
    "no_host": (RequestError, []),
    "two_hosts": (RequestError, [HOST, HOST]),
    "port_of_5000_digits": (RequestError, [(b"Host", b"a:" + b"1" * 5000)]),
    "expectation": (ExpectationFailedError, [HOST, (b"Expect", b"tea")]),
    "two_expectations": (ExpectationFailedError, [HOST, *[(b"Expect", b"100-continue")] * 2]),
    "too_many_fields": (HeaderTooLargeError, [HOST, *[(b"X-A", b"b")] * MAX_FIELDS]),
    "too_large": (HeaderTooLargeError, [HOST, (b"X-A", b"a" * 32_768)]),
}


@pytest.mark.parametrize(("error", "fields"), [pytest.param(*v, id=k) for k, v in BAD.items()])
def test_bad_fields(error, fields):
    """P9, P14, P15, P18: fields that are too large or can be read two ways are refused."""
    with pytest.raises(error):
        head_of(*fields)


def test_most_fields():
    """P9: 128 fields are taken."""
    assert MAX_FIELDS == len(head_of(HOST, *[(b"X-A", b"b")] * (MAX_FIELDS - 1)).headers)


def test_http_1_0():
    """P14, P15: HTTP/1.0 needs no Host and has no transfer codings."""
    assert 0 == head_of(version=(1, 0)).body_length
    with pytest.raises(RequestError):
        head_of((b"Transfer-Encoding", b"chunked"), version=(1, 0))


@pytest.mark.parametrize("version", [(0, 9), (1, 2), (2, 0), (3, 0)])
def test_other_versions(version):
    """P15, trap 16: no other version is spoken."""
    with pytest.raises(RequestError):
        head_of(HOST, version=version)


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "get", "", "FOO"])
def test_other_methods(method):
    """P12, P13: methods outside the list are not forwarded."""
    with pytest.raises(MethodNotAllowedError):
        head_of(HOST, method=method)


@pytest.mark.parametrize(("method", "target"), [("GET", b"*"), ("OPTIONS", b"**"), ("GET", b"")])
def test_asterisk(method, target):
    """P13: ``*`` is a target of OPTIONS alone."""
    assert b"*" == head_of(HOST, method="OPTIONS", target=b"*").target
    with pytest.raises(RequestError):
        head_of(HOST, method=method, target=target)


def test_field_name():
    """P3: names are compared in lower case; one with an underscore is refused each time."""
    assert b"x-a" == field_name(b"X-A")
    for _ in range(2):
        with pytest.raises(RequestError):
            field_name(b"X_A")


@given(
    st.sampled_from(["GET", "OPTIONS", "POST"]),
    st.binary(max_size=40).map(lambda data: b"/" + data) | st.binary(max_size=20),
    st.lists(
        st.tuples(
            st.sampled_from([b"Host", b"Content-Length", b"Transfer-Encoding", b"Expect", b"X"]),
            st.sampled_from([b"a", b"chunked", b"5", b"100-continue"]) | st.binary(max_size=20),
        ),
        max_size=4,
    ),
)
def test_anything_is_read_or_refused(method, target, fields):
    """N9: whatever arrives is a head or a refusal; an admitted path holds no dot segment."""
    try:
        head = head_of(*fields, method=method, target=target)
    except GatewayError:
        return
    assert target == head.target
    assert head.path.startswith(b"/") or head.path == b"*"
    assert not {b".", b".."} & set(head.path.split(b"/"))
