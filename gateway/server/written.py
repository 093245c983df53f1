"""A response written straight on the caller's connection, past aiohttp's objects."""

from __future__ import annotations

from aiohttp import web


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
