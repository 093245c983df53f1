"""Authenticators put together by the composition root, without ports around them."""

from __future__ import annotations

from gateway.app import _open_provider, _own_client
from gateway.app.exchange import compose
from gateway.settings import load


async def compose_for(stack, fake, **more):
    """Return the authenticator of these settings on a fake provider, discovered already."""
    environ = {
        "ISSUER": fake.issuer,
        "CLIENT_ID": fake.client_id,
        "CLIENT_SECRET": fake.client_secret,
        "UPSTREAM_URL": "http://127.0.0.1:1",
    }
    chosen = load(None, {**environ, **more}).settings
    provider = await _open_provider(chosen, stack)
    await provider.discover()
    client = _own_client(chosen).client
    composed = await compose(chosen, provider, client, lambda head: head.peer, stack)
    return composed.authenticator
