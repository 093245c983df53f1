"""What counts as taking an answer, over real connections and by a clock of the test's own (P23)."""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import dataclass

import pytest

from gateway.server.deadlines import Patience, Phase, Stopwatch, _queued

PATIENCE = Patience(min_rate=0, answer_window=60.0)
LATE = PATIENCE.answer_window + 1


@dataclass
class Connection:
    """A caller's connection as far as it is watched."""

    phase: Phase = Phase.REQUEST
    writing_paused: bool = True
    requests: int = 1
    resumed: int = 0
    reading_paused: bool = False
    cause: str | None = None

    def cut(self, cause):
        """Take note of the end."""
        self.cause = cause


@pytest.fixture
async def full():
    """Return a transport that has more to send than the kernel takes, and the caller's socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        caller = socket.create_connection(listener.getsockname(), timeout=20)
        served, _ = listener.accept()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=served)
    while not transport.get_write_buffer_size():
        transport.write(bytes(1 << 20))
    yield transport, caller
    transport.abort()
    caller.close()


def looks(connection, transport, between=lambda: None):
    """Look twice, more than a window apart; tell whether the connection was let live."""
    stopwatch = Stopwatch(0.0)
    stopwatch.look(connection, transport, PATIENCE, 0.0)
    between()
    stopwatch.look(connection, transport, PATIENCE, LATE)
    return connection.cause is None


@pytest.mark.parametrize("phase", [Phase.REQUEST, Phase.IDLE])
async def test_nothing_is_taken(full, phase):
    """P23: a caller that takes nothing for a whole window is cut, at the end of an answer too."""
    assert not looks(Connection(phase, writing_paused=phase is Phase.REQUEST), full[0])


async def test_answer_that_grows(full):
    """P23: while the gateway does not wait for the caller, what is not sent may grow."""
    assert looks(Connection(writing_paused=False), full[0])


async def test_answer_that_is_ending(full):
    """P23: the rest of an answer whose connection is to be closed has to be taken."""
    full[0].close()

    assert not looks(Connection(writing_paused=False), full[0])


async def test_caught_up_between_two_looks(full):
    """P23: a caller that has caught up has begun a new window, however much waits again."""
    connection = Connection()

    def catch_up():
        connection.resumed += 1

    assert looks(connection, full[0], catch_up)


async def test_caught_up_once(full):
    """P23: to have caught up counts once: who takes nothing afterwards is cut a window later."""
    connection = Connection(resumed=1)
    stopwatch = Stopwatch(0.0)
    for now in (0.0, 1.0):
        stopwatch.look(connection, full[0], PATIENCE, now)
        assert connection.cause is None

    stopwatch.look(connection, full[0], PATIENCE, 1.0 + LATE)

    assert connection.cause == "the caller does not take the response"


async def test_taken_from_the_kernel(full):
    """P23: what a caller takes of that which the kernel holds for it counts."""
    transport, caller = full
    unsent = transport.get_write_buffer_size()

    def take():
        held, until = _queued(transport), time.monotonic() + 20
        while _queued(transport) >= held and time.monotonic() < until:
            caller.recv(1 << 16)  # without a turn of the loop, which would send more

    assert looks(Connection(), transport, take)
    assert unsent == transport.get_write_buffer_size()
