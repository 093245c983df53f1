"""Chunked request bodies on a caller's connection: what surrounds their content stays theirs.

Rule: aiohttp's C parser keeps the last trailer field and takes it for the first field of whatever
it reads next, so behind a chunked body a new parser reads on, or nothing does (RFC 9110 §6.5.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aiohttp.http import HttpRequestParser
from aiohttp.web_protocol import RequestPayloadError

from gateway.server.watched import WatchedProtocol

if TYPE_CHECKING:
    from aiohttp.streams import StreamReader
    from aiohttp.web_server import Server

    from gateway.server.door import Door

_END: Final = b"\r\n\r\n"


class ChunkedProtocol(WatchedProtocol):
    """aiohttp's HTTP/1 protocol with a parser that remembers no trailers."""

    __slots__ = ("_body_size", "_ending", "_ends_alone", "parser_is_clean")

    def __init__(self, manager: Server, *, door: Door, **how: Any) -> None:
        super().__init__(manager, door=door, **how)
        self.parser_is_clean = True
        self._ending = b""
        self._ends_alone = False
        self._body_size = -1

    def note_chunked(self, body: StreamReader, data: bytes) -> None:
        """Note how much of a chunked request has arrived, before its turn has come."""
        self._ending = data[-len(_END) :]
        self._ends_alone = len(self._messages) == 1 and body.is_eof() and self._ending == _END

    def begin_chunked(self) -> None:
        """Note that the turn of a chunked request has come.

        If anything behind it has been read, the connection ends with it.
        """
        self.parser_is_clean = False
        self._body_size, self._part_size = -1, 0
        if self._ends_alone and not self._messages:
            self._renew_parser()
        self._ends_alone = False

    def note_body(self, body: StreamReader, data: bytes) -> bool:
        """Note a piece of the body under way; return whether it is too long without content."""
        if self.parser_is_clean:
            return False  # not chunked: there is nothing but content
        self._ending = (self._ending + data)[-len(_END) :]
        if body.is_eof():
            if self._ending == _END:
                self._renew_parser()
            return False
        if body.total_bytes != self._body_size:
            self._body_size, self._part_size = body.total_bytes, 0
            return False
        self._part_size += len(data)  # trailers, or the extension of a chunk
        return self._part_size > 2 * self.max_field_size

    def _renew_parser(self) -> None:
        held_back = self._reading_paused or self._buffer_paused
        if held_back or self._upgraded or self._parser is None:
            return
        self._parser = HttpRequestParser(
            self,
            self._loop,
            self._read_bufsize,
            max_line_size=self.max_line_size,
            max_field_size=self.max_field_size,
            max_headers=self.max_headers,
            payload_exception=RequestPayloadError,
            auto_decompress=False,
            max_msg_queue_size=self._max_msg_queue_size,
        )
        self.parser_is_clean = True
