"""The token cache of one process: bounded by entries and by bytes, least recently used goes first.

Rule: its values live and die with the process. They are not pickled, and a forked child starts
without them.
"""

from __future__ import annotations

import os
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

if TYPE_CHECKING:
    from collections.abc import Collection

V = TypeVar("V")


class MemoryCache(Generic[V]):
    """Values under keys until they expire."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        if max_entries < 1 or max_bytes < 1:
            raise ValueError("a memory cache holds at least one entry of one byte")
        self.max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: OrderedDict[bytes, tuple[V, float, int, tuple[bytes, ...]]] = OrderedDict()
        self._bytes = 0
        _CACHES.add(self)

    def find(self, key: bytes, now: float) -> V | None:
        """Return what is kept under the key, or None; an expired entry is forgotten."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if now >= entry[1]:
            self.discard(key)
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def store(
        self,
        key: bytes,
        value: V,
        expires_at: float,
        size: int,
        owners: tuple[bytes, ...] = (),
    ) -> None:
        """Keep the value in place of the one before; ``size`` is what it weighs in bytes.

        One that alone weighs more than the whole cache may hold is not kept. ``owners`` are the
        pseudonyms of its user, for ``discard_owners``.
        """
        self.discard(key)
        if size > self._max_bytes:
            return
        self._entries[key] = (value, expires_at, size, owners)
        self._bytes += size
        while self._bytes > self._max_bytes or len(self._entries) > self.max_entries:
            self._bytes -= self._entries.popitem(last=False)[1][2]

    def discard(self, key: bytes) -> None:
        """Forget what is kept under the key, if anything is."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry[2]

    def discard_owners(self, owners: Collection[bytes]) -> list[tuple[bytes, V]]:
        """Forget what is kept for a user and return it, each value with its key."""
        gone = [
            (key, entry[0]) for key, entry in self._entries.items() if set(entry[3]) & set(owners)
        ]
        for key, _ in gone:
            self.discard(key)
        return gone

    def clear(self) -> list[tuple[bytes, V]]:
        """Forget everything and return it, each value with its key."""
        gone = [(key, entry[0]) for key, entry in self._entries.items()]
        self._entries.clear()
        self._bytes = 0
        return gone

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} entries={len(self._entries)} bytes={self._bytes}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a memory cache is not pickled")


_CACHES: weakref.WeakSet[MemoryCache[Any]] = weakref.WeakSet()


def _forget_in_child() -> None:  # pragma: no cover - runs in the child alone
    for cache in _CACHES:
        cache.clear()


if hasattr(os, "register_at_fork"):  # pragma: no branch - there is no fork on Windows
    os.register_at_fork(after_in_child=_forget_in_child)
