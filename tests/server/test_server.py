"""The proxy port around a pipeline that does as it is told (P19, P25, L3)."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader

from gateway.errors import (
    BodyTooLargeError,
    InsufficientScopeError,
    ProviderUnavailableError,
    RequestError,
)
from gateway.forwarding.upstream import Forwarder
from gateway.server import Limits, ProxyServer
from gateway.server.body import CallersBody
from gateway.server.trust import TrustedProxies
from tests.fakes.caller import RawCaller, request


class Pipeline:
    """Fails every request with this error, or makes it wait."""

    def __init__(self, error):
        self._error = error

    async def admit(self, _head, _body):
        """Raise the error; without one wait until cancelled."""
        if self._error is None:
            await asyncio.Event().wait()
        raise self._error


@pytest.fixture
async def serve():
    """Return a function that serves a pipeline and gives its runner and port."""
    runners = []

    async def start(error, **how):
        forwarder = Forwarder()
        server = ProxyServer(
            Pipeline(error), forwarder, limits=Limits(2048, 100), trusted=TrustedProxies(())
        )
        runners.append(web.ServerRunner(server, **how))
        await runners[-1].setup()
        await web.TCPSite(runners[-1], "127.0.0.1", 0).start()
        return runners[-1], runners[-1].addresses[0][1]

    yield start
    for runner in runners:
        await runner.cleanup()


async def test_failure_of_the_gateway(serve, caplog):
    """A bug is 500 internal_error; its text goes to the log and not to the caller."""
    _, port = await serve(RuntimeError("secret detail"))
    async with RawCaller(port) as caller:
        answer = await caller.send(request("GET", "/"))

    assert (500, "internal_error") == (answer.status, answer.json()["error"])
    assert b"secret" not in answer.body
    assert "RuntimeError" in caplog.text


async def test_retry_after(serve):
    """503 carries Retry-After, and the connection stays open."""
    _, port = await serve(ProviderUnavailableError("down", 7))
    async with RawCaller(port) as caller:
        answers = [await caller.send(request("GET", "/")) for _ in range(2)]

    assert [(503, [b"7"])] * 2 == [(each.status, each.values("retry-after")) for each in answers]


async def test_vary_of_403(serve):
    """P30: 403 insufficient_scope varies with Authorization."""
    _, port = await serve(InsufficientScopeError("the token lacks a required scope"))
    async with RawCaller(port) as caller:
        answer = await caller.send(request("GET", "/"))

    assert (403, [b"Authorization"]) == (answer.status, answer.values("vary"))


async def test_drain_cuts_what_does_not_end(serve):
    """F20: what does not end in the time a drain has is cut."""
    runner, port = await serve(None, shutdown_timeout=0.05)
    async with RawCaller(port) as caller:
        await caller.write(request("GET", "/"))
        await asyncio.sleep(0.05)

        await runner.cleanup()

        assert await caller.closed()


async def test_drain_waits_for_the_rest_of_a_body(serve):
    """P19, F20: a request refused during a drain ends its connection."""
    runner, port = await serve(RequestError("no"), shutdown_timeout=2)
    async with RawCaller(port) as caller:
        answer = await caller.send(request("POST", "/", [("Content-Length", "50")]))
        await runner.cleanup()

    assert (400, True) == (answer.status, answer.closed)


def body_of(*parts, length=None, max_bytes=0, timeout=0.05):
    """Make a body of which these parts have arrived."""
    content = StreamReader(BaseProtocol(asyncio.get_running_loop()), 2**16)
    content._protocol.transport = asyncio.Transport()
    for part in parts:
        content.feed_data(part)
    body = CallersBody(SimpleNamespace(content=content, transport=None), max_bytes, 0, timeout)
    body.expect(SimpleNamespace(body_length=length, expects_continue=False))
    return body, content


async def test_body_that_stops_arriving():
    """P23: a body that stops arriving is given up."""
    body, _ = body_of(b"hello", length=10)

    assert b"hello" == await body.next_part()
    with pytest.raises(RequestError):
        await body.next_part()


async def test_whole_body():
    """A body is read as a whole up to a limit, the limit included."""
    body, content = body_of(b"hel", b"lo")
    content.feed_eof()

    assert b"hello" == await body.read(5)


@pytest.mark.parametrize("length", [None, 6], ids=["chunked", "announced"])
async def test_whole_body_over_the_limit(length):
    """C2: a body over the limit is refused, an announced one before it is read."""
    body, content = body_of(b"hel", b"lo!", length=length)
    content.feed_eof()

    with pytest.raises(BodyTooLargeError):
        await body.read(5)


async def test_broken_body():
    """P15: a body that broke is no whole body, and reading it is a request error."""
    body, content = body_of(b"hello", length=10)
    content.set_exception(ConnectionResetError())

    assert body.take_arrived() is None
    with pytest.raises(RequestError):
        await body.next_part()


@pytest.mark.parametrize("peer", ["unknown", "", "/run/socket"])
def test_peer_without_address(peer):
    """P7: a peer that has no address is trusted by no network."""
    from ipaddress import ip_network  # noqa: PLC0415 - the one test that needs it

    trusted = TrustedProxies((ip_network("0.0.0.0/0"), ip_network("::/0")))

    assert trusted.request_id(SimpleNamespace(remote=peer, headers={"X-Request-Id": "x"})) is None
