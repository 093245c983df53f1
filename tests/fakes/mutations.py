"""Bytes that were a valid message, changed in a few places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

# What parsers of HTTP/1.1 have stumbled on: ends of lines, blanks, framing, numbers, controls.
TOKENS: Final = (
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n\n", b"\r\n ", b"\r\n\t", b" ", b"\t", b"\0", b"\x7f",
    b"\xff", b":", b",", b";", b"%", b"%2e%2e/", b"/../", b"\\", b"#", b"?", b"_", b"A" * 9000,
    b"0", b"1", b"-1", b"+", b"0x", b"f" * 16, b"9" * 20, b"chunked", b"0\r\n\r\n",
    b"\r\n0\r\n\r\n", b"5\r\nhello\r\n", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\nHost: b",
    b"\r\nContent-Length: 0", b"\r\nContent-Length: 7", b"\r\nTransfer-Encoding: chunked",
    b"\r\nTransfer-Encoding : chunked", b"\r\nTransfer-Encoding: gzip, chunked",
    b"\r\nConnection: close", b"\r\nConnection: keep-alive", b"\r\nUpgrade: h2c",
    b"\r\nConnection: Upgrade\r\nUpgrade: websocket", b"\r\nExpect: 100-continue",
)  # fmt: skip
CHANGES_AT_ONCE: Final = (1, 1, 1, 1, 2, 4)
LONGEST: Final = 64


def mutate(random: Random, data: bytes) -> bytes:
    """Return the message with one to four changes."""
    for _ in range(random.choice(CHANGES_AT_ONCE)):
        data = random.choice(CHANGES)(random, data)
    return data


def _place(random: Random, data: bytes) -> int:
    """Return a place: half of them in the head, where the meaning is."""
    head = data.find(b"\r\n\r\n") + 4
    return random.randrange(head if head > 4 and random.random() < 0.5 else len(data) + 1)


def _insert(random: Random, data: bytes) -> bytes:
    at = _place(random, data)
    return data[:at] + random.choice(TOKENS) + data[at:]


def _insert_line(random: Random, data: bytes) -> bytes:
    lines = data.split(b"\r\n")
    at = random.randrange(len(lines)) + 1
    return b"\r\n".join(lines[:at]) + random.choice(TOKENS) + b"\r\n" + b"\r\n".join(lines[at:])


def _flip(random: Random, data: bytes) -> bytes:
    at = _place(random, data)
    return (
        data[:at]
        + bytes(byte ^ (1 << random.randrange(8)) for byte in data[at : at + 1])
        + (data[at + 1 :])
    )


def _overwrite(random: Random, data: bytes) -> bytes:
    at = _place(random, data)
    token = random.choice(TOKENS)
    return data[:at] + token + data[at + len(token) :]


def _delete(random: Random, data: bytes) -> bytes:
    at = _place(random, data)
    return data[:at] + data[at + random.randint(1, LONGEST) :]


def _repeat(random: Random, data: bytes) -> bytes:
    at = _place(random, data)
    end = at + random.randint(1, LONGEST)
    return data[:end] + data[at:]


def _swap_lines(random: Random, data: bytes) -> bytes:
    lines = data.split(b"\r\n")
    one, other = random.randrange(len(lines)), random.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\r\n".join(lines)


def _truncate(random: Random, data: bytes) -> bytes:
    return data[: _place(random, data)]


def _noise(random: Random, data: bytes) -> bytes:
    at = _place(random, data)
    return data[:at] + random.randbytes(random.randint(1, LONGEST)) + data[at:]


CHANGES: Final[tuple[Callable[[Random, bytes], bytes], ...]] = (
    _insert, _insert, _insert_line, _insert_line, _flip, _overwrite, _delete, _repeat, _swap_lines,
    _truncate, _noise,
)  # fmt: skip
