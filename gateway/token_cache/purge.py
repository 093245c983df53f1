"""Forgetting on request: everything, or what is kept for one user, on every replica.

Rule: a purge counts from the moment Redis knows of it. Values from before no longer open, however
long the tidying takes, and a replica that did not hear of it finds out as soon as it listens again.
"""

from __future__ import annotations

import json
import logging
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from gateway.metrics import PURGED
from gateway.token_cache.link import READING, WRITING, Command
from gateway.token_cache.redis import (
    EPOCH,
    KEY_PREFIX,
    MARK_BYTES,
    NAMESPACE,
    OWNER_PREFIX,
    PURGED_PREFIX,
    PURGES,
    SLACK,
    name_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

    from gateway.token_cache.bus import Bus
    from gateway.token_cache.ledger import PurgeLedger
    from gateway.token_cache.memory import MemoryCache
    from gateway.token_cache.redis import RedisTokenCache

    OnPurged = Callable[[Sequence["PurgedEntry"]], Awaitable[None]]

CHANNEL: Final = "purge:"
BATCH: Final = 200
KEY_BYTES: Final = 32
_NOTE_BYTES: Final = 16  # of a note of a purge: random, so that none comes twice

logger = logging.getLogger("gateway.token_cache")


@dataclass(frozen=True, slots=True)
class PurgedEntry:
    """One entry that is gone: what Redis held and what this process' memory held of it."""

    key: bytes
    stored: bytes | None = field(default=None, repr=False)
    kept: object | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class PurgeResult:
    """How many entries are gone; not ``complete`` when other replicas may not know of it."""

    purged: int
    complete: bool


class Purger:
    """Purges memory and Redis, and hears of the purges of other replicas.

    ``memories`` count as entries, ``others`` go along. ``owners`` gives the pseudonyms of a user's
    name. ``on_purged`` gets the entries a purge made here has removed; it may be set later.
    """

    def __init__(
        self,
        ledger: PurgeLedger,
        memories: Sequence[MemoryCache[Any]],
        *,
        owners: Callable[[str], tuple[bytes, ...]],
        others: Sequence[MemoryCache[Any]] = (),
        redis: RedisTokenCache | None = None,
        bus: Bus | None = None,
        on_purged: OnPurged | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._ledger = ledger
        self._memories = memories
        self._owners = owners
        self._others = others
        self._listeners: list[Callable[[tuple[bytes, ...] | None], None]] = []
        self._redis = redis
        self._bus = bus
        self.on_purged = on_purged
        self._now = now
        self._known: bytes | None = None  # the note of the latest purge this process took part in
        if bus is not None:
            bus.subscribe(CHANNEL, self._hear)
            bus.on_gap(self._look)

    def also(self, listener: Callable[[tuple[bytes, ...] | None], None]) -> None:
        """Call ``listener`` with the pseudonyms of who is purged here, ``None`` for everybody."""
        self._listeners.append(listener)

    async def purge(self, user: str | None) -> PurgeResult:
        """Forget what is kept for the user of this name; without one, everything."""
        return await self._purge(None if user is None else self._owners(user))

    async def forget(self, user: str | None) -> int:
        """Forget what this process alone keeps; return how many entries. Somebody else purges."""
        gone = self._drop(None if user is None else self._owners(user))
        PURGED.inc(len(gone))
        if gone and self.on_purged is not None and self._redis is None:
            await self.on_purged(list(gone.values()))
        return len(gone)

    async def _purge(self, owners: tuple[bytes, ...] | None) -> PurgeResult:
        complete = self._redis is None or await self._announce(owners)
        gone = self._drop(owners)
        if self._redis is not None:
            async for entry in self._tidy(self._redis, owners):
                kept = gone.get(entry.key)
                gone[entry.key] = PurgedEntry(entry.key, entry.stored, kept and kept.kept)
        PURGED.inc(len(gone))
        logger.info(
            "purged %d entries of %s", len(gone), "everybody" if owners is None else "a user"
        )
        if gone and self.on_purged is not None:
            await self.on_purged(list(gone.values()))
        return PurgeResult(len(gone), complete)

    async def _announce(self, owners: tuple[bytes, ...] | None) -> bool:
        """Make what is stored unreadable and tell the replicas; tell whether both were done."""
        assert self._redis is not None  # noqa: S101 - for the type checker
        note = os.urandom(_NOTE_BYTES)
        if owners is None:
            commands = [Command(EPOCH, ("SET", EPOCH, note))]
        else:
            life = int(self._redis.ttl_max + 2 * SLACK)
            names = [PURGED_PREFIX + owner.hex() for owner in owners]
            commands = [Command(name, ("SET", name, note, "EX", life)) for name in names]
        commands.append(Command(PURGES, ("GETSET", PURGES, note)))
        answers = await self._redis.link.send(commands, WRITING)
        if answers is None:
            return False
        before = answers[-1] if isinstance(answers[-1], bytes) else b""
        if before == self._known:
            self._known = note
        if self._bus is None:
            return True
        return await self._bus.publish(CHANNEL, _write(before, note, owners))

    def _drop(self, owners: tuple[bytes, ...] | None) -> dict[bytes, PurgedEntry]:
        """Drop what this process has in memory, and what logins under way would add to it."""
        if owners is None:
            self._ledger.note_all()
        else:
            self._ledger.note(owners)
        for memory in self._others:
            _forget(memory, owners)
        for listener in self._listeners:
            listener(owners)
        return {
            key: PurgedEntry(key, kept=value)
            for memory in self._memories
            for key, value in _forget(memory, owners)
        }

    async def _tidy(
        self, redis: RedisTokenCache, owners: tuple[bytes, ...] | None
    ) -> AsyncIterator[PurgedEntry]:
        """Remove from Redis what no longer opens anyway; yield each entry that was there."""
        found = _everything(redis) if owners is None else _of_owners(redis, owners)
        async for names in found:
            for start in range(0, len(names), BATCH):
                async for entry in self._remove(redis, names[start : start + BATCH]):
                    yield entry

    async def _remove(
        self, redis: RedisTokenCache, names: Sequence[str]
    ) -> AsyncIterator[PurgedEntry]:
        values: Sequence[bytes | None] | None = None
        if self.on_purged is not None:
            values = await redis.link.find(names)
        commands = [Command(name, ("UNLINK", name)) for name in names]
        removed = await redis.link.send(commands, WRITING) or []
        for name, value, was_there in zip(
            names, values or [None] * len(names), removed, strict=False
        ):
            key = _key_of(name)
            if key is not None and was_there == 1:
                yield PurgedEntry(key, stored=self._open(redis, key, value))

    def _open(self, redis: RedisTokenCache, key: bytes, value: bytes | None) -> bytes | None:
        opened = None if value is None else redis.keys.open(key, value, self._now())
        return None if opened is None else opened.plaintext[MARK_BYTES:]

    def _hear(self, _: str, payload: bytes) -> None:
        """Take part in a purge another replica made; after a missed one, forget everything."""
        before, note, owners = _read(payload)
        if note == self._known:
            return
        gone = self._drop(owners if before == self._known else None)
        self._known = note
        PURGED.inc(len(gone))

    async def _look(self) -> None:
        """Find out whether a purge was missed. A Redis that lost its data has purged nothing."""
        assert self._redis is not None  # noqa: S101 - for the type checker
        values = await self._redis.link.find([PURGES])
        if values is None:
            return
        note = values[0] or b""
        if note not in (b"", self._known):
            PURGED.inc(len(self._drop(None)))
        self._known = note


async def _everything(redis: RedisTokenCache) -> AsyncIterator[Sequence[str]]:
    async for names in redis.link.scan(NAMESPACE + "[to]:*"):
        yield names


async def _of_owners(
    redis: RedisTokenCache, owners: tuple[bytes, ...]
) -> AsyncIterator[Sequence[str]]:
    indices = [OWNER_PREFIX + owner.hex() for owner in owners]
    asked = [Command(index, ("SMEMBERS", index)) for index in indices]
    answers = await redis.link.send(asked, READING) or []
    keys = {key for answer in answers if isinstance(answer, set) for key in answer}
    yield [*(name_of(key) for key in keys if len(key) == KEY_BYTES), *indices]


def _forget(
    memory: MemoryCache[Any], owners: tuple[bytes, ...] | None
) -> Iterable[tuple[bytes, Any]]:
    return memory.clear() if owners is None else memory.discard_owners(owners)


def _key_of(name: str) -> bytes | None:
    """Return the key behind a name in Redis; None for an index, and for what is not ours."""
    with suppress(ValueError):
        if name.startswith(KEY_PREFIX):
            return bytes.fromhex(name.removeprefix(KEY_PREFIX))
    return None


def _write(before: bytes, note: bytes, owners: tuple[bytes, ...] | None) -> bytes:
    named = None if owners is None else [owner.hex() for owner in owners]
    return json.dumps([before.hex(), note.hex(), named]).encode()


def _read(payload: bytes) -> tuple[bytes, bytes, tuple[bytes, ...] | None]:
    before, note, named = json.loads(payload)
    owners = None if named is None else tuple(map(bytes.fromhex, named))
    return bytes.fromhex(before), bytes.fromhex(note), owners
