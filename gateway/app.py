"""The composition root: settings in, running servers out, closed in reverse order."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import signal
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Self

from aiohttp import http_parser, web

from gateway.admin import Admin
from gateway.authentication import Principal
from gateway.authentication.carriers import Carriers
from gateway.authentication.exchange import (
    Caches,
    ExchangeAuthenticator,
    Lifetimes,
    TokenRequestPlan,
)
from gateway.authentication.grant_choice import GrantChoice, Mode
from gateway.authorization import Policy, Requirement
from gateway.errors import ConfigurationError
from gateway.forwarding.upstream import Forwarder
from gateway.logs import Pseudonyms
from gateway.oauth.credentials import Challenge, Kind
from gateway.pipeline import Pipeline
from gateway.provider.client import Provider
from gateway.provider.guard import Guard
from gateway.provider.transport import Transport
from gateway.routing import Route, read_upstream
from gateway.server import Limits, ProxyServer
from gateway.server.trust import TrustedProxies
from gateway.token_cache.memory import MemoryCache
from gateway.token_cache.redis import RedisTokenCache
from gateway.token_cache.sealing import SealingKeys

if TYPE_CHECKING:
    from gateway.settings import Settings

_log = logging.getLogger(__name__)

REALM = "bearergate"
# A verified token with its claims weighs a few kilobytes; this bounds the cache by memory too.
BYTES_PER_ENTRY = 16 * 1024
# How long the proxy port waits for the first answer of the provider before it opens anyway.
FIRST_DISCOVERY = 2.0
_KIND_OF_METHOD = {"password": Kind.PASSWORD, "client_credentials": Kind.CLIENT_CREDENTIALS}


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
        provider = await _open_provider(settings, stack)
        redis = _open_redis(settings, stack)
        forwarder = Forwarder(
            timeout=settings.upstream_timeout,
            connect_timeout=settings.upstream_connect_timeout,
            ca_file=settings.upstream_ca_file,
        )
        stack.callback(forwarder.close)
        upstream = read_upstream(settings.upstream_url)
        authenticator = _authenticator(settings, provider, redis)
        server = ProxyServer(
            Pipeline([Route("default", upstream, (authenticator,), _policy(settings))]),
            forwarder,
            limits=Limits(settings.max_header_bytes, settings.max_body_bytes),
            trusted=TrustedProxies(settings.trusted_proxies),
        )
        await _discover(provider, stack)
        proxy = web.ServerRunner(server, shutdown_timeout=settings.shutdown_grace)
        self.port = await _listen(proxy, "PORT", settings.host, settings.port, stack)
        # Opened last and closed first: who is ready takes requests, who drains is not ready.
        application = Admin(provider, None if redis is None else redis.ping).application()
        admin = web.AppRunner(application, access_log=None)
        self.admin_port = await _listen(
            admin, "ADMIN_PORT", settings.admin_host, settings.admin_port, stack
        )


async def _open_provider(settings: Settings, stack: AsyncExitStack) -> Provider:
    transport = await stack.enter_async_context(
        Transport(
            timeout=settings.idp_timeout,
            connect_timeout=settings.idp_connect_timeout,
            ca_file=settings.idp_ca_file,
        )
    )
    return Provider(
        settings.issuer,
        transport,
        Guard(settings.idp_max_concurrency, settings.idp_max_queue),
        insecure_allow_http=settings.insecure_allow_http_issuer,
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


def _open_redis(settings: Settings, stack: AsyncExitStack) -> RedisTokenCache | None:
    url = settings.redis_url.get_secret_value()
    if not url:
        return None
    redis = RedisTokenCache.connect(url, _sealing_keys(settings))
    stack.push_async_callback(redis.aclose)
    return redis


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


def _authenticator(
    settings: Settings, provider: Provider, redis: RedisTokenCache | None
) -> ExchangeAuthenticator:
    keys = _sealing_keys(settings)
    newest = settings.cache_secret[0].get_secret_value().encode()
    pseudonyms = Pseudonyms(hashlib.sha256(b"bearergate pseudonyms" + newest).digest())
    entries = settings.cache_max_entries
    extra = settings.token_post_args
    if settings.audience:
        extra = (("audience", settings.audience), *extra)
    return ExchangeAuthenticator(
        provider,
        carriers=_carriers(settings),
        choice=GrantChoice(_basic_mode(settings), settings.client_credentials_ids),
        plan=TokenRequestPlan(
            client_id=settings.client_id,
            client_secret=settings.client_secret.get_secret_value(),
            token_endpoint_auth_method=settings.client_auth,
            scopes=settings.scopes,
            client_credentials_scopes=settings.client_credentials_scopes,
            extra=extra,
        ),
        caches=Caches(
            keys=keys,
            principals=MemoryCache[Principal](entries, entries * BYTES_PER_ENTRY),
            refusals=MemoryCache[bool](entries, entries * BYTES_PER_ENTRY),
            token_sets=redis,
        ),
        lifetimes=Lifetimes(
            ttl_max=settings.cache_ttl_max,
            ttl_neg=settings.cache_ttl_neg,
            margin=settings.cache_margin,
            leeway=settings.leeway,
        ),
        challenge=Challenge("Basic", REALM),
        pseudonym=pseudonyms.of,
    )


def _sealing_keys(settings: Settings) -> SealingKeys:
    return SealingKeys([secret.get_secret_value().encode() for secret in settings.cache_secret])


def _places(settings: Settings) -> dict[str, tuple[str, ...]]:
    places = {
        "password": settings.password_param_type,
        "client_credentials": settings.client_credentials_param_type,
    }
    return {method: places[method] for method in settings.auth_methods}


def _carriers(settings: Settings) -> Carriers:
    def kinds(place: str) -> frozenset[Kind]:
        return frozenset(
            _KIND_OF_METHOD[method]
            for method, places in _places(settings).items()
            if place in places
        )

    return Carriers(
        header=bool(kinds("header")),
        query=kinds("query"),
        body=kinds("body"),
        hide=settings.hide_credentials,
    )


def _basic_mode(settings: Settings) -> Mode:
    """Return what a Basic pair means: with one method looked for in the header, that one."""
    in_header = [method for method, places in _places(settings).items() if "header" in places]
    if in_header == ["password"]:
        return "password"
    if in_header == ["client_credentials"]:
        return "client_credentials"
    return settings.basic_grant


def _policy(settings: Settings) -> Policy:
    pairs = (
        ("audience_required", settings.audience_claim, settings.audience_required),
        ("scopes_required", settings.scopes_claim, settings.scopes_required),
        ("roles_required", settings.roles_claim, settings.roles_required),
        ("groups_required", settings.groups_claim, settings.groups_required),
    )
    return Policy(tuple(Requirement(*each) for each in pairs if each[2]))


def _require_c_parser() -> None:
    """Refuse aiohttp's pure-Python parser: it had request smuggling bugs the C one never had."""
    if http_parser.HttpRequestParser.__module__ != "aiohttp._http_parser":
        raise ConfigurationError(
            "aiohttp's C parser is missing: unset AIOHTTP_NO_EXTENSIONS and install aiohttp "
            "from a wheel"
        )
