"""The head of the upstream request and of the response sent back: strip, then set.

Rule: what the gateway says about a request is set after everything the caller said about the same
thing is gone, in every spelling an upstream might read as the same name (RFC 9110 §7.6.1, §17.10).
"""

from __future__ import annotations

import re
from dataclasses import field
from enum import Enum, auto
from functools import lru_cache
from typing import TYPE_CHECKING

from gateway.errors import UpstreamError
from gateway.identity.names import plain_name
from gateway.record import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.request import RequestHead
    from gateway.routing import Upstream

# RFC 9110 §7.6.1, with the obsolete Proxy-Connection; Upgrade is not forwarded either.
HOP_BY_HOP = frozenset({
    b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate",
    b"proxy-authorization", b"proxy-authentication-info", b"te", b"trailer",
    b"transfer-encoding", b"upgrade", b"http2-settings",
})  # fmt: skip

# Set by the gateway itself, or left out: the caller's own are never sent on. CGI turns ``Proxy``
# into the setting HTTP_PROXY (CVE-2016-5385).
_SET_HERE = frozenset({
    b"authorization", b"host", b"content-length", b"expect", b"x-request-id", b"proxy",
})  # fmt: skip

# What upstreams believe about the way a request took and about who sent it.
_CLAIMS_OF_PROXIES = re.compile(
    rb"forwarded|x-forwarded(-.*)?|x-real-ip|x-client-ip|x-cluster-client-ip|true-client-ip"
    rb"|x-original-(url|uri|host|method|forwarded-for)|x-rewrite-url|x-envoy-.*"
    rb"|x-consumer(-.*)?|x-credential(-.*)?|x-authenticated(-.*)?|x-anonymous(-.*)?"
    rb"|x-userinfo|x-id-token|x-access-token|x-auth-request(-.*)?|remote-user|x-remote-(user|groups?)"
)


@lru_cache(maxsize=4096)
def _is_forwarded(name: bytes) -> bool:
    """Return whether a caller's field of this name is sent on; one verdict per spelling, kept."""
    lower = name.lower()
    plain = plain_name(name)
    return not (
        b"." in lower
        or plain in HOP_BY_HOP
        or plain in _SET_HERE
        or _CLAIMS_OF_PROXIES.fullmatch(plain)
    )


@record
class Forwarded:
    """What the upstream is told about the caller's side of the gateway."""

    for_: bytes
    proto: bytes
    host: bytes
    request_id: bytes


NOTHING: frozenset[bytes] = frozenset()
_BEGIN = b"%b %b%b HTTP/1.1\r\nHost: %b\r\n"
_PROTO = b"\r\nX-Forwarded-Proto: "
_REFERER = frozenset({b"referer"})
NOTHING_SAID = (NOTHING, b"")


def write_request_head(
    head: RequestHead,
    upstream: Upstream,
    forwarded: Forwarded,
    *,
    target: bytes,
    access_token: str | None,
    body_length: int | None,
    drop_referer: bool = False,
    withheld: frozenset[bytes] = NOTHING,
    reserved: frozenset[bytes] = NOTHING,
    told: bytes = b"",
) -> bytes:
    """Return the head of the upstream request; ``body_length`` ``None`` means chunked.

    The fields of ``withheld``, lower-case names, are not sent on, nor any spelling of ``reserved``,
    plain names. Who is calling is said by ``access_token`` or by the lines of ``told``.
    """
    named = _named_by_connection(head.fields.get(b"connection"))
    if drop_referer or withheld:
        named |= withheld | (_REFERER if drop_referer else NOTHING)
    if upstream.stripped:
        target = _rooted(target[len(upstream.stripped) :])
    hosts = head.values(b"host") if upstream.preserve_host else ()
    host = hosts[0] if hosts else upstream.host_field
    parts = [_BEGIN % (head.method.encode(), upstream.path_prefix, target, host)]
    for name, value in head.headers:
        if _is_forwarded(name) and not (
            (named and name.lower() in named) or (reserved and plain_name(name) in reserved)
        ):
            parts += (name, b": ", value, b"\r\n")
    if access_token is not None:
        parts += (b"Authorization: Bearer ", access_token.encode("ascii"), b"\r\n")
    parts += (told, b"X-Forwarded-For: ", forwarded.for_, _PROTO, forwarded.proto)
    if forwarded.host:
        parts += (b"\r\nX-Forwarded-Host: ", forwarded.host)
    parts += (b"\r\nX-Request-Id: ", forwarded.request_id, _request_framing(head, body_length))
    return b"".join(parts)


def _rooted(target: bytes) -> bytes:
    """Return a target that is a path again after its begin was taken off (RFC 9112 §3.2.1)."""
    return target if target.startswith(b"/") else b"/" + target


# RFC 9110 §8.6: a method that anticipates content says so even when there is none.
_ANTICIPATES_CONTENT = frozenset({"POST", "PUT", "PATCH"})


def _request_framing(head: RequestHead, body_length: int | None) -> bytes:
    """Return the one framing field and the end of the head (RFC 9112 §6)."""
    if body_length is None:
        return b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    if body_length or head.method in _ANTICIPATES_CONTENT or b"content-length" in head.fields:
        return b"\r\nContent-Length: %d\r\n\r\n" % body_length
    return b"\r\n\r\n"


