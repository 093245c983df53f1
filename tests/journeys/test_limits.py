"""How large a request may be, at the bound and one above it (P9, P24, R8)."""

from __future__ import annotations

import pytest

from gateway.request import MAX_FIELDS
from tests.fakes.caller import basic, request
from tests.fakes.waiting import until

JOHN = basic("john", "doe")
MAX_HEADER_BYTES = 2048


def with_header_bytes(size, parts):
    """Write a request whose fields, colons and line ends included, take ``size`` bytes."""
    fields = [(b"Host", b"gateway.test"), JOHN]
    rest = size - sum(len(name) + len(value) + 4 for name, value in fields)
    each = rest // parts
    sizes = [each] * (parts - 1) + [rest - each * (parts - 1)]
    return request("GET", "/", [*fields, *((b"X-A", b"a" * (n - 7)) for n in sizes)])


@pytest.mark.parametrize("parts", [1, 2, 20])
async def test_header_section_at_the_limit(start_gateway, call, upstream, parts):
    """P24: fields of exactly MAX_HEADER_BYTES together are taken."""
    gateway = await start_gateway(MAX_HEADER_BYTES=str(MAX_HEADER_BYTES))
    caller = await call(gateway)

    seen = await caller.send(with_header_bytes(MAX_HEADER_BYTES, parts))

    assert (200, 1) == (seen.status, len(upstream.requests))


@pytest.mark.parametrize("parts", [1, 2, 20])
async def test_header_section_over_the_limit(start_gateway, call, provider, upstream, parts):
    """P24: fields of one byte more than MAX_HEADER_BYTES are 431 and nothing is called."""
    gateway = await start_gateway(MAX_HEADER_BYTES=str(MAX_HEADER_BYTES))
    caller = await call(gateway)

    seen = await caller.send(with_header_bytes(MAX_HEADER_BYTES + 1, parts))

    assert (431, "invalid_request", True) == (seen.status, seen.json()["error"], seen.closed)
    assert ([], []) == (upstream.requests, provider.token_calls)


@pytest.mark.parametrize("size", [9_000, 30_000, 40_000])
@pytest.mark.parametrize("pause", [0, 0.0005], ids=["at_once", "in_pieces"])
async def test_single_field_with_default_limit(gateway, call, upstream, size, pause):
    """P24, B10: by default one field may take nearly 32 KiB; a larger one is 431 and close."""
    caller = await call(gateway)
    data = request("GET", "/", [JOHN, (b"X-A", b"a" * size)])

    await caller.write(data, pause=pause, size=4096)
    seen = await caller.read()

    expected = 200 if size < 32_000 else 431
    assert (expected, expected == 431) == (seen.status, seen.closed)
    assert ([] if expected == 431 else [size]) == [
        len(each.values(b"x-a")[0]) for each in upstream.requests
    ]


@pytest.mark.parametrize("size", [8_000, 32_000, 40_000])
async def test_long_target(gateway, call, upstream, size):
    """P9: a target longer than MAX_HEADER_BYTES is 431."""
    caller = await call(gateway)

    seen = await caller.send(request("GET", "/" + "a" * size, [JOHN]))

    assert (200 if size < 32_768 else 431) == seen.status
    assert (size < 32_768) == bool(upstream.requests)


async def test_number_of_fields(gateway, call, upstream):
    """P9: 128 fields are taken, 129 are refused and the connection is closed."""
    caller = await call(gateway)
    fields = [JOHN, *[(b"X-%d" % number, b"a") for number in range(MAX_FIELDS - 2)]]

    good = await caller.send(request("GET", "/", fields))
    wrong = await caller.send(request("GET", "/", [*fields, ("X-More", "a")]))

    assert (200, True) == (good.status, wrong.closed)
    assert 431 == wrong.status
    assert 1 == len(upstream.requests)


def posted(body, framing):
    """Write a request with this body in one of the two framings."""
    if framing == "length":
        return request("POST", "/", [JOHN], body)
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:3], body[3:]))
    return request("POST", "/", [JOHN, ("Transfer-Encoding", "chunked")]) + chunks + b"0\r\n\r\n"


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("pause", [0, 0.0005], ids=["at_once", "in_pieces"])
async def test_body_at_the_limit(start_gateway, call, upstream, framing, pause):
    """P24: a body of exactly MAX_BODY_BYTES is taken."""
    gateway = await start_gateway(MAX_BODY_BYTES="100")
    caller = await call(gateway)

    await caller.write(posted(b"x" * 100, framing), pause=pause, size=50)
    seen = await caller.read()

    assert (200, 100) == (seen.status, upstream.requests[0].body_length)


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("pause", [0, 0.0005], ids=["at_once", "in_pieces"])
async def test_body_over_the_limit(start_gateway, call, upstream, framing, pause):
    """P24: one byte more is 413 and close; the upstream sees no complete request of it."""
    gateway = await start_gateway(MAX_BODY_BYTES="100")
    caller = await call(gateway)

    await caller.write(posted(b"x" * 101, framing), pause=pause, size=50)
    seen = await caller.read()

    assert (413, "invalid_request", True) == (seen.status, seen.json()["error"], seen.closed)
    assert [] == [each for each in upstream.requests if each.complete]
    await until(lambda: upstream.open_connections == 0)


async def test_announced_body_over_the_limit(start_gateway, call, provider, upstream):
    """P24: a Content-Length over the limit is 413 before the body comes; nothing is called."""
    gateway = await start_gateway(MAX_BODY_BYTES="100")
    caller = await call(gateway)

    await caller.write(request("POST", "/", [JOHN, ("Content-Length", "101")]))
    seen = await caller.read()

    assert (413, True) == (seen.status, seen.closed)
    assert ([], []) == (upstream.requests, provider.token_calls)


async def test_announced_body_over_the_limit_is_not_continued(start_gateway, call):
    """P18, P24: such a body is not asked for with 100 (Continue)."""
    gateway = await start_gateway(MAX_BODY_BYTES="100")
    caller = await call(gateway)
    fields = [JOHN, ("Content-Length", "101"), ("Expect", "100-continue")]

    await caller.write(request("POST", "/", fields))
    seen = await caller.read()

    assert (413, ()) == (seen.status, seen.interim)


async def test_chunked_body_over_the_limit_in_mid_stream(start_gateway, call, upstream):
    """P24: a chunked body that grows over the limit gets no last chunk upstream."""
    gateway = await start_gateway(MAX_BODY_BYTES="100")
    caller = await call(gateway)

    await caller.write(request("POST", "/", [JOHN, ("Transfer-Encoding", "chunked")]))
    await caller.write(b"32\r\n" + b"x" * 50 + b"\r\n")
    await until(lambda: upstream.requests and upstream.requests[0].body_length == 50)
    await caller.write(b"33\r\n" + b"x" * 51 + b"\r\n")
    seen = await caller.read()

    assert (413, True) == (seen.status, seen.closed)
    await until(lambda: upstream.open_connections == 0)
    assert not upstream.requests[0].complete
    assert not upstream.requests[0].wire_body.endswith(b"0\r\n\r\n")
