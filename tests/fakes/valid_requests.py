"""Valid HTTP/1.1 requests of every shape, made from a seed (RFC 9110, RFC 9112)."""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.request import METHODS

if TYPE_CHECKING:
    from random import Random

UNRESERVED: Final = string.ascii_letters + string.digits + "-._~"
PCHAR: Final = UNRESERVED + "!$&'()*+,;=:@"
TCHAR: Final = string.ascii_letters + string.digits + "!#$%&'*+-^`|~"  # no dot, no underscore
# Encoded octets that are no slash, backslash, NUL or dot.
ENCODED: Final = ("%20", "%41", "%7e", "%7E", "%25", "%252F", "%C3%A9", "%ff", "%0a", "%3B", "%23")
NAMES: Final = (
    "Accept", "Accept-Language", "User-Agent", "Cookie", "Referer", "Origin", "Cache-Control",
    "If-None-Match", "Range", "Content-Language", "Via", "Link", "DNT", "Sec-Fetch-Mode", "Pragma",
)  # fmt: skip
REPEATED: Final = ("Accept", "Cookie", "Via", "Link", "Cache-Control")
EXTENSIONS: Final = (b"", b"", b"", b";a", b";a=b", b';a="b;c"', b";x=1;y=2")


@dataclass(frozen=True, slots=True)
class ValidRequest:
    """A request as it is sent; ``number`` is in its field ``X-D-Case``."""

    number: int
    method: str
    chunked: bool
    data: bytes


def make_request(random: Random, number: int, authorization: bytes) -> ValidRequest:
    """Return the next request."""
    method = random.choice(METHOD_CHOICES)
    fields = [(b"Host", b"gateway.test:8000"), (b"Authorization", authorization)]
    fields += [(b"X-D-Case", b"%d" % number), *_fields(random)]
    framing, body = _body(random)
    fields += framing
    random.shuffle(fields)
    lines = [f"{method} {_target(random)} HTTP/1.1".encode()]
    lines += [name + b":" + _blank(random) + value + _end(random, name) for name, value in fields]
    chunked = any(name == b"Transfer-Encoding" for name, _ in framing)
    return ValidRequest(number, method, chunked, b"\r\n".join([*lines, b"", body]))


METHOD_CHOICES: Final = (*sorted(METHODS), *("GET", "POST", "HEAD", "PUT", "DELETE") * 6)


def _blank(random: Random) -> bytes:
    return random.choice((b" ", b" ", b" ", b"", b"\t", b"  \t"))


def _end(random: Random, name: bytes) -> bytes:
    # llhttp refuses a blank behind the coding, which is legal, and we leave it at that.
    return b"" if name == b"Transfer-Encoding" else _blank(random)


def _target(random: Random) -> str:
    segments = [_segment(random) for _ in range(random.choice((0, 1, 2, 3, 8)))]
    path = "/" + "/".join(segments)
    shape = random.random()
    if shape < 0.4:
        return path
    query = _text(random, PCHAR + "/?[]{}|", random.choice((0, 1, 10, 60)))
    if shape < 0.7:
        query += "".join(f"&{_text(random, UNRESERVED, 4)}={pct}" for pct in ENCODED[:3])
    return f"{path}?{query}"


def _segment(random: Random) -> str:
    kind = random.random()
    if kind < 0.1:
        return random.choice(
            ("", "...", ".a", "a..", "..a", ";", ";v=1", "a;b=c", ":", "@", "%2E..")
        )
    text = _text(random, PCHAR, random.choice((1, 3, 12, 40)))
    if kind < 0.4:
        text += random.choice(ENCODED) + _text(random, UNRESERVED, 2)
    return "x" + text  # so that it is no dot segment, with parameters or without


def _fields(random: Random) -> list[tuple[bytes, bytes]]:
    fields = []
    for name in random.sample(NAMES, random.randrange(8)):
        times = random.choice((1, 1, 2, 3)) if name in REPEATED else 1
        spelled = random.choice((name, name.lower(), name.upper())).encode()
        fields += [(spelled, _value(random)) for _ in range(times)]
    for _ in range(random.choice((0, 1, 2, 4, 4, 20, 60))):
        name = "X-D-" + _text(random, TCHAR, random.choice((1, 5, 20)))
        fields += [(name.encode(), _value(random))] * random.choice((1, 1, 1, 2))
    return fields + _hop_by_hop(random)


def _hop_by_hop(random: Random) -> list[tuple[bytes, bytes]]:
    if random.random() < 0.8:
        return []
    return [
        (b"Connection", random.choice((b"keep-alive", b"Keep-Alive, X-D-Hop", b"x-d-hop,te"))),
        (b"X-D-Hop", b"for the next one only"),
        *random.sample([(b"TE", b"trailers"), (b"Keep-Alive", b"timeout=5")], random.randrange(3)),
    ]


VALUE: Final = bytes(range(0x21, 0x7F)) + bytes(range(0x80, 0x100)) + b"  \t"


def _value(random: Random) -> bytes:
    size = random.choice((0, 1, 5, 20, 20, 80, 300))
    return bytes(random.choices(VALUE, k=size)).strip(b" \t")


def _body(random: Random) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return framing fields and the body as it is sent."""
    kind = random.random()
    if kind < 0.35:
        return [], b""
    size = random.choice((0, 1, 2, 100, 1000, 5000, 20_000)) if kind < 0.98 else 200_000
    content = random.randbytes(size)
    kinds = [(b"Content-Type", random.choice((b"application/octet-stream", b"text/plain", b"a/b")))]
    if kind < 0.7:
        return [*kinds, (b"Content-Length", b"%d" % size)], content
    coding = random.choice((b"chunked", b"chunked", b"Chunked"))
    return [*kinds, (b"Transfer-Encoding", coding)], _chunks(random, content)


def _chunks(random: Random, content: bytes) -> bytes:
    parts = []
    while content:
        size = min(len(content), random.choice((1, 2, 15, 16, 17, 255, 4096, 70_000)))
        written = random.choice((b"%x", b"%X", b"00%x")) % size
        parts += [written, random.choice(EXTENSIONS), b"\r\n", content[:size], b"\r\n"]
        content = content[size:]
        if len(parts) > 500:
            parts += [b"%x\r\n%b\r\n" % (len(content), content)] if content else []
            break
    trailer = random.choice((b"", b"", b"X-D-Trailer: dropped\r\n"))
    return b"".join([*parts, random.choice((b"0", b"0", b"000")), b"\r\n", trailer, b"\r\n"])


def _text(random: Random, alphabet: str, size: int) -> str:
    return "".join(random.choices(alphabet, k=size))