class ResponseFraming(Enum):
    """How the body that follows a response head ends (RFC 9112 §6.3)."""

    NONE = auto()
    LENGTH = auto()
    CHUNKED = auto()
    CLOSE = auto()


class _Kind(Enum):
    """What the fields of a response are that are not just passed on."""

    DROPPED = auto()
    CONNECTION = auto()
    LENGTH = auto()
    CODING = auto()


# Looked up once: to name a member of an Enum takes longer than the comparison it is for.
_DROPPED, _CONNECTION, _LENGTH, _CODING = _Kind
_NONE, _BY_LENGTH, _CHUNKED, _BY_CLOSE = ResponseFraming


@lru_cache(maxsize=4096)
def _kind(name: bytes) -> _Kind | None:
    """Return the kind of an upstream's field, ``None`` for any other; one verdict per spelling."""
    match name.lower():
        case b"content-length":
            return _LENGTH
        case b"transfer-encoding":
            return _CODING
        case b"connection":
            return _CONNECTION
        case lower if lower in HOP_BY_HOP or lower == b"x-request-id":
            return _DROPPED
        case _:
            return None


@record
class ResponseHead:
    """The head of an upstream response.

    ``start`` is the status line and the fields that are passed on, ``framing`` the upstream's.
    """

    status: int
    start: bytes = field(repr=False)
    framing: ResponseFraming


# RFC 9110 §15.3.5, §15.4.5
_NO_CONTENT, _NOT_MODIFIED = 204, 304
_WITHOUT_BODY = frozenset({_NO_CONTENT, _NOT_MODIFIED})
_UNSAID = {_NO_CONTENT: frozenset({b"content-length"})}  # RFC 9110 §8.6
# RFC 9112 §4
_REASON_PHRASE = re.compile(rb"[\t -~\x80-\xff]*")


def read_response_head(
    method: str, status: int, reason: bytes, headers: Sequence[tuple[bytes, bytes]]
) -> ResponseHead:
    """Return the head of the response to ``method``; one to be refused raises ``UpstreamError``."""
    if not _REASON_PHRASE.fullmatch(reason):
        raise UpstreamError("the upstream's reason phrase holds control characters")
    framing = _BY_CLOSE
    connection = []
    kept = []
    for each in headers:
        name, value = each
        kind = _kind(name)
        if kind is None:
            kept.append(each)
        elif kind is _LENGTH:
            framing = _BY_LENGTH
            kept.append(each)
        elif kind is _CODING:
            if framing is not _BY_CLOSE or value.lower() != b"chunked":
                raise UpstreamError("the upstream used a transfer coding other than chunked")
            framing = _CHUNKED
        elif kind is _CONNECTION:
            connection.append(value)
    if dropped := _named_by_connection(connection) | _UNSAID.get(status, NOTHING):
        kept = [each for each in kept if each[0].lower() not in dropped]
    if method == "HEAD" or status in _WITHOUT_BODY:
        framing = _NONE
    return ResponseHead(status, write_start(status, reason, kept), framing)


def write_start(status: int, reason: bytes, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a status line and these fields."""
    lines = [b"HTTP/1.1 %d %b\r\n" % (status, reason)]
    lines += [b"%b: %b\r\n" % each for each in fields]
    return b"".join(lines)


def write_response_head(
    response: ResponseHead,
    *,
    request_id: bytes,
    framing: ResponseFraming,
    keep_alive: bool,
    version: tuple[int, int],
    said: tuple[frozenset[bytes], bytes] = NOTHING_SAID,
) -> bytes:
    """Return the response head sent to the caller: the upstream's, hop-by-hop fields replaced.

    ``said`` is which fields, plain names, the gateway says in place of the upstream, and how.
    """
    reserved, end = said
    start = _without(response.start, reserved) if reserved else response.start
    if framing is _CHUNKED:
        end += b"Transfer-Encoding: chunked\r\n"
    if not keep_alive:
        end += b"Connection: close\r\n"
    elif version == (1, 0):
        end += b"Connection: keep-alive\r\n"
    return b"%bX-Request-Id: %b\r\n%b\r\n" % (start, request_id, end)


def _without(start: bytes, reserved: frozenset[bytes]) -> bytes:
    """Return the begin of a response head without any spelling of these names."""
    status, *lines = start.split(b"\r\n")
    kept = (line for line in lines if plain_name(line.partition(b":")[0]) not in reserved)
    return b"\r\n".join((status, *kept))


# Naming these in Connection takes nothing away: they frame the message or say what it is.
_NEVER_NAMED = frozenset({b"content-length", b"host", b"date", b"set-cookie"})


def _named_by_connection(values: Sequence[bytes] | None) -> frozenset[bytes]:
    """Return the field names the ``Connection`` fields name, lower-cased (RFC 9110 §7.6.1)."""
    if not values:
        return NOTHING
    return _names_in(b",".join(values))


@lru_cache(maxsize=1024)
def _names_in(value: bytes) -> frozenset[bytes]:
    names = frozenset(name.strip(b" \t").lower() for name in value.split(b","))
    return names - _NEVER_NAMED - HOP_BY_HOP - {b"", b"close"}


def forwarded_for(previous: Iterable[bytes], peer: str) -> bytes:
    """Return the ``X-Forwarded-For`` value: what trusted proxies said, then the peer."""
    return b", ".join([*previous, peer.encode("ascii", "replace")])
