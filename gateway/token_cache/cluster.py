"""The nodes of a Redis Cluster, and which of them has which slot (Redis Cluster specification).

redis-py's own cluster client is not used: it repeats calls, sleeps while a cluster is down, reads
the whole command table at start, and does not look for a new layout when a node hangs.

Rule: a request never waits for more than one reading of the layout, which all of them share.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from redis.crc import key_slot
from redis.exceptions import RedisError

from gateway.token_cache.nodes import Node, ask, direct
from gateway.token_cache.outage import Outage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.exceptions import MovedError

    from gateway.token_cache.address import RedisAddress

Place = tuple[str, int]

_SLOTS: Final = 16384
_READING_TIMEOUTS: Final = 4  # a layout may take so many times as long as a call
_ASKED_AT_ONCE: Final = 6  # nodes asked for the layout together


class Cluster:
    """The nodes by slot; ``place`` is the question, everything else keeps the answer true."""

    def __init__(self, address: RedisAddress, timeout: float, pause: float) -> None:
        self._seeds = address.nodes
        self._options = address.options
        self._timeout = timeout
        self._pause = pause
        self._nodes: dict[Place, Node] = {}
        self._slots: dict[int, Node] = {}
        self._primaries: list[Node] = []
        self._outage = Outage("Redis Cluster", pause)
        self._doubtful = True
        self._reading: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._turn = 0
        self._closed = False

    async def place(self, keys: Sequence[str]) -> dict[Node, list[int]] | None:
        """Return which node has which of the keys; None when that is not known of each."""
        await self._know()
        placed: dict[Node, list[int]] = {}
        for index, key in enumerate(keys):
            node = self._slots.get(key_slot(key.encode()))
            if node is None:
                self.doubt()
                return None
            placed.setdefault(node, []).append(index)
        return placed

    def moved(self, moved: MovedError) -> Node | None:
        """Return the node that has the slot now, and remember it."""
        self.doubt()
        if not moved.host:
            return None
        node = self._node((moved.host, moved.port))
        self._slots[moved.slot_id] = node
        return node

    def doubt(self) -> None:
        """Have the layout read again in the background, at most once in a pause."""
        self._doubtful = True
        self._begin_reading()

    async def primaries(self) -> list[Node]:
        """Return the nodes that have slots, each time beginning with another one."""
        await self._know()
        if not self._primaries:
            return []
        self._turn = (self._turn + 1) % len(self._primaries)
        return [*self._primaries[self._turn :], *self._primaries[: self._turn]]

    async def next_node(self) -> Node | None:
        """Return one of the nodes that have slots, another one each time."""
        return next(iter(await self.primaries()), None)

    async def aclose(self) -> None:
        """Close every connection."""
        self._closed = True
        if self._reading is not None:
            self._reading.cancel()
            with suppress(asyncio.CancelledError):
                await self._reading
        await asyncio.gather(*self._closing, *(n.aclose() for n in self._nodes.values()))
        self._nodes.clear()
        self._slots.clear()

    async def _know(self) -> None:
        """Wait for the layout where there is none yet; an older one is good until a newer comes."""
        if self._slots:
            return
        self._begin_reading()
        if self._reading is not None:
            await asyncio.wait((self._reading,))

    def _begin_reading(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._closed or self._reading is not None or not self._doubtful:
            return
        if not self._outage.rests(now):
            self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_READING_TIMEOUTS * self._timeout):
                layout = await self._ask_for_layout()
            self._learn(layout)
            self._doubtful = False
            self._outage.ended()
        except Exception as exc:  # noqa: BLE001 - whatever answers, it is no layout
            self._outage.failed(loop.time(), exc)
        finally:
            self._reading = None

    async def _ask_for_layout(self) -> list[Any]:
        """Return the first readable layout any of the known nodes gives."""
        places = dict.fromkeys((*self._nodes, *self._seeds))
        asked = [
            asyncio.ensure_future(self._ask(place)) for place in islice(places, _ASKED_AT_ONCE)
        ]
        failure: Exception = ConnectionError("no node of the cluster answers")
        try:
            for answer in asyncio.as_completed(asked):
                try:
                    return await answer
                except (RedisError, OSError, TypeError, ValueError, IndexError) as exc:
                    failure = exc
        finally:
            for each in asked:
                each.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        raise failure

    async def _ask(self, place: Place) -> list[Any]:
        ranges = await ask(self._node(place).client, "CLUSTER", "SLOTS")
        layout = [
            (int(first), int(last), (_host(primary[0]) or place[0], int(primary[1])))
            for first, last, primary, *_ in ranges
        ]
        if not layout:
            raise ValueError("a layout without slots")
        return layout

    def _learn(self, layout: list[Any]) -> None:
        """Take over a layout, and close what is not part of it."""
        slots: dict[int, Node] = {}
        for first, last, place in layout:
            node = self._node(place)
            slots.update(dict.fromkeys(range(max(first, 0), min(last + 1, _SLOTS)), node))
        self._slots = slots
        self._primaries = list(dict.fromkeys(slots.values()))
        kept = set(self._primaries)
        for place, node in list(self._nodes.items()):
            if node not in kept:
                del self._nodes[place]
                closing = asyncio.create_task(node.aclose())
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)

    def _node(self, place: Place) -> Node:
        node = self._nodes.get(place)
        if node is None:
            client = direct(self._options, self._timeout, place)
            name = f"Redis at {place[0]}:{place[1]}"
            node = self._nodes[place] = Node(client, name, self._timeout, self._pause)
        return node


def _host(written: Any) -> str:
    """Return the announced host; empty where the node does not know how it is reached."""
    host = written.decode("ascii", "replace") if isinstance(written, bytes) else ""
    return "" if host == "?" else host
