"""The admin port: is the process alive, and can it do its work (never on the proxy port)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.provider.client import Provider

    CacheProbe = Callable[[], Awaitable[bool]]

_NO_STORE = {"Cache-Control": "no-store", "Server": "bearergate"}


class Admin:
    """Answers ``/livez`` and ``/readyz``; ``probe_cache`` is ``None`` for the in-process cache."""

    def __init__(self, provider: Provider, probe_cache: CacheProbe | None) -> None:
        self._provider = provider
        self._probe_cache = probe_cache

    def application(self) -> web.Application:
        """Return the admin port's application."""
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        return app

    async def _livez(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "alive"}, headers=_NO_STORE)

    async def _readyz(self, _: web.Request) -> web.Response:
        """Answer 200 when logins can work, else 503.

        A cache that is not reachable is reported and does not make the gateway unready: it serves
        on without it. The upstream is not asked.
        """
        ready = self._provider.discovered and self._provider.keys.loaded
        document = {
            "status": "ready" if ready else "not ready",
            "provider": "discovered" if self._provider.discovered else "not discovered",
            "keys": "loaded" if self._provider.keys.loaded else "not loaded",
            "cache": await self._cache(),
        }
        return web.json_response(document, status=200 if ready else 503, headers=_NO_STORE)

    async def _cache(self) -> str:
        if self._probe_cache is None:
            return "in process"
        return "reachable" if await self._probe_cache() else "not reachable"
