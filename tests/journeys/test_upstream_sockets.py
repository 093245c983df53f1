"""Upstreams behind a Unix socket, in nginx's spelling."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from tests.fakes.caller import basic, request

JOHN = basic("john", "doe")


@asynccontextmanager
async def listening(path):
    """Answer each request on a Unix socket with its own head."""

    async def answer(reader, writer):
        with suppress(asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = b"Content-Length: %d\r\n\r\n" % len(head)
                writer.write(b"HTTP/1.1 200 OK\r\n" + length + head)
        writer.close()

    async with await asyncio.start_unix_server(answer, path) as server:
        yield server


@pytest.mark.parametrize(
    ("prefix", "line"),
    [
        pytest.param("", b"GET /a?b HTTP/1.1", id="alone"),
        pytest.param(":/", b"GET /a?b HTTP/1.1", id="empty-prefix"),
        pytest.param(":/v1/", b"GET /v1/a?b HTTP/1.1", id="prefix"),
    ],
)
async def test_unix_socket(start_gateway, call, tmp_path, prefix, line):
    """An upstream behind a Unix socket is called ``localhost`` and gets the request."""
    path = tmp_path / "app.sock"
    gateway = await start_gateway(UPSTREAM_URL=f"http://unix:{path}{prefix}")
    caller = await call(gateway)
    async with listening(path):
        answers = [await caller.send(request("GET", "/a?b", [JOHN])) for _ in range(2)]

    for answer in answers:
        first, *fields = answer.body.split(b"\r\n")
        assert (200, line) == (answer.status, first)
        assert b"Host: localhost" in fields


async def test_absent_socket(start_gateway, call, tmp_path):
    """A socket that is not there is 502, until it is."""
    path = tmp_path / "app.sock"
    gateway = await start_gateway(UPSTREAM_URL=f"http://unix:{path}")
    caller = await call(gateway)
    absent = await caller.send(request("GET", "/", [JOHN]))
    async with listening(path):
        present = await caller.send(request("GET", "/", [JOHN]))

    assert (502, "bad_gateway") == (absent.status, absent.json()["error"])
    assert 200 == present.status
