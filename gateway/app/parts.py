"""What a gateway is made of, opened once for each set of settings and kept as long as it is used.

Rule: a part whose settings are the same after a reload is the same part, with all it has learned.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping

    from gateway.settings import Settings

    Key = tuple[Hashable, ...]  # the kind of part first

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Part:
    value: object
    stack: AsyncExitStack


class Parts:
    """The parts that are open; each key stands for what one is made of."""

    def __init__(self) -> None:
        self._parts: dict[Key, _Part] = {}
        self._used: set[Key] = set()

    def begin(self) -> None:
        """Begin to note which parts are used."""
        self._used = set()

    async def obtain(self, key: Key, open_part: Callable[[AsyncExitStack], Awaitable[T]]) -> T:
        """Return the part under this key; ``open_part`` makes one where there is none."""
        self._used.add(key)
        part = self._parts.get(key)
        if part is None:
            async with AsyncExitStack() as stack:
                value = await open_part(stack)
                part = self._parts[key] = _Part(value, stack.pop_all())
        return cast("T", part.value)

    @property
    def used(self) -> frozenset[Key]:
        """What was used since ``begin``."""
        return frozenset(self._used)

    @property
    def keys(self) -> frozenset[Key]:
        """What is open."""
        return frozenset(self._parts)

    async def close_kind(self, kind: str) -> None:
        """Close the parts of this kind."""
        await self.close([key for key in self._parts if key[0] == kind])

    async def close(self, keys: Iterable[Key] | None = None) -> None:
        """Close these parts, or all, the last one opened first."""
        chosen = set(self._parts if keys is None else keys)
        for key in [key for key in reversed(self._parts) if key in chosen]:
            await self._parts.pop(key).stack.aclose()


def made_of(settings: Settings, fields: Iterable[str], *more: Hashable) -> Key:
    """Return a key that two settings share if these fields and ``more``, the kind, are the same."""
    return (*more, *((name, _frozen(getattr(settings, name))) for name in fields))


def _frozen(value: Any) -> Hashable:
    if isinstance(value, Path):  # a file with another content is another setting
        with suppress(OSError):
            status = value.stat()
            return (value, status.st_mtime_ns, status.st_size, status.st_ino)
    if isinstance(value, dict):
        members: Mapping[Any, Any] = value
        return tuple((name, _frozen(each)) for name, each in members.items())
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value
