"""A provider put together: the way to it, the gateway's registration there, its refused logins."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gateway.app.parts import made_of
from gateway.app.store import longest_flight
from gateway.authentication.attempts import AttemptLimits, AttemptsLimiter
from gateway.oauth.metadata import issuers_of
from gateway.provider.addresses import ProviderResolver
from gateway.provider.client import Provider
from gateway.provider.guard import Guard
from gateway.provider.own_client import open_own_client
from gateway.provider.transport import Transport
from gateway.settings.model.provider import FailedLogins, ProviderCalls, Registration

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable
    from contextlib import AsyncExitStack

    from gateway.app.parts import Key, Parts
    from gateway.app.store import Store
    from gateway.provider.own_client import OwnClient
    from gateway.settings import RoutePlan, Settings

# How long the proxy port waits for the first answer of the providers before it opens anyway.
FIRST_DISCOVERY = 2.0

CALLED_WITH = (*Registration.model_fields, *ProviderCalls.model_fields)
LIMITED_WITH = ("issuer", "idp_timeout", *FailedLogins.model_fields)


@dataclass(frozen=True, slots=True)
class OpenProvider:
    """A provider the gateway talks to, as whom, and what holds refused logins and tokens back."""

    provider: Provider
    own: OwnClient
    attempts: AttemptsLimiter
    token_attempts: AttemptsLimiter
    key: Key


async def obtain_provider(plan: RoutePlan, store: Store, parts: Parts) -> OpenProvider:
    """Return the provider of a route; routes with the same settings of it share it."""
    settings = plan.settings
    attempts = await parts.obtain(
        made_of(settings, LIMITED_WITH, "attempts"),
        lambda stack: _open_attempts(settings, store, stack),
    )
    token_attempts = await parts.obtain(
        made_of(settings, LIMITED_WITH, "token attempts"),
        lambda stack: _open_token_attempts(settings, store, stack),
    )
    key = made_of(settings, CALLED_WITH, "provider")
    provider, own = await parts.obtain(key, lambda stack: _open(settings, stack))
    kept_with = (*key, *made_of(settings, LIMITED_WITH))
    return OpenProvider(provider, own, attempts, token_attempts, kept_with)


async def discovered(providers: Iterable[Provider]) -> None:
    """Wait a little until each provider was asked once."""
    with suppress(TimeoutError):
        async with asyncio.timeout(FIRST_DISCOVERY):
            for provider in providers:
                await provider.attempted.wait()


def read_own_client(settings: Settings) -> OwnClient:
    """Return the gateway's registration; a file that cannot be used is a ``ConfigurationError``."""
    return open_own_client(
        settings.client_id,
        settings.client_secret.get_secret_value(),
        settings.client_auth,
        alg=settings.client_alg,
        audience=settings.client_assertion_audience,
        key_file=settings.client_key_file,
        cert_file=settings.client_cert_file,
    )


def joined_key_set(providers: Iterable[OpenProvider]) -> bytes:
    """Return the public keys of all registrations as one JWK Set (RFC 7517 §5)."""
    keys: list[dict[str, Any]] = []
    for each in providers:
        keys += [key for key in json.loads(each.own.key_set)["keys"] if key not in keys]
    return json.dumps({"keys": keys}).encode()


def run_in_background(work: Coroutine[Any, Any, None], stack: AsyncExitStack) -> None:
    """Run until ``stack`` is closed."""
    task = asyncio.create_task(work)

    async def stop() -> None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(stop)


def open_transport(settings: Settings) -> Transport:
    """Return the way to the provider that these settings describe."""
    return Transport(
        timeout=settings.idp_timeout,
        connect_timeout=settings.idp_connect_timeout,
        ca_file=settings.idp_ca_file,
        cert_file=settings.client_cert_file,
        key_file=settings.client_key_file,
        resolver=ProviderResolver(settings.issuer),
    )


async def _open(settings: Settings, stack: AsyncExitStack) -> tuple[Provider, OwnClient]:
    own = read_own_client(settings)
    transport = await stack.enter_async_context(open_transport(settings))
    provider = Provider(
        settings.issuer,
        transport,
        Guard(settings.idp_max_concurrency, settings.idp_max_queue),
        insecure_allow_http=settings.insecure_allow_http_issuer,
        endpoint_hosts=settings.idp_endpoint_hosts,
        endpoints=_endpoints(settings),
        timeout=settings.idp_timeout,
    )
    run_in_background(provider.keep(), stack)
    return provider, own


def _endpoints(settings: Settings) -> dict[str, str]:
    """Return the provider's endpoints the operator names, in place of the discovered ones."""
    names = ("introspection_endpoint", "userinfo_endpoint")
    return {name: url for name in names if (url := getattr(settings, name))}


async def _open_attempts(
    settings: Settings, store: Store, stack: AsyncExitStack
) -> AttemptsLimiter:
    limits = AttemptLimits.of(
        settings.failed_logins_max, settings.failed_logins_window, settings.failed_logins_spacing
    )
    return _open_limiter(settings, store, stack, limits, b"bearergate attempts\0")


async def _open_token_attempts(
    settings: Settings, store: Store, stack: AsyncExitStack
) -> AttemptsLimiter:
    """Return what counts refused tokens, apart from logins; it counts addresses alone."""
    of_logins = AttemptLimits.of(settings.failed_logins_max, settings.failed_logins_window, 0.0)
    maximum = of_logins.address
    limits = replace(of_logins, user=maximum, spread=maximum)
    return _open_limiter(settings, store, stack, limits, b"bearergate token attempts\0")


def _open_limiter(
    settings: Settings,
    store: Store,
    stack: AsyncExitStack,
    limits: AttemptLimits,
    purpose: bytes,
) -> AttemptsLimiter:
    # Users of two providers are not the same, whatever they are called.
    issuer = issuers_of(settings.issuer)[0].encode()
    longest = longest_flight(settings)
    attempts = AttemptsLimiter(
        limits,
        key=store.derived(purpose + issuer + b"\0"),
        link=None if store.redis is None else store.redis.link,
        shared=None if store.turns is None else store.turns(limits, longest),
        longest=longest,
    )
    stack.push_async_callback(attempts.aclose)
    return attempts
