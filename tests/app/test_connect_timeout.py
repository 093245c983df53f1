"""How long connecting to a provider may take."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack

import pytest

from gateway.app.providers import open_transport
from gateway.errors import ProviderTimeoutError
from tests.fakes.black_hole import listen_silently
from tests.settings.environments import said

PATIENCE = 20  # seconds; far from both times of the settings


@pytest.fixture
def issuer():
    """Return the URL of a provider that answers no attempt to connect."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listen_silently(listener, stack)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def get(transport, issuer, within):
    """Ask for something of the provider."""
    await transport.get(issuer, max_bytes=9, within=within)


async def post(transport, issuer, within):
    """Send something to the provider."""
    await transport.post(issuer, (), b"", max_bytes=9, within=within)


@pytest.mark.parametrize("send", [get, post])
@pytest.mark.parametrize(
    "within", [pytest.param(None, id="usual-time"), pytest.param(60, id="time-that-is-left")]
)
async def test_provider_that_takes_no_connection(issuer, send, within):
    """T4: after IDP_CONNECT_TIMEOUT a call is given up, long before IDP_TIMEOUT is over."""
    settings = said({"ISSUER": issuer, "IDP_CONNECT_TIMEOUT": "0.3", "IDP_TIMEOUT": "60"})

    async with open_transport(settings) as transport, asyncio.timeout(PATIENCE):
        with pytest.raises(ProviderTimeoutError):
            await send(transport, issuer, within)
