"""Authenticators put together by the composition root, without ports around them."""

from __future__ import annotations

from gateway.app import _open_provider
from gateway.app.exchange import compose
from gateway.oauth.client_auth import Client
from gateway.settings import load


async def compose_for(stack, fake, **more):
    """Return the authenticators of these settings on a fake provider, discovered already."""
    environ = {
        "ISSUER": fake.issuer,
        "CLIENT_ID": fake.client_id,
        "CLIENT_SECRET": fake.client_secret,
        "UPSTREAM_URL": "http://127.0.0.1:1",
    }
    chosen = load(None, {**environ, **more}).settings
    provider = await _open_provider(chosen, stack)
    await provider.discover()
    client = Client(fake.client_id, fake.client_secret)
    composed = await compose(chosen, provider, client, lambda head: head.peer, stack)
    return composed.authenticators
