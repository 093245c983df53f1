"""Fixtures only: a provider, an upstream and a composed gateway between them, all on loopback."""

from __future__ import annotations

import io
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from gateway import logs
from gateway.app import Gateway
from gateway.settings import load
from tests.fakes.caller import RawCaller
from tests.fakes.provider import FakeProvider
from tests.fakes.upstream import RecordingUpstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    StartGateway = Callable[..., Awaitable[Gateway]]
    Call = Callable[[Gateway], Awaitable[RawCaller]]


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    """Return a provider that knows john/doe and the client service/service-secret."""
    async with FakeProvider() as fake:
        yield fake


@pytest.fixture
async def upstream() -> AsyncIterator[RecordingUpstream]:
    """Return an upstream that records what reaches it, byte for byte."""
    async with RecordingUpstream() as fake:
        yield fake


@pytest.fixture
async def start_gateway(
    provider: FakeProvider, upstream: RecordingUpstream
) -> AsyncIterator[StartGateway]:
    """Return a function that composes and starts a gateway with a file and other settings."""
    async with AsyncExitStack() as stack:

        async def start(config: Path | None = None, /, **settings: str) -> Gateway:
            environ = {
                "ISSUER": provider.issuer,
                "CLIENT_ID": provider.client_id,
                "CLIENT_SECRET": provider.client_secret,
                "UPSTREAM_URL": upstream.url,
                "HOST": "127.0.0.1",
                "PORT": "0",
                "ADMIN_PORT": "0",
                "SHUTDOWN_GRACE": "0",
                **settings,
            }
            loaded = load(config, {name: value for name, value in environ.items() if value})
            return await stack.enter_async_context(
                Gateway(loaded.settings, loaded.routes, loader=loaded.loader)
            )

        yield start


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> Gateway:
    """Return a running gateway with default settings."""
    return await start_gateway()


@pytest.fixture
async def call() -> AsyncIterator[Call]:
    """Return a function that opens a raw connection to a gateway."""
    async with AsyncExitStack() as stack:

        async def connect(to: Gateway) -> RawCaller:
            return await stack.enter_async_context(RawCaller(to.port))

        yield connect


@pytest.fixture
def written() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Return a function that ends logging and returns every line written, access lines last."""
    events, access = io.StringIO(), io.StringIO()
    logs.configure("debug", "json", events, access)

    def read() -> list[dict[str, Any]]:
        logs.close()
        return [json.loads(line) for line in (events.getvalue() + access.getvalue()).splitlines()]

    yield read
    logs.close()
