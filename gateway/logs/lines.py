"""Lines: how a value is spelled in one, and the thread that writes them.

Rule: whatever a value holds, it stays within its line and within its length.
"""

from __future__ import annotations

import json
import os
import select
import threading
import time
from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, TextIO

MAX_VALUE: Final = 256  # characters
MAX_LINES: Final = 10_000  # waiting to be written; more are dropped and counted
CLOSE_WITHIN: Final = 1.0  # seconds a stream has to take the last lines

_encode = json.encoder.encode_basestring_ascii  # so bidi controls and C1 become escapes too
_second: list[Any] = [None, ""]  # the last second written, and its spelling


def escape(value: str, limit: int = MAX_VALUE) -> str:
    """Return the value short and printable: line ends, ESC and bidi controls as escapes."""
    if len(value) > limit:
        value = value[: limit - 1] + "…"
    if value.isprintable():  # C0, C1, DEL, bidi controls and lone surrogates are not
        return value
    return "".join(_escaped(value))


def quote(value: str | None, limit: int = MAX_VALUE) -> str:
    """Return the value short and as JSON (RFC 8259 §7)."""
    if value is None:
        return "null"
    if len(value) > limit:
        value = value[: limit - 1] + "…"
    spelled = _encode(value)
    return spelled.replace("\x7f", "\\u007f") if "\x7f" in spelled else spelled


# For words that come again and again: names of methods, grants and errors.
quote_word = lru_cache(maxsize=1024)(quote)


def timestamp(now: float) -> str:
    """Return the time in UTC to the millisecond (RFC 3339)."""
    total = int(now * 1000)
    seconds = total // 1000
    if seconds != _second[0]:
        _second[:] = [seconds, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))]
    return f"{_second[1]}.{total - seconds * 1000:03d}Z"


class LineWriter:
    """Writes lines from a thread of its own, so that a stream that blocks delays nobody else.

    With a ``piece`` no write is longer than so many bytes, unless one line is: what a pipe takes
    whole is not mixed with the lines of other processes.
    """

    def __init__(self, stream: TextIO, linger: float = 0.0, piece: int = 0) -> None:
        self.dropped = 0
        self._piece = piece
        self._stream = stream
        self._linger = linger
        self._lines: deque[str] = deque()
        self._waiting = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log writer", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Take the line, or count it as dropped when too many are waiting."""
        if len(self._lines) >= MAX_LINES:
            self.dropped += 1
            return
        self._lines.append(line)
        if not self._waiting.is_set():
            self._waiting.set()

    def close(self) -> None:
        """Write what is waiting; a stream that does not take it in time loses it."""
        self._closing.set()
        self._waiting.set()
        self._thread.join(CLOSE_WITHIN)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._waiting.wait()
            self._closing.wait(self._linger)
            self._waiting.clear()
            self._flush()
        self._flush()

    def _flush(self) -> None:
        batch = [self._lines.popleft() for _ in range(len(self._lines))]
        if not batch:
            return
        try:
            for text in ["".join(batch)] if not self._piece else _pieces(batch, self._piece):
                self._stream.write(text)
                self._stream.flush()
        except (OSError, ValueError):  # ValueError: the stream is closed
            self.dropped += len(batch)


class DirectWriter:
    """Writes each line at once, from a process without threads; who does not read loses it."""

    def __init__(self, stream: TextIO) -> None:
        self.dropped = 0
        self._descriptor = stream.fileno()
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLOUT)

    def write(self, line: str) -> None:
        """Write the line, or count it as dropped."""
        try:
            if self._poll.poll(0):
                os.write(self._descriptor, line.encode("utf-8", "backslashreplace"))
                return
        except OSError:
            pass
        self.dropped += 1

    def close(self) -> None:
        """Do nothing: every line has been written."""


def suffix(worker: int | None, *, as_json: bool) -> str:
    """Return what a line says at its end about the process that wrote it."""
    if worker is None:
        return ""
    return f',"worker":{worker}' if as_json else f" worker={worker}"


def _pieces(batch: list[str], limit: int) -> Iterator[str]:
    """Yield the lines joined, as far as they fit into so many bytes."""
    piece: list[str] = []
    size = 0
    for line in batch:
        length = len(line) if line.isascii() else len(line.encode("utf-8", "backslashreplace"))
        if piece and size + length > limit:
            yield "".join(piece)
            piece, size = [], 0
        piece.append(line)
        size += length
    yield "".join(piece)


def _escaped(value: str) -> Iterator[str]:
    for character in value:
        code = ord(character)
        if character.isprintable():
            yield character
        elif code <= 0xFF:  # noqa: PLR2004 - what two hexadecimal digits hold
            yield f"\\x{code:02x}"
        else:
            yield f"\\u{code:04x}"
