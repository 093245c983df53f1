from __future__ import annotations

import contextlib
import json
import os
import threading
from pathlib import Path

import pytest

from gateway.logs.lines import MAX_LINES, DirectWriter, LineWriter, escape, quote, timestamp

EVIL = "al\r\nice\x1b[31m\u202e\u2066\u2028\x85\x7f\x00\ud800"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("plain", "plain", id="plain"),
        pytest.param("Ünïcode €", "Ünïcode €", id="printable"),
        pytest.param("a\nb", "a\\x0ab", id="line-feed"),
        pytest.param("\x1b[31m", "\\x1b[31m", id="escape"),
        pytest.param("\u202e", "\\u202e", id="bidi"),
        pytest.param("\U000e0001", "\\ue0001", id="tag"),
        pytest.param("\ud800", "\\ud800", id="surrogate"),
        pytest.param("x" * 257, "x" * 255 + "…", id="too-long"),
        pytest.param("x" * 256, "x" * 256, id="at-the-limit"),
    ],
)
def test_escape(value: str, expected: str) -> None:
    """L3: what is not printable becomes an escape, what is too long is cut."""
    assert escape(value) == expected


@pytest.mark.parametrize(
    "value", [pytest.param(EVIL, id="evil"), pytest.param(None, id="none"), "plain", "é"]
)
def test_quote(value: str | None) -> None:
    """L3: RFC 8259 §7: a quoted value is printable ASCII and reads back as what it was."""
    assert json.loads(quote(value)) == value
    assert quote(value).isascii()
    assert quote(value).isprintable()


def test_timestamp() -> None:
    """RFC 3339: times are in UTC to the millisecond."""
    assert timestamp(1_700_000_000.25) == "2023-11-14T22:13:20.250Z"
    assert timestamp(1_700_000_000.9999) == "2023-11-14T22:13:20.999Z"
    assert timestamp(1_700_000_001.0) == "2023-11-14T22:13:21.000Z"


def test_reader_that_does_not_read() -> None:
    """F24: R8: lines to a pipe nobody reads delay nobody; those over the bound are counted."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream, os.fdopen(reading) as reader:
        writer = LineWriter(stream)
        for _ in range(3 * MAX_LINES):
            writer.write("x" * 99 + "\n")
        dropped = writer.dropped
        assert dropped > 0
        drain = threading.Thread(target=reader.read)
        drain.start()
        writer.close()
        stream.close()
        drain.join()


@pytest.mark.parametrize("state", ["closed", "full"])
def test_stream_that_fails(state: str) -> None:
    """F24: a closed or full stream costs lines, which are counted, and nothing else."""
    stream = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115 - its end fails, too
    if state == "closed":
        stream.close()
    writer = LineWriter(stream)
    writer.write("one\n")
    writer.close()
    assert writer.dropped == 1
    with contextlib.suppress(OSError):
        stream.close()


def test_pieces() -> None:
    """No write is longer than a pipe takes whole, unless one line is."""
    reading, writing = os.pipe2(os.O_DIRECT)  # each write is a packet
    lines = ["é" * 40 + "\n", "x" * 60 + "\n", "x" * 20 + "\n", "x" * 300 + "\n", "y\n"]
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        writer = LineWriter(stream, linger=60, piece=100)
        for line in lines:
            writer.write(line)
        writer.close()
    packets = []
    while packet := os.read(reading, 1000):
        packets.append(packet.decode())
    os.close(reading)

    assert packets == [lines[0], lines[1] + lines[2], lines[3], lines[4]]


def test_direct_writer() -> None:
    """F24: a process without threads loses lines nobody reads, and is not held up."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        writer = DirectWriter(stream)
        writer.write("é\udc80\n")
        for _ in range(2000):
            writer.write("x" * 99 + "\n")
        dropped = writer.dropped
        writer.close()
    assert os.read(reading, 10) == b"\xc3\xa9\\udc80\nx"
    os.close(reading)
    assert dropped > 0
