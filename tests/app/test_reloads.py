"""Parts of the gateway that SIGHUP renews."""

from __future__ import annotations

import asyncio

from gateway.app.reloads import Reloads
from gateway.errors import ConfigurationError


class Part:
    """Something that can be renewed, and counts how often it was."""

    def __init__(self, error=None):
        self.times = 0
        self.go = asyncio.Event()
        self.go.set()
        self._error = error

    async def reload(self):
        """Renew it, when ``go`` is set."""
        self.times += 1
        await self.go.wait()
        if self._error is not None:
            raise self._error


def messages(lines):
    """Return level and message of each line."""
    return [(line["level"], line["message"]) for line in lines]


async def test_every_part(written):
    """Each part is renewed, also after one that cannot be, and each says how it went."""
    parts = [
        Part(ConfigurationError("one\ntwo")),
        Part(RuntimeError("CANARY")),
        Part(),
    ]
    reloads = Reloads()
    for number, part in enumerate(parts):
        reloads.add(f"part {number}", part.reload)

    reloads.start()
    await reloads.aclose()

    assert [1, 1, 1] == [part.times for part in parts]
    assert messages(written()) == [
        ("error", "part 0 is not reloaded, what was there stays: one"),
        ("error", "part 0 is not reloaded, what was there stays: two"),
        ("error", "part 1 is not reloaded, what was there stays"),
        ("info", "part 2 is reloaded"),
    ]


async def test_asked_again_meanwhile():
    """Asked any number of times while it is under way, it is done once more."""
    part = Part()
    part.go.clear()
    reloads = Reloads()
    reloads.add("part", part.reload)
    reloads.start()
    await asyncio.sleep(0)

    for _ in range(3):
        reloads.start()
    part.go.set()
    await reloads.aclose()

    assert 2 == part.times


async def test_nothing_to_renew(written):
    """Without anything to renew that is what the log says."""
    reloads = Reloads()
    reloads.start()
    await reloads.aclose()

    assert messages(written()) == [("info", "SIGHUP: there is nothing to reload")]
