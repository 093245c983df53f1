"""The Redis servers of one address: a single one, a primary behind Sentinel, or a cluster's nodes.

Rule: redis-py speaks the protocol and nothing more. It never retries, sleeps or follows; when to
ask whom, and how long, is decided in ``link``.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    MasterNotFoundError,
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from gateway.token_cache.outage import Outage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.token_cache.address import RedisAddress

MAX_CONNECTIONS: Final = 32
_SPARE: Final = 4  # beside those of calls: the listener's, and what is being closed


class Node:
    """One server, or one name that leads to it, and what is known to be broken about it."""

    def __init__(self, client: Redis, name: str, timeout: float, pause: float) -> None:
        self.client = client
        self.name = name
        self._timeout = timeout
        self._pause = pause
        self._refusals: dict[str, Outage] = {}
        self.outage = Outage(name, pause)

    def refusal(self, purpose: str) -> Outage:
        """Return the outage of one use of a server that otherwise answers."""
        found = self._refusals.get(purpose)
        if found is None:
            found = self._refusals[purpose] = Outage(f"{self.name} for {purpose}", self._pause)
        return found

    async def drop_idle(self) -> None:
        """Close the connections nobody uses, within the timeout."""
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(self._timeout):
                await self.client.connection_pool.disconnect(inuse_connections=False)

    async def aclose(self) -> None:
        """Close every connection, within the timeout."""
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(self._timeout):
                await self.client.aclose(close_connection_pool=True)


def connection_options(timeout: float) -> dict[str, Any]:
    """Return what every connection has in common."""
    return {
        "max_connections": MAX_CONNECTIONS + _SPARE,
        # With one, redis-py sends through asyncio.wait_for, which before Python 3.12 swallows a
        # cancellation that comes as the bytes are out. ``Link`` bounds the whole call.
        "socket_timeout": None,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,  # no HELLO and no push messages
        "driver_info": None,  # no CLIENT SETINFO
    }


def direct(options: Mapping[str, Any], timeout: float, *place: tuple[str, int]) -> Redis:
    """Return a client of one server, not yet connected; a socket file is in the options."""
    given = {**connection_options(timeout), **options}
    for host, port in place:
        given.update(host=host, port=port)
    given.setdefault("connection_class", Connection)
    return Redis.from_pool(ConnectionPool(**given))


async def ask(client: Redis, *arguments: Any) -> Any:
    """Return the answer to one command."""
    return await client.execute_command(*arguments)  # type: ignore[no-untyped-call]  # redis-py's


def through_sentinel(address: RedisAddress, timeout: float) -> Redis:
    """Return a client of whatever the sentinels call the primary when it connects."""
    options = {**connection_options(timeout), **address.options}
    encrypted = options.pop("connection_class", Connection) is SSLConnection
    sentinels = _Sentinels(
        [direct(address.sentinel_options, timeout, place) for place in address.nodes]
    )
    pool = _SentinelPool(  # type: ignore[no-untyped-call]  # redis-py's constructor
        address.master,
        sentinels,
        connection_class=SentinelManagedSSLConnection if encrypted else SentinelManagedConnection,
        **options,
    )
    return Redis.from_pool(pool)


class _Sentinels(Sentinel):
    """Sentinels, asked all at once: one that hangs does not use up the time of the call."""

    def __init__(self, clients: list[Redis]) -> None:
        super().__init__([])  # type: ignore[no-untyped-call]  # redis-py's constructor
        self.sentinels = clients

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """Return the address of the primary by the first sentinel that knows it."""
        asked = [
            asyncio.ensure_future(
                ask(sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", service_name)
            )
            for sentinel in self.sentinels
        ]
        try:
            for answer in asyncio.as_completed(asked):
                with suppress(RedisError, OSError, ValueError, TypeError):
                    host, port = await answer
                    return host.decode(), int(port)
        finally:
            for each in asked:
                each.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        raise MasterNotFoundError("no sentinel names a primary")


class _SentinelPool(SentinelConnectionPool):
    """Connections to the primary; closing it closes those to the sentinels too."""

    async def aclose(self) -> None:
        """Close everything."""
        await super().aclose()
        await self.sentinel_manager.aclose()
