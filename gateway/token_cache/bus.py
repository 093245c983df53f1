"""Messages between the replicas of a gateway, over Redis publish and subscribe.

Rule: a message is a hint that comes soon, once, or not at all; whoever listens also looks for
itself (``on_gap``). It is sealed, so writing to Redis is not enough to send one.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from gateway.token_cache.redis import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from redis.asyncio.connection import AbstractConnection

    from gateway.token_cache.link import Link
    from gateway.token_cache.sealing import SealingKeys

    Callback = Callable[[str, bytes], None]
    Gap = Callable[[], Awaitable[None]]

MESSAGE_LIFE: Final = 30.0  # seconds a message may be on its way, clocks included
HEARTBEAT: Final = 10.0  # seconds of silence after which the connection is tried
BACKOFF_MAX: Final = 10.0
CONNECTING: Final = 2.0  # seconds for connecting and subscribing
REMARK_EVERY: Final = 60.0  # seconds between two warnings about messages that do not open
LOOK_EVERY: Final = 1.0  # seconds between two looks because of them
FIRST_TRY: Final = 0.5  # seconds a start waits for the first connection
_PREFIX: Final = NAMESPACE + "bus:"

logger = logging.getLogger("gateway.token_cache")


class Bus:
    """Publishes and listens, on a connection of its own; an async context manager."""

    def __init__(
        self,
        link: Link,
        keys: SealingKeys,
        *,
        heartbeat: float = HEARTBEAT,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._link = link
        self._keys = keys
        self._heartbeat = heartbeat
        self._now = now
        self._callbacks: dict[str, Callback] = {}
        self._gaps: list[Gap] = []
        self._tried = asyncio.Event()
        self._remark_at = self._look_at = float("-inf")
        self._listener: asyncio.Task[None] | None = None
        self.connected = False  # whether messages arrive

    def subscribe(self, prefix: str, callback: Callback) -> None:
        """Have ``callback(channel, payload)`` called for each message; it must not block.

        Subscribe before the bus is started.
        """
        self._callbacks[prefix] = callback

    def on_gap(self, callback: Gap) -> None:
        """Have this called whenever messages may have been missed, and at each heartbeat."""
        self._gaps.append(callback)

    async def publish(self, channel: str, payload: bytes) -> bool:
        """Send a message to every replica, this one too; tell whether Redis took it."""
        return await self._link.publish(self.name_of(channel), self.seal(channel, payload))

    def name_of(self, channel: str) -> str:
        """Return the channel's name in Redis."""
        return _PREFIX + channel

    def seal(self, channel: str, payload: bytes) -> bytes:
        """Return the message as it travels; it opens on this channel only, and for a while."""
        return self._keys.seal(_context(channel), payload, self._now() + MESSAGE_LIFE)

    async def __aenter__(self) -> Self:
        """Begin to listen; wait a little for the first connection."""
        self._listener = asyncio.create_task(self._listen())
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_TRY):
                await self._tried.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._listener is not None:
            self._listener.cancel()
            with suppress(asyncio.CancelledError):
                await self._listener

    async def _listen(self) -> None:
        """Stay connected, for ever."""
        failed = 0
        while True:
            try:
                await self._listen_once()
            except Exception as exc:  # noqa: BLE001 - whatever it was, the answer is to come back
                if self.connected or not self._tried.is_set():
                    logger.warning("the message bus is gone (%s)", type(exc).__name__)
                failed = 0 if self.connected else failed + 1
            self.connected = False
            await self._mind_the_gap()  # Redis itself may answer
            self._tried.set()
            await asyncio.sleep(min(BACKOFF_MAX, 0.1 * 2**failed) * random.uniform(0.5, 1))  # noqa: S311 - spreads reconnections, no secret

    async def _listen_once(self) -> None:
        """Connect, subscribe and deliver until something breaks."""
        node = await self._link.listening_node()
        if node is None:
            raise ConnectionError("no node to listen at")
        pool = node.client.connection_pool
        async with asyncio.timeout(CONNECTING):
            connection = await pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py
        try:
            async with asyncio.timeout(CONNECTING):
                # One pattern, so that an ACL can allow it: there it must be named as it is here.
                await connection.send_command("PSUBSCRIBE", _PREFIX + "*")
                await connection.read_response()
            self.connected = True
            logger.info("the message bus is connected")
            await self._mind_the_gap()
            self._tried.set()
            while True:
                await self._deliver(connection)
        finally:
            await connection.disconnect(nowait=True)
            await pool.release(connection)

    async def _deliver(self, connection: AbstractConnection) -> None:
        """Deliver the next message, or find out whether the connection still works."""
        received = await connection.read_response(
            timeout=self._heartbeat, disconnect_on_error=False
        )
        if received is None:
            await connection.send_command("PING")
            async with asyncio.timeout(CONNECTING):
                received = await connection.read_response()
            await self._mind_the_gap()
        match received:
            case [b"pmessage", _, bytes(name), bytes(sealed)] if not self._hand_over(name, sealed):
                await self._reject()

    def _hand_over(self, name: bytes, sealed: bytes) -> bool:
        """Give a message to who subscribed; tell whether it opened."""
        channel = name.decode("ascii", "replace").removeprefix(_PREFIX)
        opened = self._keys.open(_context(channel), sealed, self._now())
        for prefix, callback in self._callbacks.items():
            if opened is not None and channel.startswith(prefix):
                callback(channel, opened.plaintext)
        return opened is not None

    async def _reject(self) -> None:
        """Look what a message may have said that does not open.

        It may be from a replica that has the next CACHE_SECRET already, or from nobody.
        """
        now = asyncio.get_running_loop().time()
        if now >= self._remark_at:
            self._remark_at = now + REMARK_EVERY
            logger.warning(
                "a message on the bus does not open and is ignored: made up, on its way for more "
                "than %g s, or sealed with another CACHE_SECRET",
                MESSAGE_LIFE,
            )
        if now >= self._look_at:
            self._look_at = now + LOOK_EVERY
            await self._mind_the_gap()

    async def _mind_the_gap(self) -> None:
        for callback in self._gaps:
            await callback()


def _context(channel: str) -> bytes:
    return b"bus:" + channel.encode()
