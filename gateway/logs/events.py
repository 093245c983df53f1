"""Everything that is not an access line: the standard ``logging``, tamed.

Rule: of a foreign exception only its class and its places are told, and of a foreign logger's
message nothing that may quote a caller. The HTTP parser's errors quote header lines, an HTTP
client's errors quote the request it sent, and asyncio's reports quote results.
"""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Any, Final

from gateway.errors import GatewayError
from gateway.logs.lines import escape, quote, suffix, timestamp

if TYPE_CHECKING:
    from gateway.logs.lines import DirectWriter, LineWriter

MAX_MESSAGE: Final = 2048  # characters
MAX_PLACES: Final = 8  # of each exception, the innermost ones

_ASYNCIO_MESSAGES: Final = (  # the fixed beginnings; what follows them may quote values
    "Exception in callback",
    "Fatal error on transport",
    "Future exception was never retrieved",
    "Task exception was never retrieved",
    "Task was destroyed but it is pending!",
    "Unclosed client session",
    "Unclosed connection",
    "Unclosed connector",
)


class EventFormatter(logging.Formatter):
    """Writes a record as one line."""

    def __init__(self, *, as_json: bool, worker: int | None = None) -> None:
        super().__init__()
        self._as_json = as_json
        self._suffix = suffix(worker, as_json=as_json)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        members = {
            "time": timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        if record.exc_info and record.exc_info[1] is not None:
            members["exception"] = _exception(record.exc_info[1])
        if self._as_json:
            spelled = (f'"{name}":{quote(text, MAX_MESSAGE)}' for name, text in members.items())
            return "{" + ",".join(spelled) + self._suffix + "}"
        return " ".join(escape(text, MAX_MESSAGE) for text in members.values()) + self._suffix


class EventHandler(logging.Handler):
    """Hands lines to a writer; a record that cannot be formatted still says so."""

    def __init__(self, writer: LineWriter | DirectWriter, formatter: EventFormatter) -> None:
        super().__init__()
        self.writer = writer
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record. Logging's own report of a failure would print the arguments."""
        try:
            line = self.format(record)
        except Exception as exc:  # noqa: BLE001 - whatever a record does, a request goes on
            record.msg, record.args = "a record cannot be written (%s)", (type(exc).__name__,)
            record.exc_info = None
            line = self.format(record)
        self.writer.write(line + "\n")


def _message(record: logging.LogRecord) -> str:
    if record.name == "gateway" or record.name.startswith("gateway."):
        if isinstance(record.args, tuple):
            record.args = tuple(map(_without_text, record.args))
        return record.getMessage()
    for fixed in _ASYNCIO_MESSAGES if record.name == "asyncio" else ():
        if str(record.msg).startswith(fixed):
            return fixed
    if record.exc_info and record.exc_info[1] is not None:
        return type(record.exc_info[1]).__name__
    return f"message withheld ({record.module}:{record.lineno})"


def _without_text(value: Any) -> Any:
    """Return the class name of a foreign exception, anything else as it is."""
    if isinstance(value, BaseException) and not isinstance(value, GatewayError):
        return type(value).__name__
    return value


def _exception(exc: BaseException) -> str:
    """Return the chain of exceptions with their places; texts only of the gateway's own."""
    said = []
    link: BaseException | None = exc
    while link is not None:
        places = traceback.extract_tb(link.__traceback__, limit=-MAX_PLACES)
        path = " > ".join(f"{place.filename}:{place.lineno} {place.name}" for place in places)
        text = f": {link}" if isinstance(link, GatewayError) else ""
        said.append(f"{type(link).__name__}{text} [{path}]")
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return " caused by ".join(said)
