"""The token cache many processes share, in Redis; the one door to it.

Rule: Redis is never the reason a request fails. Each call ends within its timeout, a failure is a
miss, and after one Redis is left alone for a while and then asked once.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import OutOfMemoryError, ReadOnlyError, RedisError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from gateway.token_cache.sealing import Opened, SealingKeys

KEY_PREFIX: Final = "bearergate:1:"
MAX_CONNECTIONS: Final = 32
PAUSE: Final = 1.0  # seconds without a question after a failure
REMARK_EVERY: Final = 60.0  # seconds between two warnings about values that do not open

_SCHEMES = ("redis", "rediss", "unix")
_OPTIONS = {
    "redis": {"db"},
    "rediss": {"db", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile"},
    "unix": {"db", "username", "password"},
}
_WRITE_REFUSALS = (OutOfMemoryError, ReadOnlyError)  # reading still works

logger = logging.getLogger("gateway.token_cache")


def read_redis_url(url: str) -> dict[str, Any]:
    """Return the connection a Redis URL names; a ValueError says what is wrong without quoting it.

    Query options are limited to the ones that name a database or certificates, so a URL cannot
    switch certificate verification off or timeouts up.
    """
    try:
        parts = urlsplit(url)
        port_is_readable = parts.port != 0
    except ValueError:
        raise ValueError("it is not a readable URL") from None  # the original quotes the URL
    if parts.scheme not in _SCHEMES:
        raise ValueError("it must begin with redis://, rediss:// or unix://")
    if not port_is_readable or (parts.scheme != "unix" and not parts.hostname):
        raise ValueError("it must name a host, and a port other than 0")
    if parts.scheme == "unix" and (parts.hostname or not parts.path):
        raise ValueError("it must name a socket file: unix:///path/to/socket")
    if parts.fragment or not parse_qs(parts.query).keys() <= _OPTIONS[parts.scheme]:
        allowed = ", ".join(sorted(_OPTIONS[parts.scheme]))
        raise ValueError(f"the only options after its '?' may be {allowed}")
    if parts.scheme != "unix" and not (parts.path.strip("/") or "0").isdecimal():
        raise ValueError("its path may only be a database number")
    try:
        return dict(parse_url(url))
    except ValueError:
        raise ValueError("one of its options is unreadable") from None


class RedisTokenCache:
    """Sealed values in Redis, each under the HMAC of its credential."""

    def __init__(self, client: Redis, keys: SealingKeys, *, timeout: float, pause: float) -> None:
        self._client = client
        self._keys = keys
        self._timeout = timeout
        self._asking = _Outage("Redis", pause)
        self._writing = _Outage("Redis for writing", pause)
        self._remark_at = float("-inf")
        self.failures = 0  # calls that failed or were refused
        self.rejected = 0  # values that did not open: altered, foreign, older or expired

    @classmethod
    def connect(
        cls, url: str, keys: SealingKeys, *, timeout: float = 0.25, pause: float = PAUSE
    ) -> RedisTokenCache:
        """Return the cache at this URL; the first connection is made when it is first asked."""
        pool = BlockingConnectionPool(
            **read_redis_url(url),
            max_connections=MAX_CONNECTIONS,
            timeout=timeout,
            # With one, redis-py sends through asyncio.wait_for, which before Python 3.12 swallows a
            # cancellation that comes as the bytes are out. ``_ask`` bounds the whole call.
            socket_timeout=None,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            protocol=2,  # no HELLO and no push messages
            driver_info=None,  # no CLIENT SETINFO
        )
        return cls(Redis.from_pool(pool), keys, timeout=timeout, pause=pause)

    async def find(self, keys: Sequence[bytes], now: float) -> Opened | None:
        """Return what the first of these keys that holds anything readable holds."""
        values = await self._ask(lambda: self._client.mget(list(map(_name, keys))))
        if not isinstance(values, list):
            return None
        for key, value in zip(keys, values, strict=False):
            if not isinstance(value, bytes):
                continue
            if (opened := self._keys.open(key, value, now)) is not None:
                return opened
            await self._reject()
        return None

    async def store(self, key: bytes, plaintext: bytes, expires_at: float, now: float) -> None:
        """Keep the plaintext sealed until it expires; what has expired is not kept."""
        milliseconds = int((expires_at - now) * 1000)
        if milliseconds <= 0:
            return
        sealed = self._keys.seal(key, plaintext, expires_at)
        await self._ask(lambda: self._client.set(_name(key), sealed, px=milliseconds), writing=True)

    async def ping(self) -> bool:
        """Tell whether Redis answers; False at once while it is left alone."""
        return bool(await self._ask(self._client.ping))

    async def aclose(self) -> None:
        """Close every connection; afterwards nothing may be asked."""
        try:
            await self._client.aclose(close_connection_pool=True)
        except (RedisError, OSError) as exc:
            logger.info("closing the connections to Redis failed: %s", type(exc).__name__)

    async def _ask(self, call: Callable[[], Awaitable[Any]], *, writing: bool = False) -> Any:
        """Make one bounded call; None stands for every failure.

        A cancelled or timed-out call closes its connection (redis-py does it in
        ``read_response``), so no later call can be handed this one's answer (CVE-2023-28858).
        """
        loop = asyncio.get_running_loop()
        if (writing and self._writing.rests(loop.time())) or self._asking.rests(loop.time()):
            return None
        try:
            async with asyncio.timeout(self._timeout):
                answer = await call()
        except _WRITE_REFUSALS as exc:
            self.failures += 1
            self._asking.ended()
            self._writing.failed(loop.time(), exc)
            await self._drop_idle_connections()  # after a failover the name leads elsewhere
            return None
        except Exception as exc:  # noqa: BLE001 - whatever it is, and whatever answers, it is a miss
            self.failures += 1
            self._asking.failed(loop.time(), exc)
            return None
        self._asking.ended()
        if writing:
            self._writing.ended()
        return answer

    async def _reject(self) -> None:
        """Count a value that did not open, and drop the connection it came by."""
        self.rejected += 1
        now = asyncio.get_running_loop().time()
        if now >= self._remark_at:
            self._remark_at = now + REMARK_EVERY
            logger.warning(
                "a value in Redis does not open and is ignored: altered, expired, or written by "
                "another version or with another CACHE_SECRET (%d so far)",
                self.rejected,
            )
        await self._drop_idle_connections()

    async def _drop_idle_connections(self) -> None:
        try:
            await self._client.connection_pool.disconnect(inuse_connections=False)
        except (RedisError, OSError) as exc:
            logger.info("dropping a connection to Redis failed: %s", type(exc).__name__)


class _Outage:
    """When something last failed, said once, and when it may be asked again."""

    def __init__(self, what: str, pause: float) -> None:
        self._what = what
        self._pause = pause
        self._ask_at: float | None = None  # None: it works

    def rests(self, now: float) -> bool:
        """Tell whether it is to be left alone; the first asker after the pause is let through."""
        if self._ask_at is None:
            return False
        if now < self._ask_at:
            return True
        self._ask_at = now + self._pause
        return False

    def failed(self, now: float, exc: Exception) -> None:
        """Begin or prolong the outage. The exception's text is not logged: it may quote a value."""
        if self._ask_at is None:
            logger.warning(
                "%s does not answer (%s); every look-up is a miss until it does",
                self._what,
                type(exc).__name__,
            )
        self._ask_at = now + self._pause

    def ended(self) -> None:
        """End the outage, if there was one."""
        if self._ask_at is not None:
            self._ask_at = None
            logger.info("%s answers again", self._what)


def _name(key: bytes) -> str:
    return KEY_PREFIX + key.hex()
