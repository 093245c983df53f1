"""The routes that are served, exchanged for others while requests are under way.

Rule: new routes are put together completely before the first request takes one, and what the old
ones are made of stays open until the last request that took one has its answer from it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from gateway.app.providers import discovered
from gateway.app.routes import ComposedRoutes, compose_routes
from gateway.pipeline import Pipeline
from gateway.settings import needing_restart

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.app.parts import Key, Parts
    from gateway.app.store import Store
    from gateway.forwarding.upstream import Forwarder
    from gateway.request import RequestHead
    from gateway.routing.table import RouteTable
    from gateway.settings import Loader, RoutePlan

_log = logging.getLogger(__name__)

TIDY_INTERVAL: Final = 0.1  # seconds between two looks whether requests under way have ended


class LiveRoutes:
    """Keeps ``pipeline`` deciding by the routes that were read last."""

    def __init__(
        self,
        store: Store,
        parts: Parts,
        forwarder: Forwarder,
        address_of: Callable[[RequestHead], str],
    ) -> None:
        self._forwarder = forwarder
        self._store = store
        self._parts = parts
        self._address_of = address_of
        self._composing = asyncio.Lock()
        self._finishing: list[tuple[RouteTable, frozenset[Key]]] = []
        self._tidying: asyncio.Task[None] | None = None
        self.current = ComposedRoutes((), {}, frozenset())
        self.pipeline = Pipeline(())

    async def use(self, plans: Sequence[RoutePlan]) -> None:
        """Serve these routes from now on; if they cannot be had, those from before."""
        async with self._composing:
            before = self._parts.keys
            try:
                composed = await compose_routes(plans, self._store, self._parts, self._address_of)
            except BaseException:
                await self._parts.close(self._parts.keys - before)
                raise
            await discovered(composed.known.values())
            self._finishing.append((self.pipeline.use(composed.routes), self.current.parts))
            self._forwarder.keep(self.pipeline.table.upstreams)
            self.current = composed
        if self._tidying is None or self._tidying.done():
            self._tidying = asyncio.create_task(self._tidy())

    async def renew(self, loader: Loader) -> None:
        """Read the configuration again and serve its routes, or raise ``ConfigurationError``."""
        loaded = await asyncio.to_thread(loader.load)
        await self.use(loaded.routes)
        for warning in loaded.warnings:
            _log.warning("%s", warning)
        for name in needing_restart(self._store.settings, loaded.settings):
            _log.warning("%s has changed: that takes a restart", name.upper())

    async def aclose(self) -> None:
        """Leave alone what is still open: it is closed with everything else."""
        if self._tidying is not None:
            self._tidying.cancel()
            await asyncio.wait([self._tidying])

    async def _tidy(self) -> None:
        """Close what nobody uses any more."""
        while self._finishing:
            self._finishing = [each for each in self._finishing if each[0].under_way]
            async with self._composing:
                used = self.current.parts.union(*(parts for _, parts in self._finishing))
                await self._parts.close(self._parts.keys - used)
            await asyncio.sleep(TIDY_INTERVAL)
