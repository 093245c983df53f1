"""A replica in a process of its own, for tests that kill it: `python -m … URL NAME LIFE`.

It says ``ready``, waits for a line, then leads or waits for one flight and says so and what came of
it; who leads lands after another line.
"""

from __future__ import annotations

import asyncio
import sys

from gateway.token_cache.bus import Bus
from gateway.token_cache.link import Link
from gateway.token_cache.lock import SharedFlights
from gateway.token_cache.sealing import SealingKeys

KEY = b"k" * 32


async def fly(flights: SharedFlights, name: str) -> str:
    """Lead the flight, or wait for it until there is an outcome."""
    while True:
        lease = await flights.lead(KEY)
        if lease is not None:
            say(f"leads {lease.shared}")
            await asyncio.to_thread(sys.stdin.readline)
            await lease.land(f"by {name}".encode())
            return f"landed {name}"
        say("waits")
        outcome = await flights.wait(KEY)
        if outcome is not None:
            return f"heard {outcome.decode()}"


def say(line: str) -> None:
    """Tell the test."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main(url: str, name: str, life: str) -> None:
    """Take part in one flight."""
    keys = SealingKeys([b"n" * 32])
    link = Link.connect(url, timeout=5.0)
    bus = Bus(link, keys)
    flights = SharedFlights(link, bus, keys, life=float(life))
    async with bus:
        say("ready")
        await asyncio.to_thread(sys.stdin.readline)
        say(await fly(flights, name))
    await link.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
