"""The composition root: settings in, running servers out, closed in reverse order."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

from aiohttp import web

from gateway.admin import Admin
from gateway.app.exchange import EXCHANGE
from gateway.app.footing import prepare
from gateway.app.limits import limits_of
from gateway.app.listening import listen
from gateway.app.parts import Parts
from gateway.app.providers import discovered
from gateway.app.reloads import Reloads
from gateway.app.routes import compose_routes
from gateway.app.store import open_purger, open_store
from gateway.forwarding.upstream import Forwarder
from gateway.pipeline import Pipeline
from gateway.server import ProxyServer
from gateway.server.trust import TrustedProxies
from gateway.server.tunnels import TunnelLimits, Tunnels
from gateway.settings import default_plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.app.footing import Footing
    from gateway.settings import RoutePlan, Settings
    from gateway.token_cache.purge import Purger


class Gateway:
    """Everything that runs; ``port`` and ``admin_port`` are the ports it listens on.

    ``reloads`` renews what can be renewed while it runs.
    """

    def __init__(self, settings: Settings, routes: Sequence[RoutePlan] = ()) -> None:
        self._settings = settings
        self._plans = tuple(routes) or (default_plan(settings),)
        self._parts = Parts()
        self._stack = AsyncExitStack()
        self.reloads = Reloads()
        self.port = 0
        self.admin_port = 0

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start(self, stack: AsyncExitStack) -> None:
        """Open everything that must be closed again."""
        settings, parts = self._settings, self._parts
        footing = prepare(settings, self._plans)
        stack.callback(footing.close)
        store = open_store(settings, stack)
        stack.push_async_callback(parts.close)
        purger = await open_purger(store, stack)
        stack.push_async_callback(parts.close_kind, EXCHANGE)
        trusted = TrustedProxies(settings.trusted_proxies)
        composed = await compose_routes(self._plans, store, parts, trusted.caller)
        forwarder = Forwarder(
            timeout=settings.upstream_timeout,
            connect_timeout=settings.upstream_connect_timeout,
            ca_file=settings.upstream_ca_file,
        )
        stack.callback(forwarder.close)
        server = ProxyServer(
            Pipeline(composed.routes),
            forwarder,
            limits=limits_of(settings),
            trusted=trusted,
            tunnels=_tunnels(settings, forwarder, purger),
        )
        await discovered(composed.known.values())
        proxy = web.ServerRunner(server, shutdown_timeout=settings.shutdown_grace)
        await self._listen(proxy, footing, stack)
        # Opened last and closed first: who is ready takes requests, who drains is not ready.
        probe = None if store.redis is None else store.redis.ping
        admin = Admin(lambda: composed.known, probe, lambda: composed.key_set, purge=purger.purge)
        runner = web.AppRunner(admin.application(), access_log=None)
        self.admin_port = await listen(
            runner, footing.admin, "ADMIN_PORT", settings.admin_host, stack
        )
        stack.push_async_callback(self.reloads.aclose)

    async def _listen(
        self, proxy: web.ServerRunner, footing: Footing, stack: AsyncExitStack
    ) -> None:
        """Open the proxy port, with TLS if there is a certificate."""
        certificate = footing.certificate
        context = None
        if certificate is not None:
            self.reloads.add("TLS_CERT_FILE", certificate.reload)
            context = certificate.context
        (sockets,) = footing.proxy
        host = self._settings.host
        self.port = await listen(proxy, sockets, "PORT", host, stack, ssl_context=context)


def _tunnels(settings: Settings, forwarder: Forwarder, purger: Purger) -> Tunnels | None:
    if not settings.websockets:
        return None
    limits = TunnelLimits(
        settings.websocket_max_per_user,
        settings.websocket_idle_timeout,
        end_with_token=settings.websocket_end_with_token,
        origins=frozenset(origin.encode("ascii") for origin in settings.websocket_origins),
    )
    tunnels = Tunnels(forwarder, limits)
    purger.also(tunnels.purge)
    return tunnels
