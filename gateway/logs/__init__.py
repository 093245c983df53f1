"""What the gateway writes about itself: one line per event, JSON or text.

Access lines go to standard output, everything else to standard error. Rule: a line holds no
secret and nothing a caller sent can end it, colour it or turn it around; whoever reads the logs
slowly or not at all delays no request.
"""

from __future__ import annotations

import atexit
import logging
import sys
from select import PIPE_BUF
from typing import TYPE_CHECKING, Final, TextIO

from gateway.logs.access import AccessEntry, AccessLog, Pseudonyms
from gateway.logs.events import EventFormatter, EventHandler
from gateway.logs.lines import DirectWriter, LineWriter

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AccessEntry",
    "Pseudonyms",
    "access_is_written",
    "close",
    "configure",
    "dropped_lines",
    "write_access",
]

LINGER: Final = 0.05  # seconds in which access lines gather, to be written at once
LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def configure(
    level: str,
    log_format: str,
    stream: TextIO | None = None,
    access_stream: TextIO | None = None,
    *,
    worker: int | None = None,
    threads: bool = True,
) -> None:
    """Send events to ``stream`` and access lines to ``access_stream``, in place of any before.

    Each line of one of several processes says which ``worker`` wrote it, and is not mixed with
    those of others. Without ``threads`` there are no access lines, and a stream that blocks loses
    lines. Loggers other than the gateway's own speak from ``warning`` up, whatever the level.
    """
    global _access, _handler  # noqa: PLW0603 - the logging of a process is one
    close()
    as_json = log_format == "json"
    stream, piece = stream or sys.stderr, 0 if worker is None else PIPE_BUF
    writer = LineWriter(stream, piece=piece) if threads else DirectWriter(stream)
    _handler = EventHandler(writer, EventFormatter(as_json=as_json, worker=worker))
    root = logging.getLogger()
    root.addHandler(_handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("gateway").setLevel(LEVELS[level])
    if threads and LEVELS[level] <= logging.INFO:
        access = LineWriter(access_stream or sys.stdout, LINGER, piece=piece)
        _access = AccessLog(access, as_json=as_json, worker=worker)


def close() -> None:
    """Write what is waiting and stop writing."""
    global _access, _handler  # noqa: PLW0603 - the logging of a process is one
    if _access is not None:
        _access.writer.close()
    if _handler is not None:
        logging.getLogger().removeHandler(_handler)
        logging.getLogger("gateway").setLevel(logging.NOTSET)
        _handler.writer.close()
    _access = _handler = None


def dropped_lines() -> int:
    """Return how many lines were given up since ``configure`` because nobody read them."""
    return sum(part.writer.dropped for part in (_access, _handler) if part is not None)


def access_is_written() -> bool:
    """Tell whether ``write_access`` writes, so that a caller can spare itself the entry."""
    return _access is not None


def write_access(entry: AccessEntry) -> None:
    """Write the access line of one request; above level ``info`` do nothing."""
    if _access is not None:
        _access.write(entry)


_access: AccessLog | None = None
_handler: EventHandler | None = None
atexit.register(close)
