"""The head of the caller's request, and the front gate: what is refused before anything else.

Rule: what is matched, authorised and forwarded are the same bytes; what can be read two ways is
refused here (RFC 9110 §17, RFC 9112 §3, §6, §11).
"""

from __future__ import annotations

import re
from dataclasses import field
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote_to_bytes

from gateway.errors import (
    ExpectationFailedError,
    HeaderTooLargeError,
    MethodNotAllowedError,
    RequestError,
)
from gateway.record import record

if TYPE_CHECKING:
    from collections.abc import Sequence

# RFC 9110 §9.3 without CONNECT and TRACE, RFC 5789, and the WebDAV family (RFC 4918, 3253, 3648,
# 3744, 4791, 5323). Anything else is not forwarded.
# fmt: off
METHODS = frozenset({
    "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH",
    "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", "ACL",
    "MKCALENDAR", "BIND", "UNBIND", "REBIND", "LINK", "UNLINK", "CHECKOUT", "MERGE", "MKACTIVITY",
    "PURGE", "QUERY",
})
# fmt: on

# Envoy and nginx allow the same: one request, one field section, at most so many lines.
MAX_FIELDS = 128
# As many as a 64-bit number has: nobody sends more, and Python refuses thousands of them.
MAX_LENGTH_DIGITS = 19
MAX_PORT_DIGITS = 5


class Body(Protocol):
    """The caller's request body, not read yet."""

    async def read(self, limit: int) -> bytes:
        """Return the whole body; more than ``limit`` bytes raise ``BodyTooLargeError``."""
        ...


@record
class RequestHead:
    """Method, raw request target and raw header fields of a request, as they arrived.

    ``fields`` holds the same fields by lower-cased name; ``body_length`` is ``None`` for a chunked
    body and 0 for no body.
    """

    method: str
    target: bytes = field(repr=False)
    headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    fields: dict[bytes, tuple[bytes, ...]] = field(repr=False)
    peer: str
    body_length: int | None
    expects_continue: bool

    @property
    def path(self) -> bytes:
        """The raw path, without the query."""
        return self.target.partition(b"?")[0]

    @property
    def query(self) -> bytes:
        """The raw query without its question mark; empty when there is none."""
        return self.target.partition(b"?")[2]

    def values(self, name: bytes) -> Sequence[bytes]:
        """Return the values of the field with this lower-case name, in order."""
        return self.fields.get(name, ())


def read_head(
    *,
    method: str,
    target: bytes,
    version: tuple[int, int],
    headers: tuple[tuple[bytes, bytes], ...],
    peer: str,
    max_header_bytes: int,
) -> RequestHead:
    """Return the head of an unambiguous HTTP/1 request; raise ``RequestError`` for any other."""
    if version not in _VERSIONS:
        raise RequestError("only HTTP/1.1 and HTTP/1.0 are spoken here")
    fields = _read_fields(headers, max_header_bytes)
    if method not in METHODS:
        raise MethodNotAllowedError("this method is not forwarded")
    _require_target(method, target)
    _require_host(fields.get(b"host", ()), version)
    return RequestHead(
        method,
        target,
        headers,
        fields,
        peer,
        _read_body_length(fields, version),
        b"expect" in fields and _read_expect(fields[b"expect"]),
    )


_VERSIONS = frozenset({(1, 1), (1, 0)})


def _read_fields(
    headers: tuple[tuple[bytes, bytes], ...], max_header_bytes: int
) -> dict[bytes, tuple[bytes, ...]]:
    if len(headers) > MAX_FIELDS:
        raise HeaderTooLargeError(f"more than {MAX_FIELDS} header fields")
    fields: dict[bytes, tuple[bytes, ...]] = {}
    size = 0
    for name, value in headers:
        size += len(name) + len(value) + 4
        lower = field_name(name)
        fields[lower] = (*fields[lower], value) if lower in fields else (value,)
    if size > max_header_bytes:
        raise HeaderTooLargeError(f"header fields of more than {max_header_bytes} bytes")
    return fields


