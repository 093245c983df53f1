"""Authenticators put together by the composition root, without ports around them."""

from __future__ import annotations

from gateway.app.parts import Parts
from gateway.app.providers import discovered
from gateway.app.routes import compose_routes
from gateway.app.store import open_store
from gateway.settings import load


async def compose_for(stack, fake, **more):
    """Return the authenticators of these settings on a fake provider, discovered already."""
    composed = await compose_all(stack, fake, **more)
    return composed.routes[0].authenticators


async def compose_all(stack, fake, **more):
    """Return the one route of these settings, with its provider, which is discovered already."""
    environ = {
        "ISSUER": fake.issuer,
        "CLIENT_ID": fake.client_id,
        "CLIENT_SECRET": fake.client_secret,
        "UPSTREAM_URL": "http://127.0.0.1:1",
    }
    loaded, parts = load(None, {**environ, **more}), Parts()
    store = open_store(loaded.settings, stack)
    stack.push_async_callback(parts.close)
    composed = await compose_routes(loaded.routes, store, parts, lambda head: head.peer)
    await discovered(composed.known.values())
    assert len(composed.routes) == 1
    return composed
