"""What this process remembers of refused logins: when, by user and by address.

Rule: every table is bounded by entries and by bytes, the least recently used goes first, and none
holds a name or an address.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from gateway.authentication.attempts.decision import Counts, count_recent, network_of
from gateway.token_cache.attempts import AttemptKeys
from gateway.token_cache.memory import MemoryCache

if TYPE_CHECKING:
    from gateway.authentication.attempts.decision import AttemptLimits

MAX_BYTES = 8 * 1024 * 1024  # of each table
_ENTRY_BYTES = 250  # an entry without its times
_TIME_BYTES = 32

Times = tuple[float, ...]


class Ledgers:
    """Three tables: of a user from an address, of a user from everywhere, of an address."""

    def __init__(self, limits: AttemptLimits, key: bytes, max_entries: int) -> None:
        self._limits = limits
        self._key = key
        self.user = MemoryCache[Times](max_entries, MAX_BYTES)
        self.spread = MemoryCache[Times](max_entries, MAX_BYTES)
        self.address = MemoryCache[Times](max_entries, MAX_BYTES)

    def keys(self, user: bytes, address: str) -> AttemptKeys:
        """Return what a login of this user from this address is counted under."""
        network = network_of(address).encode("utf-8", "surrogatepass")
        length = len(user).to_bytes(4, "big")
        return AttemptKeys(
            user=self._digest(b"u" + length + user + network),
            spread=self._digest(b"s" + user),
            address=self._digest(b"a" + network),
        )

    def counts(self, keys: AttemptKeys, now: float) -> Counts:
        """Return when logins counted under these keys were refused."""
        return Counts(
            user=self.user.find(keys.user, now) or (),
            spread=self.spread.find(keys.spread, now) or (),
            address=self.address.find(keys.address, now) or (),
        )

    def record(self, keys: AttemptKeys, now: float) -> None:
        """Remember that a login was refused now."""
        limits = self._limits
        self._add(self.user, keys.user, limits.user, now)
        self._add(self.spread, keys.spread, limits.spread, now)
        self._add(self.address, keys.address, limits.address, now)

    def refusals_of_user(self, key: bytes, now: float) -> int:
        """Return how often this user was refused from this address within the window."""
        return count_recent(self.user.find(key, now) or (), self._limits.window, now)

    def room_of_address(self, key: bytes, now: float) -> int:
        """Return how many logins of this address may still be refused within the window."""
        times = self.address.find(key, now) or ()
        return self._limits.address - count_recent(times, self._limits.window, now)

    def _add(self, table: MemoryCache[Times], key: bytes, limit: int, now: float) -> None:
        before = table.find(key, now) or ()
        times = (*before, now)[-limit:]  # older ones decide nothing
        expires_at = now + self._limits.window
        table.store(key, times, expires_at, _ENTRY_BYTES + _TIME_BYTES * len(times))

    def _digest(self, message: bytes) -> bytes:
        return hmac.digest(self._key, message, "sha256")[:16]
