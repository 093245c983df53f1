"""The request sent to an upstream and the response read from it, both as streams of bytes.

Rule: a request of which a byte was sent is never sent again (RFC 9110 §9.2.2).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from gateway.errors import UpstreamError, UpstreamTimeoutError
from gateway.forwarding.chunks import LAST_CHUNK, write_chunk
from gateway.forwarding.pool import DEFAULT_LIMITS, PoolLimits, UpstreamPool
from gateway.forwarding.upgrade import SwitchingConnection
from gateway.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.forwarding.connection import UpstreamConnection
    from gateway.forwarding.headers import ResponseHead
    from gateway.forwarding.upgrade import Handshake
    from gateway.routing import Upstream


class RequestBody(Protocol):
    """A request body that is still arriving."""

    async def next_part(self) -> bytes:
        """Return the next bytes, empty at the end; a body that breaks raises ``GatewayError``."""
        ...


class UpstreamResponse:
    """A response whose head has arrived; read its body, then ``close`` it in any case."""

    __slots__ = ("_connection", "_pool", "_upload", "head")

    def __init__(
        self,
        pool: UpstreamPool,
        connection: UpstreamConnection,
        head: ResponseHead,
        upload: asyncio.Task[None] | None,
    ) -> None:
        self._pool = pool
        self._connection = connection
        self._upload = upload
        self.head = head

    def take_ready(self) -> tuple[bytes, bool]:
        """Return the body bytes that have arrived, and whether they are the last."""
        return self._connection.take_ready()

    async def read(self) -> bytes:
        """Return the next body bytes, empty at the clean end; else raise ``UpstreamError``."""
        return await self._connection.read_body()

    def close(self) -> None:
        """Give the connection back; one with anything unfinished on it is closed."""
        _end(self._upload)
        self._pool.release(self._connection)


class SwitchResponse(UpstreamResponse):
    """The response to a handshake; with a 101 its connection is ready to be handed over."""

    __slots__ = ("connection",)

    def __init__(
        self, pool: UpstreamPool, connection: SwitchingConnection, head: ResponseHead
    ) -> None:
        super().__init__(pool, connection, head, None)
        self.connection = connection


class Forwarder:
    """Sends requests to upstreams, one pool of connections each."""

    def __init__(self, limits: PoolLimits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self.outbox = Outbox(self._loop)
        # By identity: to hash one takes a microsecond. Who is in here lives at least as long.
        self._pools: dict[int, tuple[UpstreamPool, Upstream]] = {}
        self._by_way: dict[tuple[object, ...], UpstreamPool] = {}

    async def forward(
        self,
        upstream: Upstream,
        method: str,
        data: bytes,
        body: RequestBody | None = None,
        *,
        chunked: bool = False,
    ) -> UpstreamResponse:
        """Send ``data``, the head and all of the body that is there, then the rest in ``body``.

        No response raises ``UpstreamError`` or ``UpstreamTimeoutError``; a body that fails raises
        its own ``GatewayError``. The time to answer counts from the end of the request.
        """
        pool = self._pool(upstream)
        timeout = upstream.timeout
        outbox = self.outbox if body is None else None
        connection = pool.find(look=outbox is None)
        if connection is None:
            connection, outbox = await pool.connect(), None
        connection.start(method, data, more=body is not None, outbox=outbox)
        upload = None
        if body is None:
            connection.expect_head_within(timeout)
        else:
            upload = self._begin_upload(connection, body, timeout, chunked=chunked)
        try:
            head = await connection.read_head()
        except BaseException as error:
            failure = _failure(upload) if isinstance(error, UpstreamError) else None
            missed = connection.missed and isinstance(error, UpstreamError)
            _end(upload)
            connection.abort()
            pool.release(connection)
            if missed:
                return await self.forward(upstream, method, data)
            if failure is not None:
                raise failure from None
            raise
        return UpstreamResponse(pool, connection, head, upload)

    async def switch(self, upstream: Upstream, data: bytes, handshake: Handshake) -> SwitchResponse:
        """Send the handshake in ``data``, on a connection of its own, and return the response.

        No response, or a 101 that does not answer the handshake, raises ``UpstreamError``.
        """
        pool = self._pool(upstream)
        connection = await pool.connect_apart(lambda: SwitchingConnection(handshake))
        connection.start("GET", data, more=False)
        connection.expect_head_within(upstream.timeout)
        try:
            head = await connection.read_head()
        except BaseException:
            pool.release(connection)
            raise
        return SwitchResponse(pool, connection, head)

    def keep(self, upstreams: Iterable[Upstream]) -> None:
        """Forget every upstream but these; connections that lead to the same place are kept."""
        kept = {id(each): each.way for each in upstreams}
        self._pools = {key: known for key, known in self._pools.items() if key in kept}
        for way in self._by_way.keys() - kept.values():
            if not self._by_way[way].busy:
                self._by_way.pop(way).close()

    def close(self) -> None:
        """Close every connection at once."""
        for pool in self._by_way.values():
            pool.close()

    def _pool(self, upstream: Upstream) -> UpstreamPool:
        known = self._pools.get(id(upstream))
        if known is not None:
            return known[0]
        pool = self._by_way.get(upstream.way) or self._open_pool(upstream)
        self._by_way[upstream.way] = pool
        self._pools[id(upstream)] = pool, upstream
        return pool

    def _open_pool(self, upstream: Upstream) -> UpstreamPool:
        return UpstreamPool(upstream, connect_timeout=upstream.connect_timeout, limits=self._limits)

    def _begin_upload(
        self, connection: UpstreamConnection, body: RequestBody, within: float, *, chunked: bool
    ) -> asyncio.Task[None]:
        sending = self._send_body(connection, body, within, chunked=chunked)
        upload = self._loop.create_task(sending)
        upload.add_done_callback(_failure)
        return upload

    async def _send_body(
        self, connection: UpstreamConnection, body: RequestBody, within: float, *, chunked: bool
    ) -> None:
        """Send the rest of the request; any failure closes the connection unfinished."""
        try:
            while data := await body.next_part():
                await _write(connection, write_chunk(data) if chunked else data, within)
            if chunked:
                await _write(connection, LAST_CHUNK, within)
        except UpstreamError as error:
            connection.fail(error)
        except BaseException:
            connection.abort()
            raise
        else:
            connection.sent()
            connection.expect_head_within(within)


async def _write(connection: UpstreamConnection, data: bytes, within: float) -> None:
    try:
        async with asyncio.timeout(within):
            await connection.write(data)
    except TimeoutError:
        raise UpstreamTimeoutError("the upstream does not read the request") from None


def _failure(upload: asyncio.Task[None] | None) -> BaseException | None:
    """Return why the request body could not be sent, if that was the caller's doing."""
    if upload is None or not upload.done() or upload.cancelled():
        return None
    return upload.exception()


def _end(upload: asyncio.Task[None] | None) -> None:
    if upload is not None and not upload.done():
        upload.cancel()
