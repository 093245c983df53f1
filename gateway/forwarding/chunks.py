"""The chunked transfer coding, written (RFC 9112 §7.1)."""

from __future__ import annotations

LAST_CHUNK = b"0\r\n\r\n"


def write_chunk(data: bytes) -> bytes:
    """Return ``data`` as one chunk; no data is no chunk, because an empty one ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
