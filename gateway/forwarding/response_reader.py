"""Response bytes in, head and body out: one response at a time, without I/O (RFC 9112 §4-§7).

Rule: what could be read two ways, or belongs to no request, raises ``UpstreamError``; a reader
that raised is not fed again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import httptools

from gateway.errors import UpstreamError
from gateway.forwarding.headers import ResponseFraming, read_response_head

if TYPE_CHECKING:
    from gateway.forwarding.headers import ResponseHead

# RFC 9110 §15.2 sets no bound; no honest upstream sends more interim responses than this.
MAX_INTERIM_RESPONSES = 8
MAX_RESPONSE_HEAD_BYTES = 64 * 1024

_FIRST_FINAL_STATUS = 200  # RFC 9110 §15.2
_SWITCHING_PROTOCOLS = 101
_VERSIONS = frozenset({"1.1", "1.0"})
_END_OF_HEAD = b"\r\n\r\n"
_UNWANTED_BODY = "the upstream sent a body where there is none"
# Heads that came only once, in a row: so many, and a connection's heads are not kept any more.
MAX_ONCE = 16
MAX_KNOWN_HEAD = 4096  # bytes


def _is_coding(name: bytes) -> bool:
    return name.lower() == b"transfer-encoding"


class KnownHead:
    """The head of the last response on a connection, by its bytes and its length with the body."""

    __slots__ = ("head", "raw", "total")

    def __init__(self, raw: bytes, total: int, head: ResponseHead) -> None:
        self.raw = raw
        self.total = total
        self.head = head


class ResponseReader:
    """Reads the responses that arrive on one connection.

    ``head`` is there once a final response has begun, ``complete`` once it has ended; until the
    body bytes are taken, ``buffered`` counts them. A response that came whole and begins with the
    bytes of the one before is not parsed again: the parser would find the same.
    """

    __slots__ = (
        "_fields",
        "_interim",
        "_known",
        "_method",
        "_once",
        "_parser",
        "_parts",
        "_quiet",
        "_reason",
        "_tail",
        "_untouched",
        "_wrong",
        "buffered",
        "complete",
        "head",
        "keep_alive",
    )

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._method = ""
        self._wrong: str | None = None
        self._known: KnownHead | None = None
        self._once = 0
        self.begin("")

    def begin(self, method: str) -> None:
        """Expect the response to a request with this method."""
        if self._method == "HEAD":
            # That parser still waits for the body a GET would have had.
            self._parser = httptools.HttpResponseParser(self)
        self._method = method
        self._reason = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._interim = 0
        self._quiet = 0
        self._untouched = method != "HEAD"
        self._tail = b""
        self.head: ResponseHead | None = None
        self.buffered = 0
        self.complete = False
        self.keep_alive = False

    def feed(self, data: bytes) -> None:
        """Read bytes; anything wrong with them raises ``UpstreamError``."""
        whole = self._untouched
        self._untouched = False
        if whole and self._recall(data):
            return
        self._quiet += len(data)
        self._parse(data)
        if whole and self.complete and self.keep_alive and self._once < MAX_ONCE:
            self._know(data)

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as exc:
            raise UpstreamError(
                self._wrong or f"the upstream's answer is not HTTP: {type(exc).__name__}"
            ) from exc
        if self._quiet > MAX_RESPONSE_HEAD_BYTES:
            raise UpstreamError("the upstream's header or trailer section is too large")
        if self._method == "HEAD":
            self._tail = (self._tail + data)[-len(_END_OF_HEAD) :]
            if self.complete and self._tail.strip(_END_OF_HEAD):
                # So little of a body that the parser has told nothing.
                raise UpstreamError(_UNWANTED_BODY)

    def _recall(self, data: bytes) -> bool:
        """Take a whole response whose head is the last one's, byte for byte."""
        known = self._known
        if known is None or len(data) != known.total or not data.startswith(known.raw):
            return False
        self._once = 0
        self.head = known.head
        self.keep_alive = self.complete = True
        body = data[len(known.raw) :]
        if body:
            self._parts.append(body)
            self.buffered = len(body)
        return True

    def _know(self, data: bytes) -> None:
        """Keep the head of a whole response, unless it sets a cookie: that is for one caller."""
        self._once += 1
        self._known = None
        head = self.head
        if head is None or head.framing is not ResponseFraming.LENGTH or self._interim:
            return
        size = data.find(b"\r\n\r\n") + 4
        raw = data[:size]
        # Only where the lines are what the parser took for lines, and the rest is the body.
        plain = raw.count(b"\n") == len(self._fields) + 2 and size + self.buffered == len(data)
        if plain and size <= MAX_KNOWN_HEAD and b"cookie" not in raw.lower():
            self._known = KnownHead(raw, len(data), head)

    def feed_end(self, *, said: bool) -> None:
        """End a body that lasts until the close; before any other end raise ``UpstreamError``.

        ``said`` is whether the upstream itself has ended it.
        """
        if self.complete:
            return
        if self.head is None or self.head.framing is not ResponseFraming.CLOSE or not said:
            raise UpstreamError("the upstream closed the connection")
        self.complete = True

    def take(self) -> bytes:
        """Return the body bytes that have arrived and were not taken yet."""
        parts = self._parts
        if not parts:
            return b""
        self._parts = []
        self.buffered = 0
        return parts[0] if len(parts) == 1 else b"".join(parts)

    # httptools calls these from feed_data.

    def on_message_begin(self) -> None:
        """Refuse a second response to one request."""
        if self.complete:
            self._refuse("the upstream sent two responses to one request")

    def on_status(self, reason: bytes) -> None:
        """Keep the reason phrase; it may come in pieces."""
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header field; trailer fields are dropped (RFC 9110 §6.5)."""
        if self.head is None:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Take the head of a final response; count and drop interim ones (RFC 9110 §15.2)."""
        status = self._parser.get_status_code()
        if self._quiet > MAX_RESPONSE_HEAD_BYTES:
            self._require_bounded_head()
        self._quiet = 0
        if status < _FIRST_FINAL_STATUS:
            self._drop_interim(status)
            return
        version = self._parser.get_http_version()
        if version not in _VERSIONS:
            self._refuse("the upstream's answer is not HTTP/1")
        try:
            head = read_response_head(self._method, status, self._reason, self._fields)
        except UpstreamError as exc:
            self._refuse(str(exc))
        if version == "1.0" and head.framing is ResponseFraming.CHUNKED:
            self._refuse("the upstream used a transfer coding in HTTP/1.0")  # RFC 9112 §6.1
        self.head = head
        self.keep_alive = self._parser.should_keep_alive()
        self.complete = self._method == "HEAD"

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body until it is taken."""
        if self.complete:
            self._refuse(_UNWANTED_BODY)
        self._quiet = 0
        self.buffered += len(data)
        self._parts.append(data)

    def on_message_complete(self) -> None:
        """End the response; an interim one has ended nothing."""
        if self.head is None:
            return
        if self._method == "HEAD" and any(_is_coding(name) for name, _ in self._fields):
            self._refuse(_UNWANTED_BODY)  # an empty one, but its last chunk was sent
        self.complete = True

    def _drop_interim(self, status: int) -> None:
        self._interim += 1
        self._reason = b""
        self._fields = []
        if status == _SWITCHING_PROTOCOLS:
            self._refuse("the upstream switched protocols unasked")
        if self._interim > MAX_INTERIM_RESPONSES:
            self._refuse("the upstream sent too many interim responses")

    def _require_bounded_head(self) -> None:
        """Refuse a head that is too large; what was fed with it may be its body as well."""
        size = len(self._reason) + sum(len(name) + len(value) for name, value in self._fields)
        if size > MAX_RESPONSE_HEAD_BYTES:
            self._refuse("the upstream's response head is too large")

    def _refuse(self, reason: str) -> NoReturn:
        """Stop the parser; ``feed`` raises the reason, because httptools hides what we raise."""
        self._wrong = reason
        raise ValueError(reason)
