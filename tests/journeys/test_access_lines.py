"""The gateway's own answers, and the one access line of each request (P30, L3)."""

from __future__ import annotations

import json

import pytest

from gateway import logs
from tests.fakes.caller import basic, request
from tests.fakes.upstream_answers import chunked, pieces
from tests.fakes.waiting import until

JOHN = basic("john", "doe")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_own_answer(gateway, call, method):
    """P30: the gateway's own answers are JSON, never cached; HEAD gets the head of them."""
    caller = await call(gateway)

    first = await caller.send(request(method, "/"))
    second = await caller.send(request("GET", "/", [JOHN]))

    assert (401, [b"no-store"]) == (first.status, first.values("cache-control"))
    assert [b"application/json"] == first.values("content-type")
    assert ([b"Authorization"], 1) == (first.values("vary"), len(first.values("date")))
    assert (200, False) == (second.status, first.closed)
    assert ("missing_credentials" if method == "GET" else b"") == (
        first.json()["error"] if first.body else b""
    )


@pytest.fixture
def access_lines(tmp_path):
    """Return a function that gives the access lines written so far, and ends the writing."""
    written = tmp_path / "access.log"
    with written.open("w") as access, (tmp_path / "events.log").open("w") as events:
        logs.configure("info", "json", events, access)

        def lines():
            logs.close()
            return [json.loads(line) for line in written.read_text().splitlines()]

        yield lines
        logs.close()


async def test_one_access_line_for_each_request(gateway, call, upstream, access_lines):
    """L3: every request has one access line, also one that cannot be read."""
    for data in (
        request("GET", "/good?secret=1", [JOHN]),
        request("GET", "/none"),
        request("GET", "/a#b", [JOHN]),
        request("GET", "http://u:secret@gateway.test/", [JOHN]),
        b"GARBAGE secret\r\n\r\n",
        request("POST", "/chunks", [JOHN, ("Transfer-Encoding", "chunked")]) + b"secret\r\n",
    ):
        caller = await call(gateway)
        await caller.send(data)

    lines = access_lines()
    assert [200, 401, 400, 400, 400, 400] == [line["status"] for line in lines]
    assert ["/good", "/none", "/a#b", "-", "-", "-"] == [line["path"] for line in lines]
    assert "secret" not in json.dumps(lines)


@pytest.mark.parametrize("started", [False, True], ids=["waiting", "in_the_body"])
async def test_access_line_of_a_caller_that_hung_up(gateway, call, upstream, access_lines, started):
    """L3, P25: a caller that hung up has one access line that says so."""
    upstream.answer_next(
        pieces([chunked([b"x"], end=False) if started else b"", b"never"], pause=0.05),
        before_body=True,
    )
    caller = await call(gateway)
    await caller.write(request("GET", "/", [JOHN]))
    await until(lambda: upstream.requests)
    if started:
        await caller.read_some()

    caller.reset()
    await until(lambda: upstream.open_connections == 0)

    (line,) = access_lines()
    assert (200 if started else 499, "the caller hung up") == (line["status"], line["cause"])
