"""Names with several addresses, and with others than a moment ago (F17, R8)."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack

import pytest
import uvloop

from gateway.errors import UpstreamError, UpstreamTimeoutError
from gateway.forwarding.pool import PoolLimits, UpstreamPool
from gateway.routing import read_upstream
from tests.fakes.black_hole import listen_silently
from tests.fakes.waiting import until
from tests.forwarding.exchanging import exchange

LOOPS = [
    pytest.param(asyncio.new_event_loop, id="asyncio"),
    pytest.param(uvloop.new_event_loop, id="uvloop"),
]
GOOD, OTHER, SILENT = "127.0.0.1", "127.0.0.2", "127.0.0.3"


class Names:
    """A resolver: ``addresses`` are those of any name now; ``asked`` counts."""

    def __init__(self, *addresses):
        self.addresses = addresses
        self.asked = 0

    async def __call__(self, _host, port):
        """Return what getaddrinfo would."""
        self.asked += 1
        return [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
            for address in self.addresses
        ]


def bound(stack):
    """Return sockets bound to one port of SILENT, GOOD and OTHER: nobody else can listen there."""
    while True:
        sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
        try:
            sockets[0].bind((SILENT, 0))
            for each, address in zip(sockets[1:], (GOOD, OTHER), strict=True):
                each.bind((address, sockets[0].getsockname()[1]))
        except OSError:
            continue  # somebody has that port at another address
        return sockets


@pytest.fixture
def sockets():
    """Return the sockets, of which the one of SILENT takes no connections and refuses none."""
    with ExitStack() as stack:
        silent, good, other = bound(stack)
        listen_silently(silent, stack)
        yield silent, good, other


@pytest.fixture
def port(sockets):
    """Return the port of all three."""
    return sockets[0].getsockname()[1]


@pytest.fixture
def good(sockets):
    """Listen at GOOD; without being accepted, connections are made there all the same."""
    sockets[1].listen()


def pool_of(port, resolve, **how):
    """Return a pool of connections to a name."""
    how = {"connect_timeout": 20, **how}
    upstream = read_upstream(f"http://upstream.test:{port}")
    return UpstreamPool(upstream, resolve=resolve, **how)


ADDRESSES = {
    "only": [GOOD],
    "first": [GOOD, SILENT],
    "behind_a_silent_one": [SILENT, GOOD],
    "behind_one_that_refuses": [OTHER, GOOD],
    "last": [OTHER, SILENT, OTHER, SILENT, GOOD],
}


@pytest.mark.parametrize("loop_factory", LOOPS)
@pytest.mark.parametrize("addresses", [pytest.param(v, id=k) for k, v in ADDRESSES.items()])
def test_one_address_that_answers(good, port, loop_factory, addresses):
    """F17: one address that answers is enough, wherever it stands among those that do not."""

    async def connect():
        pool = pool_of(port, Names(*addresses))
        connection = await pool.connect()
        peer = connection._transport.get_extra_info("peername")
        pool.close()
        return peer

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert (GOOD, port) == runner.run(connect())


@pytest.mark.parametrize("loop_factory", LOOPS)
@pytest.mark.parametrize(
    ("addresses", "error"),
    [
        pytest.param([SILENT, SILENT], UpstreamTimeoutError, id="silent"),
        pytest.param([OTHER, GOOD], UpstreamError, id="refuse"),
        pytest.param([OTHER, SILENT], UpstreamTimeoutError, id="both"),
    ],
)
def test_no_address_that_answers(port, loop_factory, addresses, error):
    """F17: without any that answers the request fails, within the time for all of them."""

    async def connect():
        pool = pool_of(port, Names(*addresses), connect_timeout=0.6)
        with pytest.raises(error):
            await pool.connect()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(connect())


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param(PoolLimits(lifetime=0.0), id="lifetime"),
        pytest.param(PoolLimits(idle_timeout=0.0), id="idle_timeout"),
    ],
)
async def test_name_that_moves(upstream, limits):
    """F17: a name whose address changes is followed with the first connection made after that."""
    names = Names(GOOD)
    pool = pool_of(upstream.port, names, limits=limits)
    first = await exchange(pool)
    await until(lambda: not first.reusable)
    with socket.create_server((OTHER, upstream.port)):
        names.addresses = (OTHER,)
        second = await pool.connect()

        assert (OTHER, upstream.port) == second._transport.get_extra_info("peername")
        pool.close()


async def test_kept_connection_asks_nobody(upstream):
    """F17: while a connection is kept its name is not looked up."""
    names = Names(GOOD)
    pool = pool_of(upstream.port, names)

    for _ in range(5):
        await exchange(pool)

    assert 1 == names.asked
    pool.close()
