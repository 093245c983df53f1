"""When a worker's place is filled again."""

from __future__ import annotations

import pytest

from gateway.app.channel import Channel
from gateway.app.seats import Brake, Seat, describe_end


@pytest.mark.parametrize(
    ("lives", "pauses"),
    [
        pytest.param([60], [0], id="first"),
        pytest.param([60, 60, 60], [0, 0, 0], id="now and then"),
        pytest.param([1, 1, 1, 1, 1], [0, 0.5, 1, 2, 4], id="again and again"),
        pytest.param([0] * 9, [0, 0.5, 1, 2, 4, 8, 15, 15, 15], id="never given up"),
        pytest.param([1, 1, 1, 60, 1], [0, 0.5, 1, 0, 0.5], id="steady in between"),
    ],
)
def test_brake(lives, pauses):
    """F19: who ends soon after the start is waited with, longer each time, and never given up."""
    brake = Brake()

    assert pauses == [brake.pause(lived) for lived in lives]


@pytest.mark.parametrize(
    ("status", "told"),
    [(0, "ended with status 0"), (-9, "was killed by SIGKILL"), (-63, "was killed by signal 63")],
)
def test_how_it_ended(status, told):
    """The log says how a worker ended."""
    assert told == describe_end(status)


def test_seat():
    """A place that falls vacant is due at once, and later the next time."""
    seat = Seat(1)
    ours, theirs = Channel.pair()
    seat.take(123, ours, 100.0)
    assert 0 == seat.vacate(101.0)
    assert (0, None, 101.0) == (seat.pid, seat.channel, seat.due)
    assert not theirs.send({"anybody": "there"})
    theirs.close()


def test_channel():
    """Messages arrive one by one; the end of the other side is seen, and sending tells of it."""
    ours, theirs = Channel.pair()
    assert [] == list(ours.receive())
    assert ours.send({"a": 1})
    assert ours.send({"b": "x" * 50_000})

    assert [{"a": 1}, {"b": "x" * 50_000}] == list(theirs.receive())
    ours.close()
    assert [] == list(theirs.receive())
    assert theirs.closed
    theirs.close()


def test_channel_nobody_reads():
    """R8: messages nobody reads are lost, and whoever sends them is told and goes on."""
    ours, theirs = Channel.pair()
    sent = [ours.send({"x": "x" * 10_000}) for _ in range(1000)]
    assert sent[0]
    assert not sent[-1]
    ours.close()
    theirs.close()
