"""One login for one credential among many replicas: who flies, and what the others hear of it.

Rule: it saves calls and decides nothing. Whatever goes wrong with Redis, each replica logs in
by itself, and a holder that dies is waited for no longer than its lease lives.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gateway.token_cache.leases import LIFE, LONGEST, Leases
from gateway.token_cache.link import LOCKING, Command, Script
from gateway.token_cache.redis import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.token_cache.bus import Bus
    from gateway.token_cache.ledger import Ticket
    from gateway.token_cache.link import Link
    from gateway.token_cache.sealing import SealingKeys

CHANNEL: Final = "flight:"
OUTCOME_LIFE: Final = 5.0  # seconds an outcome can be read after it was published
POLL_CONNECTED: Final = 1.0  # seconds between two looks while the bus says when to look
POLL_ALONE: Final = 0.1  # and while it does not
_GONE: Final = -2  # what PTTL says of a key that is not there

# The outcome of the flight before goes with the new lease, so nobody waits for one and reads the
# other. KEYS: lease, outcome. ARGV: token, milliseconds.
_LEAD: Final = Script.of(
    """
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  redis.call('DEL', KEYS[2])
  return 1
end
return 0
""",
    LOCKING,
)
# KEYS: lease, outcome. ARGV: token, sealed outcome or nothing, milliseconds, channel, message.
_LAND: Final = Script.of(
    """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])
if ARGV[2] ~= '' then
  redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
end
redis.call('PUBLISH', ARGV[4], ARGV[5])
return 1
""",
    LOCKING,
)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to log in for a credential; not ``shared`` where Redis could not be asked."""

    flights: SharedFlights = field(repr=False)
    name: str
    shared: bool
    token: str = field(repr=False)

    async def land(self, outcome: bytes) -> None:
        """End the flight and tell everybody who waits what came of it, good or bad."""
        if self.shared:
            await self.flights.land(self, outcome)

    async def abandon(self) -> None:
        """End the flight without an outcome: of those who wait, one may lead."""
        if self.shared:
            await self.flights.land(self, None)


class SharedFlights:
    """The flights of every replica.

    A lease lives for ``life`` seconds and is prolonged while its holder lives, for ``longest``
    seconds at most.
    """

    def __init__(
        self,
        link: Link,
        bus: Bus,
        keys: SealingKeys,
        *,
        life: float = LIFE,
        longest: float = LONGEST,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._link = link
        self._bus = bus
        self._keys = keys
        self._leases = Leases(link, LOCKING, life=life, longest=longest)
        self._now = now
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._overdue: set[str] = set()  # leases seen to outlive what a lease may live
        bus.subscribe(CHANNEL, self._wake)

    def allow(self, longest: float) -> None:
        """Let flights last for so many seconds, if it was less before."""
        self._leases.longest = max(self._leases.longest, longest)

    async def lead(self, key: bytes, ticket: Ticket | None = None) -> Lease | None:
        """Return the lease of this flight; None when another replica has it.

        Where Redis fails the lease is not shared: this replica goes alone. With a ticket, flights
        begun before and after a purge are different ones.
        """
        name = _name(key, ticket)
        token = os.urandom(16).hex()
        if name in self._overdue:
            self._overdue.discard(name)
            return Lease(self, name, shared=False, token=token)
        taken = await self._link.run(_LEAD, _keys_of(name), (token, self._leases.milliseconds))
        if taken == 0:
            return None
        if taken == 1:
            self._leases.hold(_keys_of(name)[0], token)
        return Lease(self, name, shared=taken == 1, token=token)

    async def wait(self, key: bytes, ticket: Ticket | None = None) -> bytes | None:
        """Return the outcome of the flight another replica leads.

        None when it ended without one, its lease ran out, or Redis failed: then ask for the lease
        again.
        """
        name = _name(key, ticket)
        landed = asyncio.Event()
        self._waiting.setdefault(name, set()).add(landed)  # before asking, so nothing is missed
        try:
            return await self._wait(name, landed)
        finally:
            waiting = self._waiting[name]
            waiting.discard(landed)
            if not waiting:
                del self._waiting[name]

    async def _wait(self, name: str, landed: asyncio.Event) -> bytes | None:
        lease, outcome = _keys_of(name)
        # In this order: a lease that is gone by the first has its outcome by the second.
        asked = [Command(lease, ("PTTL", lease)), Command(outcome, ("GET", outcome))]
        clock = asyncio.get_running_loop().time
        latest = clock() + self._leases.longest + self._leases.life
        while True:
            landed.clear()
            answers = await self._link.send(asked, LOCKING)
            if answers is None:
                return None
            found = self._open(name, answers[1])
            left = answers[0] if isinstance(answers[0], int) else _GONE
            if found is not None or left == _GONE:
                return found
            if clock() >= latest:
                self._overdue.add(name)
                return None
            poll = POLL_CONNECTED if self._bus.connected else POLL_ALONE
            ends_in = left / 1000 if left >= 0 else poll  # negative: it has no end
            soonest = min(poll, latest - clock(), ends_in)
            with suppress(TimeoutError):
                async with asyncio.timeout(soonest + 0.001):
                    await landed.wait()

    async def land(self, lease: Lease, outcome: bytes | None) -> None:
        """Give the lease back and publish the outcome; nothing if the lease ran out meanwhile."""
        self._leases.let_go(lease.token)
        sealed = b""
        if outcome is not None:
            expires_at = self._now() + OUTCOME_LIFE
            sealed = self._keys.seal(_context(lease.name), outcome, expires_at)
        channel = CHANNEL + lease.name
        message = (self._bus.name_of(channel), self._bus.seal(channel, b""))
        arguments = (lease.token, sealed, int(OUTCOME_LIFE * 1000), *message)
        await self._link.run(_LAND, _keys_of(lease.name), arguments)

    async def aclose(self) -> None:
        """Leave the leases that are still held to run out."""
        await self._leases.aclose()

    def _open(self, name: str, sealed: object) -> bytes | None:
        """Return a sealed outcome; one that does not open is as if it were not there."""
        if not isinstance(sealed, bytes):
            return None
        opened = self._keys.open(_context(name), sealed, self._now())
        return None if opened is None else opened.plaintext

    def _wake(self, channel: str, _: bytes) -> None:
        for landed in self._waiting.get(channel.removeprefix(CHANNEL), ()):
            landed.set()


def _name(key: bytes, ticket: Ticket | None) -> str:
    mark = b"" if ticket is None or ticket.mark is None else ticket.mark
    return hashlib.sha256(b"flight\0" + key + mark).hexdigest()


def _keys_of(name: str) -> tuple[str, str]:
    """Return the names of lease and outcome; the braces keep both on one node of a cluster."""
    return f"{NAMESPACE}f:{{{name}}}:lease", f"{NAMESPACE}f:{{{name}}}:outcome"


def _context(name: str) -> bytes:
    return b"flight:" + name.encode()
