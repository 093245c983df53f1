"""Upgrade and Expect: what a caller asks of the connection itself (P18, P21)."""

from __future__ import annotations

import pytest

from tests.fakes.caller import basic, request
from tests.fakes.waiting import until

JOHN = basic("john", "doe")
LENGTH = ("Content-Length", "5")


@pytest.mark.parametrize("token", ["websocket", "h2c", "WebSocket", "tcp", "foo"])
@pytest.mark.parametrize("body", [None, b"hello"])
async def test_upgrade_is_not_forwarded(gateway, call, upstream, token, body):
    """P21: Upgrade is removed, the request is answered as a plain one, and nothing gets lost."""
    caller = await call(gateway)
    upgrade = [("Connection", "Upgrade"), ("Upgrade", token), ("Sec-WebSocket-Version", "13")]

    first = await caller.send(request("POST", "/first", [JOHN, *upgrade], body))
    if first.closed:
        caller = await call(gateway)
    second = await caller.send(request("GET", "/second", [JOHN]))

    assert (200, 200) == (first.status, second.status)
    assert first.closed is (token not in {"websocket", "WebSocket"})
    assert ["/first", "/second"] == [first.json()["target"], second.json()["target"]]
    assert ([], []) == (
        upstream.requests[0].values(b"upgrade"),
        upstream.requests[0].values(b"connection"),
    )


@pytest.mark.parametrize("token", ["websocket", "h2c", "foo"])
async def test_pipelining_behind_an_upgrade(gateway, call, upstream, token):
    """P21: what follows a declined upgrade is answered, or the connection ends: never half read."""
    caller = await call(gateway)
    upgrade = [("Connection", "Upgrade"), ("Upgrade", token)]

    await caller.write(
        request("GET", "/first", [JOHN, *upgrade]) + request("GET", "/second", [JOHN])
    )
    first = await caller.read()
    second = await caller.read()

    assert 200 == first.status
    assert second.status == 200 or second.closed


EXPECTATIONS = {
    "good": (JOHN, "100-continue", 200, (100,), 1),
    "upper_case": (JOHN, "100-Continue", 200, (100,), 1),
    "wrong_password": (basic("john", "wrong"), "100-continue", 401, (), 0),
    "no_credentials": (("X-A", "b"), "100-continue", 401, (), 0),
    "unknown": (JOHN, "200-ok", 417, (), 0),
    "list": (JOHN, "100-continue, other", 417, (), 0),
}


@pytest.mark.parametrize(
    ("credentials", "expect", "status", "interim", "count"),
    [pytest.param(*v, id=k) for k, v in EXPECTATIONS.items()],
)
async def test_expect_continue(
    gateway, call, upstream, credentials, expect, status, interim, count
):
    """P18: 100 comes only after authentication; else the final answer and the end."""
    caller = await call(gateway)
    fields = [credentials, ("Expect", expect), ("Content-Length", "5")]

    await caller.write(request("POST", "/", fields))
    data = await caller.read_some()
    if interim:
        await caller.write(b"hello")
        seen = await caller.read()
    else:
        seen = None

    assert data.startswith(b"HTTP/1.1 %d " % (*interim, status)[0])
    assert count == len(upstream.requests)
    if seen is None:
        assert b"100 Continue" not in data
        assert await caller.closed()
    else:
        assert (status, b"hello") == (seen.status, upstream.requests[0].body)
        assert [] == upstream.requests[0].values(b"expect")


async def test_two_expectations(gateway, call, upstream):
    """P18: two Expect fields are 417."""
    caller = await call(gateway)

    seen = await caller.send(request("POST", "/", [JOHN, ("Expect", "100-continue")] * 2, b""))

    assert seen.status in {400, 417}
    assert [] == upstream.requests


async def test_expect_of_http_1_0(gateway, call, upstream):
    """P18: 100-continue of an HTTP/1.0 caller is ignored (RFC 9110 §10.1.1)."""
    caller = await call(gateway)
    data = request("POST", "/", [JOHN, ("Expect", "100-continue"), ("Content-Length", "5")])

    await caller.write(data.replace(b"HTTP/1.1", b"HTTP/1.0"))
    await until(lambda: upstream.requests)
    await caller.write(b"hello")
    seen = await caller.read()

    assert ((), 200) == (seen.interim, seen.status)


async def test_one_continue_for_a_body_in_pieces(gateway, call, upstream):
    """P18: 100 comes once, however many pieces the body comes in."""
    caller = await call(gateway)
    await caller.write(request("POST", "/", [JOHN, ("Expect", "100-continue"), LENGTH]))
    assert b"HTTP/1.1 100 Continue\r\n\r\n" == await caller.read_some()

    for sent in range(5):
        await caller.write(b"h")
        await until(lambda sent=sent: upstream.requests[0].body_length == sent + 1)
    seen = await caller.read()

    assert ((), 200) == (seen.interim, seen.status)
