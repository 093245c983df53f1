"""A response written, or cut, straight on the caller's connection, past aiohttp's objects."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    import asyncio

_NO_LINGER = struct.pack("ii", 1, 0)


class Written(web.StreamResponse):
    """What aiohttp is told about a response that has been written already.

    ``cause`` says why it was cut, if it was.
    """

    def __init__(self, *, keep_alive: bool, cause: str | None = None) -> None:
        # The base class is not initialised: it would build header fields nobody reads.
        self.cause = cause
        self._stays_open = keep_alive

    @property
    def keep_alive(self) -> bool:
        """Whether the connection may carry another request."""
        return self._stays_open

    def force_close(self) -> None:
        """Let the connection end after this response."""
        self._stays_open = False

    async def prepare(self, request: web.BaseRequest) -> None:
        """Do nothing: the head has been written."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: the body has been written."""


def reset(transport: asyncio.Transport) -> None:
    """End the connection with a TCP reset.

    A body that lasts until the close has no other way to be seen cut short (RFC 9112 §8).
    """
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()
