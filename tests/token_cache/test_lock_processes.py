"""One flight among processes (A10): one leads, the others hear; a holder is killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.token_cache.topologies import ask


@pytest.fixture
def url(shared_redis):
    """Return where an empty Redis is."""
    ask(shared_redis, "FLUSHALL")
    return shared_redis.url


@pytest.fixture
async def start_process(url):
    """Return a function that starts a replica in a process of its own, when it listens."""
    children = []

    async def start(name):
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.token_cache.replica_process", url, name, "2"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        children.append(child)
        assert await said(child) == "ready"
        return child

    yield start
    for child in children:
        if child.returncode is None:
            child.kill()
        await child.communicate()


async def told(child, line):
    """Tell a process to go on, and return what it says next."""
    child.stdin.write(line)
    return await said(child)


async def said(child):
    """Return the next line a process says."""
    async with asyncio.timeout(30):
        return (await child.stdout.readline()).decode().strip()


async def test_processes(start_process):
    """A10: of three processes one leads and all end with its outcome."""
    first, *others = [await start_process(name) for name in ("a", "b", "c")]
    assert await told(first, b"go\n") == "leads True"
    assert [await told(child, b"go\n") for child in others] == ["waits", "waits"]

    assert await told(first, b"land\n") == "landed a"
    assert [await said(child) for child in others] == ["heard by a", "heard by a"]


async def test_holder_killed(start_process):
    """A10: the holder is killed with kill -9: when its lease has run out another one leads."""
    holder, heir, third = [await start_process(name) for name in ("a", "b", "c")]
    assert await told(holder, b"go\n") == "leads True"
    assert await told(heir, b"go\n") == "waits"
    holder.kill()
    await holder.wait()

    assert await said(heir) == "leads True"
    assert await told(third, b"go\n") == "waits"
    assert await told(heir, b"land\n") == "landed b"
    assert await said(third) == "heard by b"
