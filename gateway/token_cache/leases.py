"""What a replica holds in Redis only as long as it lives: short leases, prolonged by their holder.

Rule: however long its holder takes, a lease does not run out under it; once its holder is gone,
nobody waits for it longer than one life.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from gateway.token_cache.link import Script

if TYPE_CHECKING:
    from gateway.token_cache.link import Link

LIFE: Final = 5.0  # seconds a lease outlives its holder at most
LONGEST: Final = 60.0  # seconds a lease is prolonged at most
_PROLONGED: Final = 1 / 3  # of its life between two times it is prolonged

# KEYS: lease. ARGV: token, milliseconds.
_PROLONG: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""


class Leases:
    """The leases this process holds; each lives for ``life`` seconds and is prolonged meanwhile.

    None is prolonged for more than ``longest`` seconds.
    """

    def __init__(
        self, link: Link, purpose: str, *, life: float = LIFE, longest: float = LONGEST
    ) -> None:
        self._link = link
        self._script = Script.of(_PROLONG, purpose)
        self._held: dict[str, asyncio.Task[None]] = {}  # what prolongs a lease, by its token
        self.life = life
        self.longest = longest

    @property
    def milliseconds(self) -> int:
        """How long a lease lives, as Redis is told it."""
        return round(self.life * 1000)

    def hold(self, name: str, token: str) -> None:
        """Prolong the lease of this name, whose value is ``token``, until it is let go."""
        self._held[token] = asyncio.create_task(self._prolong(name, token))

    def let_go(self, token: str) -> None:
        """Prolong this lease no more; one that is not held is fine."""
        holding = self._held.pop(token, None)
        if holding is not None:
            holding.cancel()

    async def aclose(self) -> None:
        """Leave the leases that are still held to run out."""
        holding = list(self._held.values())
        self._held.clear()
        for task in holding:
            task.cancel()
        await asyncio.gather(*holding, return_exceptions=True)

    async def _prolong(self, name: str, token: str) -> None:
        """Prolong a lease until it is lost or was held for too long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.longest):
                prolonged = None
                while prolonged != 0:  # None: Redis failed, and may still have the lease later
                    await asyncio.sleep(self.life * _PROLONGED)
                    arguments = (token, self.milliseconds)
                    prolonged = await self._link.run(self._script, (name,), arguments)
