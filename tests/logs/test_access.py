from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest

from gateway import logs
from gateway.logs import AccessEntry, Pseudonyms

if TYPE_CHECKING:
    from tests.logs.streams import Streams

ENTRY = AccessEntry(
    request_id="0123456789abcdef",
    method="GET",
    path="/orders/1",
    status=200,
    duration_ms=1.2345,
    grant="password",
    cache="memory",
    user="89abcdef01234567",
)
EVIL = "al\r\nice\x1b[31m\u202e\u2066\u2028\x85\x7f\x00\ud800"


def test_access_line(streams: Streams) -> None:
    """An access line is one JSON object with these members, in this order."""
    streams.configure()
    logs.write_access(ENTRY)
    [line] = streams.access_lines()
    members = json.loads(line)
    assert members.pop("time").endswith("Z")
    assert list(members.items()) == [
        ("level", "info"),
        ("logger", "gateway.access"),
        ("message", "request"),
        ("request_id", "0123456789abcdef"),
        ("method", "GET"),
        ("path", "/orders/1"),
        ("status", 200),
        ("duration_ms", 1.234),
        ("grant", "password"),
        ("cache", "memory"),
        ("user", "89abcdef01234567"),
        ("error", None),
        ("cause", None),
    ]
    assert streams.lines() == []


def test_access_line_as_text(streams: Streams) -> None:
    """On a terminal an access line is short, and tells only what there is to tell."""
    streams.configure(log_format="text")
    logs.write_access(ENTRY)
    [line] = streams.access_lines()
    assert line.split(" ", 1)[1] == (
        "info gateway.access GET /orders/1 200 1.2ms grant=password cache=memory "
        "user=89abcdef01234567 id=0123456789abcdef"
    )


@pytest.mark.parametrize(("level", "written"), [("debug", 1), ("info", 1), ("warning", 0)])
def test_access_level(streams: Streams, level: str, written: int) -> None:
    """Above level info no access line is written, and a caller can know before it makes one."""
    streams.configure(level)
    assert logs.access_is_written() is bool(written)
    logs.write_access(ENTRY)
    assert len(streams.access_lines()) == written


def test_not_configured(streams: Streams) -> None:
    """Before logging is configured, and after it ended, an access line goes nowhere."""
    logs.close()
    logs.write_access(ENTRY)
    assert logs.access_is_written() is False
    assert logs.dropped_lines() == 0
    assert streams.access_lines() == []


@pytest.mark.parametrize("log_format", ["json", "text"])
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(EVIL, id="control-and-bidi"),
        pytest.param("x" * 10_240, id="10-KiB"),
        pytest.param('"}\n{"level":"error"', id="json"),
        pytest.param(EVIL * 1000, id="both"),
    ],
)
def test_log_injection(streams: Streams, log_format: str, value: str) -> None:
    """L3: whatever a value holds, an access line and an event are one short printable line each."""
    streams.configure(log_format=log_format)
    logs.write_access(AccessEntry(value, value, value, 400, 1.0, cause=value))
    logging.getLogger("gateway.test").warning("refused %s", value)
    written = streams.access_lines() + streams.lines()
    assert len(written) == 2
    assert all(line.isprintable() for line in written)
    assert max(map(len, written)) < 20_000


def test_standard_streams(streams: Streams, capsys: pytest.CaptureFixture[str]) -> None:
    """Access lines go to standard output, everything else to standard error."""
    logs.configure("info", "text")
    logs.write_access(ENTRY)
    logging.getLogger("gateway.test").warning("event")
    logs.close()
    written = capsys.readouterr()
    assert "GET /orders/1" in written.out
    assert "gateway.test event" in written.err


def test_pseudonym() -> None:
    """L5: a user's pseudonym is stable under one key, unlike the name, and 16 digits long."""
    names = Pseudonyms(b"k" * 32)
    assert names.of("alice") == names.of("alice")
    assert names.of("alice") != names.of("Alice")
    assert names.of("alice") != Pseudonyms(b"x" * 32).of("alice")
    assert len(bytes.fromhex(names.of("\ud800é"))) == 8


@pytest.mark.parametrize(
    ("log_format", "end"), [("json", '"cause":null,"worker":3}\n'), ("text", " worker=3\n")]
)
def test_worker(streams: Streams, log_format: str, end: str) -> None:
    """Of several processes each line says which wrote it."""
    logs.configure("info", log_format, streams.events, streams.access, worker=3)
    logs.write_access(ENTRY)
    logging.getLogger("gateway").warning("something")
    logs.close()
    assert streams.access.getvalue().endswith(end)
    assert streams.events.getvalue().endswith(end.replace('"cause":null', '"message":"something"'))
