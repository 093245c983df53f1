"""What happens to a connection between the request that takes it and the end of that turn."""

from __future__ import annotations

import asyncio
import select
import socket
from contextlib import ExitStack, suppress

import pytest

from gateway.forwarding.upstream import Forwarder
from gateway.routing import read_upstream
from tests.fakes.upstream_answers import response
from tests.fakes.waiting import until
from tests.forwarding.exchanging import HEAD
from tests.forwarding.test_taking import LOOPS, await_arrival, listener

__all__ = ["listener"]


def readable(connection):
    """Return whether something can be read, or accepted, at once."""
    return bool(select.select([connection], [], [], 0)[0])


class Site:
    """A forwarder before an upstream whose every step the test takes itself."""

    def __init__(self, listener):
        self._listener = listener
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.upstream = read_upstream(url)
        self.forwarder = Forwarder()
        self._peers = ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.forwarder.close()
        self._peers.close()

    def begin(self):
        """Begin to forward a request."""
        return asyncio.create_task(self.forwarder.forward(self.upstream, "GET", HEAD))

    async def accept(self):
        """Return the next connection to the upstream."""
        await until(lambda: readable(self._listener))
        peer, _ = self._listener.accept()
        peer.settimeout(20)
        return self._peers.enter_context(peer)

    async def answer(self, peer, forwarding, body):
        """Take one request, answer it, and return the body that arrived."""
        await until(lambda: readable(peer))
        assert HEAD == peer.recv(65536)
        peer.sendall(response(200, body))
        answer = await forwarding
        try:
            return await answer.read()
        finally:
            answer.close()

    async def begun(self):
        """Return a request that has taken the kept connection in this turn, with both its ends."""
        first = self.begin()
        peer = await self.accept()
        assert b"first" == await self.answer(peer, first, b"first")
        self.forwarder.outbox.expect()  # somebody else is ready, so that the request waits
        second = self.begin()
        await asyncio.sleep(0)
        (pool,) = self.forwarder._by_way.values()
        (connection,) = pool._busy
        assert not readable(peer)  # not sent yet, so that this test is about something
        return second, connection, peer


def received(peer):
    """Return what arrives until the end, however it comes."""
    with suppress(ConnectionResetError):
        return peer.recv(65536)
    return b""


@pytest.mark.parametrize("loop_factory", LOOPS)
@pytest.mark.parametrize("ending", [False, True], ids=["P20-bytes", "P26-end"])
def test_arrived_in_the_turn(listener, loop_factory, ending):
    """P20, P26: what arrives before the request is sent is no answer; another connection is."""

    async def forward():
        with Site(listener) as site:
            second, connection, stale = await site.begun()
            stale.shutdown(socket.SHUT_WR) if ending else stale.sendall(response(200, b"stale"))
            await_arrival(connection)

            fresh = await site.accept()

            assert b"fresh" == await site.answer(fresh, second, b"fresh")
            assert b"" == received(stale)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(forward())


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_many_in_one_turn(listener, loop_factory):
    """Requests of one turn are all sent, each on a connection of its own."""

    async def forward():
        with Site(listener) as site:
            peers = []
            for _ in range(2):
                begun = [site.begin() for _ in range(3)]
                while len(peers) < len(begun):
                    peers.append(await site.accept())
                for peer in peers:
                    await until(lambda peer=peer: readable(peer))
                    assert HEAD == peer.recv(65536)
                    peer.sendall(response(200, b"mine"))
                for each in begun:
                    answer = await each
                    assert b"mine" == await answer.read()
                    answer.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(forward())


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_answer_in_pieces(listener, loop_factory):
    """Who waited for a body counts as ready no longer: the next one alone does not wait."""

    async def forward():
        with Site(listener) as site:
            first = site.begin()
            peer = await site.accept()
            assert b"first" == await site.answer(peer, first, b"first")
            second = site.begin()
            await until(lambda: readable(peer))
            assert HEAD == peer.recv(65536)
            begin, end = response(200, b"onetwo")[:-3], b"two"
            peer.sendall(begin)
            answer = await second
            assert b"one" == await answer.read()
            reading = asyncio.create_task(answer.read())
            await asyncio.sleep(0)
            peer.sendall(end)
            assert b"two" == await reading
            answer.close()

            assert 0 == site.forwarder.outbox._ready

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(forward())
