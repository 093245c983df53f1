"""The caller's request body: read when it is wanted, and not before the caller is known.

Rule: 100 (Continue) is sent only when the body is about to be read (RFC 9110 §10.1.1).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import PayloadAccessError, RequestPayloadError

from gateway.errors import BodyTooLargeError, RequestError, RequestTimeoutError
from gateway.metrics import CONNECTIONS_CUT

if TYPE_CHECKING:
    from aiohttp import web

    from gateway.request import RequestHead

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class CallersBody:
    """The body of one request; a ``max_bytes`` of 0 is no limit.

    ``min_rate`` is the fewest bytes a second that have to arrive while it is waited for, over
    ``window`` seconds; with 0 it may only not stand still for so long.
    """

    __slots__ = (
        "_content", "_expects_continue", "_left", "_length", "_max_bytes", "_min_rate", "_request",
        "_size", "_window",
    )  # fmt: skip

    def __init__(
        self,
        request: web.BaseRequest,
        max_bytes: int,
        min_rate: int = 0,
        window: float = 60.0,
    ) -> None:
        self._request = request
        self._content = request.content
        self._max_bytes = max_bytes
        self._min_rate = min_rate
        self._window = self._left = window
        self._expects_continue = False
        self._length: int | None = 0
        self._size = 0

    def expect(self, head: RequestHead) -> None:
        """Remember what the head says about the body; one announced too large is refused."""
        self._expects_continue = head.expects_continue
        self._length = head.body_length
        self._require_size(self._length or 0)

    @property
    def finished(self) -> bool:
        """Whether the body has arrived to its end, so that the connection may be used again."""
        return self._content.is_eof()

    def take_arrived(self) -> bytes | None:
        """Return the whole body if all of it is here, else ``None``; too large a one raises."""
        if not self._content.is_eof() or self._content.exception() is not None:
            return None
        data = self._content.read_nowait()
        self._require_size(len(data))
        return data

    async def read(self, limit: int) -> bytes:
        """Return the whole body; more than ``limit`` bytes raise ``BodyTooLargeError``."""
        if (self._length or 0) > limit:
            raise BodyTooLargeError(f"a body that may hold credentials is over {limit} bytes")
        parts = []
        while part := await self.next_part():
            parts.append(part)
            if self._size > limit:
                raise BodyTooLargeError(f"a body that may hold credentials is over {limit} bytes")
        return b"".join(parts)

    async def next_part(self) -> bytes:
        """Return the next bytes, empty at the end; a broken body raises ``RequestError``."""
        self._send_continue()
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(self._left):
                part = await self._content.readany()
        except TimeoutError:
            CONNECTIONS_CUT.labels("body").inc()
            raise RequestTimeoutError("the request body does not arrive") from None
        except (HttpProcessingError, RequestPayloadError, PayloadAccessError, OSError) as exc:
            raise RequestError("the request body is broken") from exc
        self._size += len(part)
        self._require_size(self._size)
        self._spend(clock() - began, len(part))
        return part

    def _spend(self, waited: float, arrived: int) -> None:
        """Take the wait from the time that is left; what arrived in it earns new time."""
        earned = arrived / self._min_rate if self._min_rate else self._window
        self._left = min(self._left - waited + earned, self._window)

    def _require_size(self, size: int) -> None:
        if self._max_bytes and size > self._max_bytes:
            raise BodyTooLargeError(f"the body is over {self._max_bytes} bytes")

    def _send_continue(self) -> None:
        transport = self._request.transport
        if self._expects_continue and transport is not None and self._request.version >= (1, 1):
            transport.write(_CONTINUE)
        self._expects_continue = False
