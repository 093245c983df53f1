"""Lines: how a value is spelled in one, and the thread that writes them.

Rule: whatever a value holds, it stays within its line and within its length.
"""

from __future__ import annotations

import json
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
    """Writes lines from a thread of its own, so that a stream that blocks delays nobody else."""

    def __init__(self, stream: TextIO, linger: float = 0.0) -> None:
        self.dropped = 0
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
            self._stream.write("".join(batch))
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: the stream is closed
            self.dropped += len(batch)


def _escaped(value: str) -> Iterator[str]:
    for character in value:
        code = ord(character)
        if character.isprintable():
            yield character
        elif code <= 0xFF:  # noqa: PLR2004 - what two hexadecimal digits hold
            yield f"\\x{code:02x}"
        else:
            yield f"\\u{code:04x}"
