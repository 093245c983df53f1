"""What is left of a connection that has ended."""

from __future__ import annotations

import gc

from gateway.server.protocol import ProxyProtocol
from tests.fakes.caller import basic, request
from tests.fakes.waiting import until


def connections():
    """Return how many connections of callers this process holds, those that ended included."""
    return sum(type(each) is ProxyProtocol for each in gc.get_objects())


async def test_ordinary_end(start_gateway, call):
    """A connection that has ended is freed at once, and not left to the garbage collector."""
    gateway = await start_gateway()
    gc.collect()
    gc.disable()
    try:
        before = connections()
        caller = await call(gateway)
        assert 200 == (await caller.send(request("GET", "/", [basic("john", "doe")]))).status
        assert before + 1 == connections()

        caller.leave()

        await until(lambda: connections() == before)
    finally:
        gc.enable()
