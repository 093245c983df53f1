"""Redis in trouble, and put right again at the end: each takes a running server."""

from __future__ import annotations

from contextlib import asynccontextmanager

from redis.asyncio import Redis


@asynccontextmanager
async def hanging(redis):
    """Stop it from running while its connections stay open (SIGSTOP)."""
    redis.pause()
    yield
    redis.resume()


@asynccontextmanager
async def crashed(redis):
    """Kill it; it comes back with nothing (kill -9)."""
    redis.stop()
    yield
    redis.start()


@asynccontextmanager
async def locked(redis):
    """Ask for a password nobody was told, and drop who is connected (NOAUTH)."""
    async with Redis(port=redis.port) as client:
        await client.config_set("requirepass", "another")
        await client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        yield
        await client.config_set("requirepass", "")


@asynccontextmanager
async def emptied(redis):
    """Forget everything."""
    async with Redis(port=redis.port) as client:
        await client.flushall()
        yield


@asynccontextmanager
async def spoiled(redis):
    """Put foreign values and values of another type under the gateway's names."""
    async with Redis(port=redis.port) as client:
        for number, key in enumerate(await client.keys("bearergate:*")):
            await client.delete(key)
            await (client.set(key, b"garbage") if number % 2 else client.lpush(key, b"x"))
        yield


@asynccontextmanager
async def full(redis):
    """Take no more memory (OOM)."""
    async with Redis(port=redis.port) as client:
        await client.config_set("maxmemory-policy", "noeviction")
        await client.config_set("maxmemory", "1")
        yield
        await client.config_set("maxmemory", "0")


@asynccontextmanager
async def demoted(redis):
    """Refuse writes as a primary does after a failover (READONLY)."""
    async with Redis(port=redis.port) as client:
        await client.replicaof("127.0.0.1", "1")
        yield
        await client.replicaof("NO", "ONE")
