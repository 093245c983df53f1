"""The composition root: settings in, running servers out, closed in reverse order."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Self

from aiohttp import web

from gateway.admin import Admin
from gateway.app.exchange import EXCHANGE
from gateway.app.footing import prepare
from gateway.app.limits import limits_of, pool_limits
from gateway.app.listening import SETTLE, ProxyPort, listen
from gateway.app.live import LiveRoutes
from gateway.app.parts import Parts
from gateway.app.providers import run_in_background
from gateway.app.reloads import Reloads
from gateway.app.store import open_purger, open_store
from gateway.app.watching import watch
from gateway.forwarding.upstream import Forwarder
from gateway.server import ProxyServer
from gateway.server.trust import TrustedProxies
from gateway.server.tunnels import TunnelLimits, Tunnels
from gateway.settings import default_plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.admin import Crew
    from gateway.app.footing import Footing
    from gateway.app.store import TurnsOf
    from gateway.settings import Loader, RoutePlan, Settings
    from gateway.token_cache.purge import Purger


class Gateway:
    """Everything that runs; ``port`` and ``admin_port`` are the ports it listens on.

    ``reloads`` renews what can be renewed while it runs: with a ``loader`` the configuration,
    with ``watch`` as soon as its file changes. One of several workers is given the ``footing``
    they share, which of its sockets to serve, the ``crew`` of the others, and the ``turns`` in
    which they log in.
    """

    def __init__(
        self,
        settings: Settings,
        routes: Sequence[RoutePlan] = (),
        footing: Footing | None = None,
        *,
        loader: Loader | None = None,
        watch: bool = False,
        seat: int = 0,
        crew: Crew | None = None,
        turns: TurnsOf | None = None,
    ) -> None:
        self._settings = settings
        self._plans = tuple(routes) or (default_plan(settings),)
        self._footing = footing
        self._loader = loader
        self._watch = watch
        self._seat = seat
        self._crew = crew
        self._turns = turns
        self._stack = AsyncExitStack()
        self.reloads = Reloads()
        self._admin: Admin | None = None
        self._proxy_port: ProxyPort | None = None
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
        settings = self._settings
        footing = self._footing = self._footing or prepare(settings, self._plans)
        stack.callback(footing.close)
        trusted = TrustedProxies(settings.trusted_proxies)
        store = open_store(settings, stack, self._turns)
        parts = Parts()
        stack.push_async_callback(parts.close)
        purger = await open_purger(store, stack)
        stack.push_async_callback(parts.close_kind, EXCHANGE)
        forwarder = Forwarder(pool_limits(settings))
        stack.callback(forwarder.close)
        live = LiveRoutes(store, parts, forwarder, trusted.caller)
        stack.push_async_callback(live.aclose)
        await live.use(self._plans)
        server = ProxyServer(
            live.pipeline,
            forwarder,
            limits=limits_of(settings),
            trusted=trusted,
            tunnels=_tunnels(settings, forwarder, purger),
        )
        proxy = web.ServerRunner(server, shutdown_timeout=settings.shutdown_grace)
        await self._listen(proxy, footing, stack)
        # Opened last and closed first: who is ready takes requests, who drains is not ready.
        probe = None if store.redis is None else store.redis.ping
        self._admin = Admin(
            lambda: live.current.known,
            probe,
            lambda: live.current.key_set,
            purger=purger,
            crew=self._crew,
        )
        await self._listen_admin(self._admin, footing, stack)
        self._renew(live, stack)

    def _renew(self, live: LiveRoutes, stack: AsyncExitStack) -> None:
        """Have the configuration read again when it is asked for, or when its file changes."""
        if self._loader is not None:
            self.reloads.add("the configuration", partial(live.renew, self._loader))
            if self._watch:
                run_in_background(watch(self._loader, self.reloads.start), stack)
        stack.push_async_callback(self.reloads.aclose)

    async def _listen_admin(self, admin: Admin, footing: Footing, stack: AsyncExitStack) -> None:
        """Open the admin port; whoever asks it while it closes learns nothing from an answer."""
        runner = web.AppRunner(admin.application(), access_log=None)
        host = self._settings.admin_host
        self.admin_port = await listen(runner, footing.admin, "ADMIN_PORT", host, stack, settle=0.0)

    async def _listen(
        self, proxy: web.ServerRunner, footing: Footing, stack: AsyncExitStack
    ) -> None:
        """Open the proxy port, with TLS if there is a certificate."""
        certificate = footing.certificate
        context = None
        if certificate is not None:
            self.reloads.add("TLS_CERT_FILE", certificate.reload)
            context = certificate.context
        sockets, host = footing.proxy[self._seat], self._settings.host
        settle = min(SETTLE, self._settings.shutdown_grace)
        self.port = await listen(
            proxy, sockets, "PORT", host, stack, ssl_context=context, settle=settle
        )
        self._proxy_port = ProxyPort(proxy, context)

    async def adopt(self, seat: int) -> None:
        """Take the connections of another worker's sockets, too."""
        if self._footing is not None and self._proxy_port is not None:
            await self._proxy_port.adopt(seat, self._footing.proxy[seat])

    async def release(self, seat: int) -> None:
        """Leave new connections on another worker's sockets to it."""
        if self._proxy_port is not None:
            await self._proxy_port.release(seat)

    async def answer(self, question: str, argument: str | None) -> object:
        """Answer what another worker asks on behalf of the admin port."""
        return None if self._admin is None else await self._admin.answer(question, argument)


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
