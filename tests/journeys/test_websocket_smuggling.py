"""What a handshake must not open: bytes that go across unread and are requests (P20, P21, P27)."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes.caller import basic, request
from tests.fakes.upstream_answers import chunked, pieces, response, silence
from tests.fakes.waiting import until
from tests.fakes.websocket import ACCEPT, FIELDS, HANDSHAKE, SWITCHED, text_frame
from tests.settings.environments import written

JOHN = basic("john", "doe")
BARE = request("GET", "/admin")
HELLO = text_frame(b"hello")

DECLINED = {
    "426": response(426, b"other version", (("Sec-WebSocket-Version", "13"),)),
    "400": response(400, b"no"),
    "401": response(401, b"no"),
    "200": response(200, b"hello"),
    "204": response(204),
    "chunked": chunked([b"hello"]),
    "with_upgrade": response(426, b"no", (("Connection", "Upgrade"), ("Upgrade", "websocket"))),
    "interim_first": b"HTTP/1.1 103 Early Hints\r\n\r\n" + response(400, b"no"),
}


@pytest.mark.parametrize("together", [True, False], ids=["one_segment", "later"])
@pytest.mark.parametrize("answer", [pytest.param(v, id=k) for k, v in DECLINED.items()])
async def test_declined(gateway, call, upstream, answer, together):
    """P21: behind a declined handshake each request is authenticated, wherever its bytes were."""
    upstream.answer_next(answer)
    caller = await call(gateway)

    await caller.write(HANDSHAKE + BARE if together else HANDSHAKE)
    first = await caller.read()
    second = await (caller.read() if together else caller.send(BARE))
    third = await caller.send(request("GET", "/", [JOHN]))

    assert (answer.split(b" ")[1] in {b"103", b"%d" % first.status}, 401) == (True, second.status)
    assert (200, "/") == (third.status, third.json()["target"])
    assert [b"/chat", b"/"] == [seen.target for seen in upstream.requests]
    assert [1, 2] == [seen.connection for seen in upstream.requests]


def switched(*fields, version=b"HTTP/1.1"):
    """Write a 101 with these fields."""
    lines = [b"%b: %b" % (name, value) for name, value in fields]
    return b"\r\n".join([version + b" 101 Switching Protocols", *lines, b"", b""])


CONNECTION = (b"Connection", b"Upgrade")
UPGRADE = (b"Upgrade", b"websocket")
ACCEPTED = (b"Sec-WebSocket-Accept", ACCEPT)

WRONG = {
    "no_fields": switched(),
    "no_accept": switched(CONNECTION, UPGRADE),
    "other_accept": switched(CONNECTION, UPGRADE, (ACCEPTED[0], b"x" + ACCEPT[1:])),
    "two_accepts": switched(CONNECTION, UPGRADE, ACCEPTED, ACCEPTED),
    "no_upgrade": switched(CONNECTION, ACCEPTED),
    "no_connection": switched(UPGRADE, ACCEPTED),
    "connection_close": switched((b"Connection", b"close"), UPGRADE, ACCEPTED),
    "h2c": switched(CONNECTION, (b"Upgrade", b"h2c"), ACCEPTED),
    "websocket_and_h2c": switched(CONNECTION, (b"Upgrade", b"websocket, h2c"), ACCEPTED),
    "two_upgrades": switched(CONNECTION, UPGRADE, (b"Upgrade", b"h2c"), ACCEPTED),
    "length": switched(CONNECTION, UPGRADE, ACCEPTED, (b"Content-Length", b"5")),
    "chunked": switched(CONNECTION, UPGRADE, ACCEPTED, (b"Transfer-Encoding", b"chunked")),
    "http_1_0": switched(CONNECTION, UPGRADE, ACCEPTED, version=b"HTTP/1.0"),
}


@pytest.mark.parametrize("answer", [pytest.param(v, id=k) for k, v in WRONG.items()])
async def test_wrong_switch(gateway, call, upstream, answer):
    """P21, P27: a 101 that does not answer the handshake is 502, and nothing goes across."""
    upstream.answer_next(answer)
    caller = await call(gateway)

    first = await caller.send(HANDSHAKE + BARE)
    second = await caller.read()

    assert (502, "bad_gateway", 401) == (first.status, first.json()["error"], second.status)
    await until(lambda: upstream.open_connections == 0)
    assert [b"/chat"] == [seen.target for seen in upstream.requests]


def fields(**changes):
    """Return the fields of a handshake with some of them changed, doubled or left out."""
    for name, value in FIELDS:
        changed = changes.get(name.rpartition("-")[2].lower(), value)
        for each in changed if isinstance(changed, list) else [changed]:
            yield name, each


NO_HANDSHAKE = {
    "post": request("POST", "/chat", [JOHN, *FIELDS]),
    "http_1_0": HANDSHAKE.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "body": request("GET", "/chat", [JOHN, *FIELDS], b"hello"),
    "chunked_body": request("GET", "/chat", [JOHN, *FIELDS, ("Transfer-Encoding", "chunked")])
    + b"5\r\nhello\r\n0\r\n\r\n",
    **{
        name: request("GET", "/chat", [JOHN, *changed])
        for name, changed in {
            "no_connection": fields(connection=[]),
            "connection_close": fields(connection="close"),
            "connection_keep_alive": fields(connection="keep-alive"),
            "connection_upgrades": fields(connection="upgrades"),
            "no_upgrade": fields(upgrade=[]),
            "h2c": fields(upgrade="h2c"),
            "tls": fields(upgrade="TLS/1.2"),
            "http": fields(upgrade="HTTP/2.0"),
            "list": fields(upgrade="websocket, h2c"),
            "versioned": fields(upgrade="websocket/13"),
            "two_upgrades": fields(upgrade=["websocket", "h2c"]),
            "twice": fields(upgrade=["websocket", "websocket"]),
            "no_key": fields(key=[]),
            "two_keys": fields(key=["dGhlIHNhbXBsZSBub25jZQ=="] * 2),
            "short_key": fields(key="dGhlIHNhbXBsZSBub25jZ"),
            "long_key": fields(key="dGhlIHNhbXBsZSBub25jZQAA"),
            "key_of_no_bytes": fields(key="dGhlIHNhbXBsZSBub25jZR=="),
            "no_version": fields(version=[]),
            "two_versions": fields(version=["13", "8"]),
            "version_of_words": fields(version="thirteen"),
        }.items()
    },
}


@pytest.mark.parametrize("head", [pytest.param(v, id=k) for k, v in NO_HANDSHAKE.items()])
async def test_no_handshake(gateway, call, upstream, head):
    """P21: what is not exactly a handshake goes on as a plain request, and a 101 to it is 502."""
    caller = await call(gateway)
    plain = await caller.send(head)
    upstream.answer_next(SWITCHED)
    again = await call(gateway)
    wrong = await again.send(head)
    await again.write(BARE)
    last = await again.read()

    assert (200, 502) == (plain.status, wrong.status)
    assert last.status in {401, 0}
    assert [b"/chat"] * 2 == [seen.target for seen in upstream.requests]
    assert [] == [seen.values(b"upgrade") for seen in upstream.requests if seen.values(b"upgrade")]


async def test_bytes_before_the_switch(gateway, call, upstream):
    """P21: what a caller sends too early reaches the upstream after its 101, first and whole."""
    early, seen = [], []

    async def answer(reader, writer, _request):
        try:
            async with asyncio.timeout(0.3):
                early.append(await reader.read(1))
        except TimeoutError:
            writer.write(SWITCHED)
        seen.append(await reader.readexactly(len(HELLO * 2)))
        writer.write(b"\x81\x02hi")

    upstream.answer_next(answer)
    caller = await call(gateway)
    await caller.write(HANDSHAKE + HELLO)
    await until(lambda: upstream.requests)
    await caller.write(HELLO)

    assert 101 == (await caller.read()).status
    assert (b"\x81\x02hi", [], [HELLO * 2]) == (await caller.read_some(), early, seen)


async def test_flood_before_the_switch(gateway, call, upstream):
    """R8, P21: a caller that sends on and on before the 101 is not read on and on."""
    size = 40 << 20
    go, seen = asyncio.Event(), []

    async def answer(reader, writer, _request):
        await go.wait()
        writer.write(SWITCHED)
        while piece := await reader.read(1 << 20):
            seen.append(len(piece))

    upstream.answer_next(answer)
    caller = await call(gateway)
    await caller.write(HANDSHAKE)
    sending = asyncio.create_task(caller.write(bytes(size)))
    await asyncio.wait([sending], timeout=1)
    assert not sending.done()
    go.set()
    await sending

    await until(lambda: sum(seen) == size, within=30)


@pytest.mark.parametrize("together", [True, False], ids=["one_segment", "later"])
async def test_bytes_behind_the_switch(gateway, call, upstream, together):
    """P21: what an upstream sends right behind its 101 reaches the caller, also if it leaves."""
    frame = b"\x81\x05hello"
    script = pieces([SWITCHED + frame] if together else [SWITCHED, frame])

    async def answer(reader, writer, seen):
        await script(reader, writer, seen)
        writer.close()

    upstream.answer_next(answer)
    caller = await call(gateway)
    first = await caller.send(HANDSHAKE)

    assert (101, [b"Upgrade"], [b"websocket"]) == (
        first.status,
        first.values("connection"),
        first.values("upgrade"),
    )
    assert (frame, True) == (await caller.read_some(), await caller.closed())


async def test_interim_before_the_switch(gateway, call, upstream):
    """P27: interim responses before the 101 are dropped."""
    upstream.answer_next(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + SWITCHED)
    seen = await (await call(gateway)).send(HANDSHAKE)

    assert (101, (), []) == (seen.status, seen.interim, seen.values("link"))


async def test_behind_another_request(gateway, call, upstream):
    """P21: a handshake pipelined behind a request is answered in its turn."""
    upstream.answer_next(response(200, b"hello"))
    upstream.answer_next(SWITCHED)
    caller = await call(gateway)

    first = await caller.send(request("GET", "/", [JOHN]) + HANDSHAKE)
    second = await caller.read()

    assert (200, b"hello", 101) == (first.status, first.body, second.status)


async def test_connection_names_the_key(gateway, call, upstream):
    """P2: naming fields in Connection takes away the caller's fields and not the gateway's."""
    named = fields(connection="upgrade, Sec-WebSocket-Key, Authorization, X-Forwarded-For")
    await (await call(gateway)).send(request("GET", "/chat", [JOHN, *named]))

    [seen] = upstream.requests
    assert [] == seen.values(b"sec-websocket-key")
    assert (1, 1) == (len(seen.values(b"authorization")), len(seen.values(b"x-forwarded-for")))
    assert [b"Upgrade"] == seen.values(b"connection")


async def test_silent_upstream(start_gateway, call, upstream):
    """P26: an upstream that does not answer the handshake within UPSTREAM_TIMEOUT is 504."""
    gateway = await start_gateway(UPSTREAM_TIMEOUT="0.2")
    upstream.answer_next(silence(b""))
    caller = await call(gateway)

    first = await caller.send(HANDSHAKE)
    second = await caller.send(BARE)

    assert (504, 401) == (first.status, second.status)
    await until(lambda: upstream.open_connections == 0)


async def test_waiting_handshakes_count(start_gateway, call, upstream):
    """R8: a handshake the upstream has not answered counts for its user, until it is over."""
    gateway = await start_gateway(WEBSOCKET_MAX_PER_USER="1")
    upstream.answer_next(silence(b""))
    first, second = await call(gateway), await call(gateway)
    await first.write(HANDSHAKE)
    await until(lambda: upstream.requests)
    refused = await second.send(HANDSHAKE)
    first.leave()
    await until(lambda: upstream.open_connections == 0)
    upstream.answer_next(SWITCHED)
    taken = await second.send(HANDSHAKE)

    assert (429, "too_many_websockets") == (refused.status, refused.json()["error"])
    assert (101, 2) == (taken.status, len(upstream.requests))


async def test_public_route(start_gateway, call, upstream, tmp_path):
    """P21, R8: a public route carries WebSockets of any page, and bounds them by address."""
    file = written(tmp_path, "routes: [{name: open, auth_methods: []}]")
    gateway = await start_gateway(file, WEBSOCKET_MAX_PER_USER="1")
    public = request("GET", "/chat", [*FIELDS, ("Origin", "https://other.example")])
    upstream.answer_next(SWITCHED)
    first = await (await call(gateway)).send(public)
    second = await (await call(gateway)).send(public)

    assert (101, 429) == (first.status, second.status)
    assert [[]] == [seen.values(b"authorization") for seen in upstream.requests]


async def test_caller_leaves_during_the_handshake(gateway, call, upstream):
    """P25: a caller that hangs up before the 101 ends the upstream's connection."""
    upstream.answer_next(silence(b""))
    caller = await call(gateway)
    await caller.write(HANDSHAKE)
    await until(lambda: upstream.requests)
    caller.leave()

    await until(lambda: upstream.open_connections == 0)
