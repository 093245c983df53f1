"""The recording upstream and the raw caller: what other tests rely on when they use them."""

from __future__ import annotations

import pytest

from tests.fakes.caller import RawCaller, request
from tests.fakes.upstream import RecordingUpstream
from tests.fakes.upstream_answers import (
    WRONG_BODIES,
    WRONG_HEADS,
    chunked,
    cut,
    endless,
    pieces,
    response,
    silence,
)
from tests.fakes.waiting import until

TARGET = b"/a%2Fb/../\xff?q=%zz;"
CHUNKS = b"3;x=y\r\nabc\r\n0\r\nT: t\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\n"


async def call(port, data):
    """Send one request on a connection of its own."""
    async with RawCaller(port) as caller:
        return await caller.send(data)


async def test_upstream_records_exact_bytes():
    """Targets, names, values and bodies are kept as they came, on one kept connection."""
    async with RecordingUpstream() as upstream, RawCaller(upstream.port) as caller:
        odd = request(
            "PATCH", b"/a%2Fb/../\xff?q=%zz;", [("hOST", "x"), (b"X-A", b"\xff")], b"\x00"
        )
        first = await caller.send(odd)
        second = await caller.send(
            request(
                "POST",
                "/c",
                [("Transfer-Encoding", "chunked")],
                b"3;x=y\r\nabc\r\n0\r\nT: t\r\n\r\n",
            )
        )
        await caller.send(request("HEAD", "/d"))
    patched, posted, headed = upstream.requests
    assert (patched.method, patched.target, patched.body) == (
        "PATCH",
        b"/a%2Fb/../\xff?q=%zz;",
        b"\x00",
    )
    assert patched.headers == ((b"hOST", b"x"), (b"X-A", b"\xff"), (b"Content-Length", b"1"))
    assert (posted.body, bytes(posted.wire_body)) == (b"abc", CHUNKS)
    assert [record.connection for record in (patched, posted, headed)] == [1, 1, 1]
    assert upstream.connections == 1
    assert (first.status, first.json()["body_length"], second.json()["target"]) == (200, 1, "/c")


async def test_upstream_shows_smuggled_requests():
    """Bytes after a request's framing become a request of their own in the record."""
    async with RecordingUpstream() as upstream, RawCaller(upstream.port) as caller:
        await caller.send(request("POST", "/a", (), b"") + request("GET", "/smuggled"))
        await upstream.called(2)
    assert [record.target for record in upstream.requests] == [b"/a", b"/smuggled"]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET /\r\n\r\n", id="no_version"),
        pytest.param(b"GET / HTTP/1.1\r\nnonsense\r\n\r\n", id="no_colon"),
        pytest.param(
            request("POST", "/", [("Content-Length", "1"), ("Transfer-Encoding", "chunked")], b"x"),
            id="two_framings",
        ),
    ],
)
async def test_upstream_refuses_what_has_no_single_reading(data):
    """A malformed request is kept apart and answered 400."""
    async with RecordingUpstream() as upstream:
        answer = await call(upstream.port, data)
    assert (answer.status, answer.closed) == (400, True)
    assert len(upstream.malformed) == 1


async def test_upstream_keeps_count_of_a_long_body_without_keeping_it():
    """Beyond ``keep`` bytes only the length and the hash are known."""
    async with RecordingUpstream(keep=10) as upstream:
        await call(upstream.port, request("PUT", "/", (), b"x" * 1_000_000))
    (record,) = upstream.requests
    assert (record.body, record.body_length) == (b"x" * 10, 1_000_000)


@pytest.mark.parametrize(
    ("script", "status", "body", "truncated"),
    [
        pytest.param(response(201, b"made"), 201, b"made", False, id="raw"),
        pytest.param(response(204), 204, b"", False, id="no_content"),
        pytest.param(response(200, b"bye", close=True), 200, b"bye", False, id="close"),
        pytest.param(chunked([b"ab", b"c"]), 200, b"abc", False, id="chunked"),
        pytest.param(
            pieces([HEAD + b"Content-", b"Length: 2\r\n\r\nh", b"i"]),
            200,
            b"hi",
            False,
            id="pieces",
        ),
        pytest.param(cut(response(200, b"half")[:-2]), 200, b"ha", True, id="cut"),
        pytest.param(cut(response(200, b"half")[:-2], reset=True), 200, b"ha", True, id="reset"),
        pytest.param(cut(chunked([b"ab"], end=False)), 200, b"ab", True, id="cut_chunked"),
        pytest.param(cut(b""), 0, b"", True, id="no_answer"),
        pytest.param(cut(HEAD + b"\r\nto the end"), 200, b"to the end", False, id="until_close"),
    ],
)
async def test_upstream_answers_as_told(script, status, body, truncated):
    """Good, slow and cut answers arrive, and the caller tells which is which."""
    async with RecordingUpstream() as upstream:
        upstream.answer_next(script)
        answer = await call(upstream.port, request())
    assert (answer.status, answer.body, answer.truncated) == (status, body, truncated)


@pytest.mark.parametrize("raw", [*WRONG_HEADS.values(), *WRONG_BODIES.values()])
async def test_upstream_sends_wrong_framing_unchanged(raw):
    """What is wrong in an answer stays wrong on the wire."""
    async with RecordingUpstream() as upstream, RawCaller(upstream.port) as caller:
        upstream.answer_next(raw)
        await caller.write(request())
        assert await caller.read_some() == raw


async def test_upstream_answers_before_the_body():
    """An early answer comes while the body is still under way."""
    async with RecordingUpstream() as upstream, RawCaller(upstream.port) as caller:
        upstream.answer_next(response(413), before_body=True)
        await caller.write(request("POST", "/", [("Content-Length", "10")]))
        early = await caller.read()
        assert not upstream.requests[0].complete
        await caller.write(b"0123456789")
        await upstream.called(1)
    assert (early.status, upstream.requests[0].body) == (413, b"0123456789")


async def test_upstream_notices_that_the_caller_left():
    """A silent upstream and an endless one both end with the connection."""
    async with RecordingUpstream() as upstream:
        upstream.answer_next(silence())
        async with RawCaller(upstream.port) as caller:
            await caller.write(request())
            await upstream.called(1)
        upstream.answer_next(endless(b"x" * 65536))
        async with RawCaller(upstream.port) as caller:
            await caller.write(request())
            assert await caller.read_some()
            caller.reset()
        await until(lambda: upstream.open_connections == 0)
    assert upstream.connections == 2


async def test_upstream_goes_down_and_comes_up_on_its_port():
    """While it is down nothing listens."""
    async with RecordingUpstream() as upstream:
        await upstream.down()
        with pytest.raises(ConnectionRefusedError):
            await call(upstream.port, request())
        await upstream.up()
        assert (await call(upstream.port, request())).status == 200


async def test_caller_reads_interim_responses():
    """A 100 is not the answer, and the caller keeps it apart."""
    async with RecordingUpstream() as upstream:
        upstream.answer_next(b"HTTP/1.1 100 Continue\r\n\r\n" + response(200, b"x"))
        answer = await call(upstream.port, request())
    assert (answer.status, answer.body, answer.interim) == (200, b"x", (100,))
