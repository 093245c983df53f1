from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING

import pytest

from gateway.errors import ProviderError
from gateway.logs.events import EventFormatter, EventHandler
from gateway.logs.lines import LineWriter

if TYPE_CHECKING:
    from tests.logs.streams import Streams


def test_event(streams: Streams) -> None:
    """An event is one JSON object with time, level, logger and message."""
    streams.configure()
    logging.getLogger("gateway.test").warning("%d of %s", 1, "two")
    [line] = streams.lines()
    members = json.loads(line)
    assert members.pop("time").endswith("Z")
    assert members == {"level": "warning", "logger": "gateway.test", "message": "1 of two"}
    assert streams.access_lines() == []


def test_event_as_text(streams: Streams) -> None:
    """On a terminal an event is its time, level, logger and message."""
    streams.configure(log_format="text")
    logging.getLogger("gateway.test").warning("%(one)d of %(two)s", {"one": 1, "two": "two"})
    [line] = streams.lines()
    assert line.split(" ", 1)[1] == "warning gateway.test 1 of two"


@pytest.mark.parametrize(
    ("level", "written"),
    [("debug", ["debug", "info"]), ("info", ["info"]), ("warning", []), ("error", [])],
)
def test_levels(streams: Streams, level: str, written: list[str]) -> None:
    """LOG_LEVEL is the gateway's own; other loggers stay silent below warning (L1)."""
    streams.configure(level)
    for logger in ("gateway.test", "aiohttp.client", "redis"):
        logging.getLogger(logger).debug("debug")
        logging.getLogger(logger).info("info")
    assert [json.loads(line)["message"] for line in streams.lines()] == written


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """Return the error as raised, from the cause."""
    try:
        raise error from cause  # noqa: TRY301 - raising is the point
    except BaseException as caught:  # noqa: BLE001 - handed on to be logged
        return caught


def test_exception(streams: Streams) -> None:
    """L2: an exception is logged with class and place; of foreign ones not even the text."""
    streams.configure()
    error = raised(ProviderError("no answer"), raised(ValueError("Bearer CANARY")))
    logging.getLogger("gateway.test").error("failed", exc_info=error)
    logging.getLogger("gateway.test").error("failed: %s %r", error, error.__cause__)
    first, second = map(json.loads, streams.lines())
    assert first["message"] == "failed"
    assert first["exception"].startswith("ProviderError: no answer [")
    assert " caused by ValueError [" in first["exception"]
    assert "raised]" in first["exception"]
    assert second["message"] == "failed: no answer 'ValueError'"
    assert "CANARY" not in streams.events.getvalue()


def test_exception_in_its_context(streams: Streams) -> None:
    """L2: an exception raised while another was handled names that one too, unless hidden."""
    streams.configure()
    shown, hidden = KeyError("CANARY"), KeyError("CANARY")
    shown.__context__ = hidden.__context__ = ValueError("CANARY")
    hidden.__suppress_context__ = True
    logging.getLogger("gateway.test").error("shown", exc_info=shown)
    logging.getLogger("gateway.test").error("hidden", exc_info=hidden)
    exceptions = [json.loads(line)["exception"] for line in streams.lines()]
    assert exceptions == ["KeyError [] caused by ValueError []", "KeyError []"]


def test_locals_are_not_logged(streams: Streams) -> None:
    """L2: a traceback tells places and neither local variables nor source lines."""
    password = "CANARY"
    streams.configure("debug")
    logging.getLogger("gateway.test").debug(
        "failed", exc_info=raised(RuntimeError(f"{password} is wrong"))
    )
    [line] = streams.lines()
    assert "CANARY" not in line
    assert "raise error" not in line


@pytest.mark.parametrize("name", ["aiohttp.server", "aiohttp.client", "redis", "py.warnings"])
def test_foreign_logger(streams: Streams, name: str) -> None:
    """L1: trap 8: what foreign loggers say may quote a header line; only class or place is told."""
    streams.configure("debug")
    logger = logging.getLogger(name)
    logger.error("Invalid header: %r", b"Authorization : Basic CANARY")
    logger.error("b'Authorization : Basic CANARY'", exc_info=raised(ValueError("CANARY")))
    place, kind = [json.loads(line)["message"] for line in streams.lines()]
    assert place.startswith("message withheld (test_events:")
    assert kind == "ValueError"
    assert "CANARY" not in streams.events.getvalue()


@pytest.mark.parametrize(
    ("message", "written"),
    [
        pytest.param(
            "Task exception was never retrieved\nfuture: <Task exception=X('CANARY')>",
            "Task exception was never retrieved",
            id="fixed-beginning",
        ),
        pytest.param("Executing <Task CANARY> took 2 s", "message withheld", id="any-other"),
    ],
)
def test_asyncio(streams: Streams, message: str, written: str) -> None:
    """L2: of asyncio's reports only the fixed beginning is told, not the values they quote."""
    streams.configure()
    logging.getLogger("asyncio").error(message)
    [line] = streams.lines()
    assert json.loads(line)["message"].startswith(written)
    assert "CANARY" not in line


def test_record_that_cannot_be_formatted(capfd: pytest.CaptureFixture[str]) -> None:
    """L2: a wrong format string is reported without its arguments, on the log alone."""
    stream = io.StringIO()
    handler = EventHandler(LineWriter(stream), EventFormatter(as_json=True))
    handler.handle(
        logging.LogRecord("gateway.test", logging.ERROR, "x.py", 1, "%d", ("CANARY",), None)
    )
    handler.writer.close()
    [line] = stream.getvalue().splitlines()
    assert json.loads(line)["message"] == "a record cannot be written (TypeError)"
    assert "CANARY" not in line
    assert capfd.readouterr() == ("", "")


def test_configured_twice(streams: Streams) -> None:
    """Configuring again replaces what was configured before."""
    streams.configure()
    streams.configure()
    logging.getLogger("gateway.test").warning("once")
    assert len(streams.lines()) == 1
