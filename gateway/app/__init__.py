"""The composition root: settings in, running servers out, closed in reverse order."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Self

from aiohttp import web

from gateway.admin import Admin
from gateway.app.exchange import compose
from gateway.app.footing import prepare
from gateway.app.limits import limits_of
from gateway.app.listening import listen
from gateway.app.reloads import Reloads
from gateway.authorization import ClaimRule, Policy, Requirement
from gateway.forwarding.upstream import Forwarder
from gateway.pipeline import Pipeline
from gateway.provider.addresses import ProviderResolver
from gateway.provider.client import Provider
from gateway.provider.guard import Guard
from gateway.provider.transport import Transport
from gateway.routing import Route, read_upstream
from gateway.server import ProxyServer
from gateway.server.trust import TrustedProxies
from gateway.server.tunnels import TunnelLimits, Tunnels

if TYPE_CHECKING:
    from gateway.app.footing import Footing
    from gateway.settings import Settings

# How long the proxy port waits for the first answer of the provider before it opens anyway.
FIRST_DISCOVERY = 2.0


class Gateway:
    """Everything that runs; ``port`` and ``admin_port`` are the ports it listens on.

    ``reloads`` renews what can be renewed while it runs.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
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
        settings = self._settings
        footing = prepare(settings)
        stack.callback(footing.close)
        provider = await _open_provider(settings, stack)
        forwarder = Forwarder(
            timeout=settings.upstream_timeout,
            connect_timeout=settings.upstream_connect_timeout,
            ca_file=settings.upstream_ca_file,
        )
        stack.callback(forwarder.close)
        trusted = TrustedProxies(settings.trusted_proxies)
        exchange = await compose(settings, provider, footing.own.client, trusted.caller, stack)
        upstream = read_upstream(settings.upstream_url)
        server = ProxyServer(
            Pipeline([Route("default", upstream, exchange.authenticators, _policy(settings))]),
            forwarder,
            limits=limits_of(settings),
            trusted=trusted,
            tunnels=_tunnels(settings, forwarder),
        )
        await _discover(provider, stack)
        proxy = web.ServerRunner(server, shutdown_timeout=settings.shutdown_grace)
        await self._listen(proxy, footing, stack)
        # Opened last and closed first: who is ready takes requests, who drains is not ready.
        probe = None if exchange.redis is None else exchange.redis.ping
        admin = Admin(provider, probe, footing.own.key_set, purge=exchange.purger.purge)
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


async def _open_provider(settings: Settings, stack: AsyncExitStack) -> Provider:
    transport = await stack.enter_async_context(
        Transport(
            timeout=settings.idp_timeout,
            connect_timeout=settings.idp_connect_timeout,
            ca_file=settings.idp_ca_file,
            cert_file=settings.client_cert_file,
            key_file=settings.client_key_file,
            resolver=ProviderResolver(settings.issuer),
        )
    )
    return Provider(
        settings.issuer,
        transport,
        Guard(settings.idp_max_concurrency, settings.idp_max_queue),
        insecure_allow_http=settings.insecure_allow_http_issuer,
        endpoint_hosts=settings.idp_endpoint_hosts,
        timeout=settings.idp_timeout,
    )


async def _discover(provider: Provider, stack: AsyncExitStack) -> None:
    """Keep the provider's metadata and keys in the background; wait a little for the first."""
    keeper = asyncio.create_task(provider.keep())

    async def stop() -> None:
        keeper.cancel()
        with suppress(asyncio.CancelledError):
            await keeper

    stack.push_async_callback(stop)
    with suppress(TimeoutError):
        async with asyncio.timeout(FIRST_DISCOVERY):
            await provider.attempted.wait()


def _tunnels(settings: Settings, forwarder: Forwarder) -> Tunnels | None:
    if not settings.websockets:
        return None
    limits = TunnelLimits(
        settings.websocket_max_per_user,
        settings.websocket_idle_timeout,
        end_with_token=settings.websocket_end_with_token,
        origins=frozenset(origin.encode("ascii") for origin in settings.websocket_origins),
    )
    return Tunnels(forwarder, limits)


def _policy(settings: Settings) -> Policy:
    pairs = (
        ("audience_required", settings.audience_claim, settings.audience_required),
        ("scopes_required", settings.scopes_claim, settings.scopes_required),
        ("roles_required", settings.roles_claim, settings.roles_required),
        ("groups_required", settings.groups_claim, settings.groups_required),
    )
    return Policy(
        tuple(Requirement(*each) for each in pairs if each[2]),
        tuple(ClaimRule.read(*each) for each in settings.claims_required),
        tuple(ClaimRule.read(*each) for each in settings.claims_forbidden),
    )