@lru_cache(maxsize=4096)
def field_name(name: bytes) -> bytes:
    """Return the lower-cased field name; a name with an underscore raises ``RequestError``.

    Many upstreams (CGI, WSGI, PHP) read ``X_User`` and ``X-User`` as one name (RFC 9110 §17.10).
    """
    if b"_" in name:
        raise RequestError("header field names with an underscore are refused")
    return name.lower()


def _require_target(method: str, target: bytes) -> None:
    """Admit origin-form, and ``*`` for OPTIONS (RFC 9112 §3.2); refuse every other form."""
    if not target.startswith(b"/"):
        if target == b"*" and method == "OPTIONS":
            return
        raise RequestError("the request target must be a path")
    if not _VISIBLE.fullmatch(target):
        raise RequestError("the request target holds what must be percent-encoded, or a fragment")
    path = target.partition(b"?")[0]
    if _PERCENT in path or _BACKSLASH in path or b"/." in path:
        _refuse_ambiguous_path(path)


# RFC 9112 §3.2: no space, control character, octet beyond ASCII or "#" is part of a target.
_VISIBLE = re.compile(rb'[!"$-~]+')
_PERCENT, _BACKSLASH = b"%\\"  # as numbers: to look for one octet takes a quarter of the time


def _refuse_ambiguous_path(path: bytes) -> None:
    """Refuse what upstreams normalise in different ways (RFC 3986 §6.2.2.3, §7.3).

    An encoded slash is left to the route, which may be for an upstream that wants one.
    """
    lower = path.lower()
    if b"\\" in lower or b"%5c" in lower or b"%00" in lower:
        raise RequestError("the path holds a backslash or a NUL")
    decoded = unquote_to_bytes(path)
    if len(decoded) != len(path) - 2 * path.count(b"%"):
        raise RequestError("the path holds an incomplete percent-encoding")
    for segment in decoded.split(b"/"):
        if segment.partition(b";")[0] in (b".", b".."):
            raise RequestError("the path holds a dot segment")


def _require_host(hosts: Sequence[bytes], version: tuple[int, int]) -> None:
    """Require one ``Host`` that is an authority without userinfo (RFC 9112 §3.2)."""
    if len(hosts) > 1 or (not hosts and version == (1, 1)):
        raise RequestError("exactly one Host field is required")
    if hosts and not _is_authority(hosts[0]):
        raise RequestError("the Host field is not a host and port")


@lru_cache(maxsize=1024)
def _is_authority(value: bytes) -> bool:
    host, colon, port = value.rpartition(b":")
    if not colon or value.endswith(b"]"):
        host, port = value, b""
    if port and not (port.isdigit() and len(port) <= MAX_PORT_DIGITS):
        return False
    if host.startswith(b"["):
        return host.endswith(b"]") and set(host[1:-1]) <= _IPV6_OCTETS
    return bool(host) and set(host) <= _REG_NAME_OCTETS


_IPV6_OCTETS = frozenset(b"0123456789abcdefABCDEF:.")
# RFC 3986 §3.2.2 reg-name without sub-delims: none of them is ever part of a host that resolves.
_REG_NAME_OCTETS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")


def _read_body_length(
    fields: dict[bytes, tuple[bytes, ...]], version: tuple[int, int]
) -> int | None:
    """Return the length of the body, ``None`` when chunked (RFC 9112 §6.3)."""
    codings = fields.get(b"transfer-encoding")
    lengths = fields.get(b"content-length")
    if codings is None:
        if lengths is None:
            return 0
        if len(lengths) > 1 or not lengths[0].isdigit() or len(lengths[0]) > MAX_LENGTH_DIGITS:
            raise RequestError("the Content-Length field is not one number")
        return int(lengths[0])
    if lengths is not None or version == (1, 0):
        raise RequestError("Transfer-Encoding beside Content-Length or in HTTP/1.0")
    if len(codings) > 1 or codings[0].lower() != b"chunked":
        raise RequestError("the only transfer coding taken is chunked")
    return None


def _read_expect(values: Sequence[bytes]) -> bool:
    """Return whether the caller waits for 100 (Continue) (RFC 9110 §10.1.1)."""
    if len(values) > 1 or values[0].lower() != b"100-continue":
        raise ExpectationFailedError("the only expectation met is 100-continue")
    return True
