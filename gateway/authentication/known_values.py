"""``Authorization`` values that were read before, and the cache keys they led to.

Rule: a value is known by a keyed hash of it and never kept, and it only leads to a key. Whether
something is still kept under that key is asked each time.
"""

from __future__ import annotations

import hashlib
import os


class KnownValues:
    """Field values that led to a principal, by BLAKE2b under a key of this process (RFC 7693)."""

    __slots__ = ("_keys", "_max_values", "_state")

    def __init__(self, max_values: int) -> None:
        self._max_values = max_values
        self._state = hashlib.blake2b(key=os.urandom(32), digest_size=16)
        self._keys: dict[bytes, bytes] = {}

    def hash(self, value: bytes) -> bytes:
        """Return what ``value`` is known by."""
        state = self._state.copy()
        state.update(value)
        return state.digest()

    def find(self, hashed: bytes) -> bytes | None:
        """Return the cache key the value led to."""
        return self._keys.get(hashed)

    def keep(self, hashed: bytes, key: bytes) -> None:
        """Remember where the value led; when there are too many, all others are forgotten."""
        if len(self._keys) >= self._max_values:
            self._keys.clear()
        self._keys[hashed] = key

    def discard(self, hashed: bytes) -> None:
        """Forget the value."""
        self._keys.pop(hashed, None)

    def clear(self) -> None:
        """Forget every value."""
        self._keys.clear()

    def __len__(self) -> int:
        return len(self._keys)
