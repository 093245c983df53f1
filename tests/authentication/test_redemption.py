"""One of all replicas redeems a refresh token: what happens when it cannot be told which."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from gateway.authentication.attempts import AttemptLimits, AttemptsLimiter
from gateway.authentication.redemption import Kept, Redeemer, Redemption
from gateway.errors import ProviderUnavailableError
from gateway.token_cache.chains import RefreshChains
from gateway.token_cache.memory import MemoryCache
from tests.authentication.replica import HERE
from tests.peers.children import free_port

ASKED = Redemption("marys-first", (b"k" * 32,), (b"c" * 32,), HERE)


@pytest.fixture
async def redeemer(provider):
    """Return a function that makes what redeems for one replica, with the leases of another."""
    provider.refresh_tokens = True
    provider.sessions = {"marys-first": "mary"}
    async with AsyncExitStack() as stack:

        async def start(replica, leases):
            attempts = AttemptsLimiter(AttemptLimits.of(5, 60, 0.0), key=b"k" * 32)
            stack.push_async_callback(attempts.aclose)
            chains = RefreshChains(MemoryCache(10, 1000), replica.redis.link, replica.keys)
            kept = Kept(chains, MemoryCache(10, 1000), leases.flights, 60.0, 5.0)
            return Redeemer(replica.entries, kept, attempts)

        yield start


async def test_redeemed(replica, redeemer, provider, redis):
    """With a lease that all know of the refresh token is redeemed."""
    one = await replica(redis.url)

    entry, _ = await (await redeemer(one, one)).redeem(ASKED)

    assert "mary" == entry.principal.claims.sub
    assert ASKED.refresh_token not in repr(ASKED)


async def test_nobody_knows_of_the_lease(replica, redeemer, provider, redis):
    """A lease that Redis does not confirm is none, though Redis may answer a moment later."""
    one, cut_off = await replica(redis.url), await replica(f"redis://127.0.0.1:{free_port()}")

    with pytest.raises(ProviderUnavailableError):
        await (await redeemer(one, cut_off)).redeem(ASKED)

    assert [] == provider.token_calls
