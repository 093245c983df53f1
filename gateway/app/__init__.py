"""The composition root: settings in, running servers out, closed in reverse order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Self

from aiohttp import http_parser, web

from gateway.admin import Admin
from gateway.app.exchange import compose
from gateway.authorization import ClaimRule, Policy, Requirement
from gateway.errors import ConfigurationError
from gateway.forwarding.upstream import Forwarder
from gateway.pipeline import Pipeline
from gateway.provider.addresses import ProviderResolver
from gateway.provider.client import Provider
from gateway.provider.guard import Guard
from gateway.provider.own_client import OwnClient, open_own_client
from gateway.provider.transport import Transport
from gateway.routing import Route, read_upstream
from gateway.server import Limits, ProxyServer
from gateway.server.trust import TrustedProxies

if TYPE_CHECKING:
    from gateway.settings import Settings

_log = logging.getLogger(__name__)

# How long the proxy port waits for the first answer of the provider before it opens anyway.
FIRST_DISCOVERY = 2.0


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal ends it at once.

    An address that cannot be listened on raises ``ConfigurationError``.
    """
    _require_c_parser()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, stop, asyncio.current_task())
    async with Gateway(settings) as gateway:
        _log.info(
            "listening on http://%s:%d, admin on http://%s:%d",
            settings.host,
            gateway.port,
            settings.admin_host,
            gateway.admin_port,
        )
        await stop.wait()
        _log.info("draining: requests in flight have %g seconds", settings.shutdown_grace)
    _log.info("stopped")


def _on_signal(stop: asyncio.Event, main: asyncio.Task[None] | None) -> None:
    if stop.is_set() and main is not None:
        main.cancel()
    stop.set()


class Gateway:
    """Everything that runs; ``port`` and ``admin_port`` are the ports it listens on."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
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
        own = _own_client(settings)
        provider = await _open_provider(settings, stack)
        forwarder = Forwarder(
            timeout=settings.upstream_timeout,
            connect_timeout=settings.upstream_connect_timeout,
            ca_file=settings.upstream_ca_file,
        )
        stack.callback(forwarder.close)
        trusted = TrustedProxies(settings.trusted_proxies)
        exchange = await compose(settings, provider, own.client, trusted.caller, stack)
        upstream = read_upstream(settings.upstream_url)
        server = ProxyServer(
            Pipeline([Route("default", upstream, (exchange.authenticator,), _policy(settings))]),
            forwarder,
            limits=Limits(settings.max_header_bytes, settings.max_body_bytes),
            trusted=trusted,
        )
        await _discover(provider, stack)
        proxy = web.ServerRunner(server, shutdown_timeout=settings.shutdown_grace)
        self.port = await _listen(proxy, "PORT", settings.host, settings.port, stack)
        # Opened last and closed first: who is ready takes requests, who drains is not ready.
        probe = None if exchange.redis is None else exchange.redis.ping
        admin = Admin(provider, probe, own.key_set, purge=exchange.purger.purge)
        self.admin_port = await _listen(
            web.AppRunner(admin.application(), access_log=None),
            "ADMIN_PORT",
            settings.admin_host,
            settings.admin_port,
            stack,
        )


def _own_client(settings: Settings) -> OwnClient:
    return open_own_client(
        settings.client_id,
        settings.client_secret.get_secret_value(),
        settings.client_auth,
        alg=settings.client_alg,
        audience=settings.client_assertion_audience,
        key_file=settings.client_key_file,
        cert_file=settings.client_cert_file,
    )


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


async def _listen(
    runner: web.BaseRunner, name: str, host: str, port: int, stack: AsyncExitStack
) -> int:
    """Listen and return the port; an address that cannot be had raises ``ConfigurationError``."""
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
    except OSError as exc:
        raise ConfigurationError(
            f"{name}: {host}:{port} cannot be listened on ({os.strerror(exc.errno or 0)})"
        ) from exc
    listening: int = runner.addresses[0][1]
    return listening


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


def _require_c_parser() -> None:
    """Refuse aiohttp's pure-Python parser: it had request smuggling bugs the C one never had."""
    if http_parser.HttpRequestParser.__module__ != "aiohttp._http_parser":
        raise ConfigurationError(
            "aiohttp's C parser is missing: unset AIOHTTP_NO_EXTENSIONS and install aiohttp "
            "from a wheel"
        )
