"""Ending sessions at a provider that does it, refuses to, is slow, or cannot (RFC 7009)."""

from __future__ import annotations

import asyncio
import logging

import pytest

from gateway.token_cache.purge import PurgedEntry
from tests.fakes.answers import REMOVED


@pytest.fixture
async def provider(provider):
    """Return a provider with refresh tokens."""
    provider.refresh_tokens = True
    provider.users |= {"anna": "anna"}
    return provider


async def purged(one):
    """Log two users in and purge them; return what is gone."""
    await one.obtain()
    await one.obtain(user="anna", password="anna")
    return [PurgedEntry(key, kept=entry) for key, entry in one.memory.clear()]


@pytest.mark.parametrize("revoke", [True, False], ids=["revoke", "leave"])
async def test_purged(replica, provider, revoke):
    """REVOKE_ON_PURGE: the sessions behind purged entries end, each with one call."""
    one = await replica()

    await one.sessions(revoke=revoke).end_purged(await purged(one))

    assert (0 if revoke else 2) == len(provider.sessions)
    assert (2 if revoke else 0) == len(provider.revoked)


@pytest.mark.parametrize(
    "endpoint",
    [
        pytest.param(lambda fake: f"{fake.issuer}/nowhere", id="refused"),
        pytest.param(lambda _: REMOVED, id="no-endpoint"),
    ],
)
async def test_not_ended(replica, provider, caplog, endpoint):
    """A provider that refuses or has no such endpoint fails nobody; the log says how many ended."""
    caplog.set_level(logging.INFO)
    provider.metadata["revocation_endpoint"] = endpoint(provider)
    one = await replica()

    await one.sessions().end_purged(await purged(one))

    assert "ended 0 of 2 sessions at the provider" in caplog.messages
    assert len(provider.sessions) == 2


async def test_slow(replica, provider, caplog):
    """A provider that does not answer is waited for so long and no longer."""
    provider.metadata["revocation_endpoint"] = f"{provider.issuer}/token"  # it has a gate
    one = await replica()
    gone = await purged(one)
    provider.gate.clear()

    async with asyncio.timeout(4):
        await one.sessions(patience=0.2).end_purged(gone)

    assert "ending sessions at the provider took too long" in caplog.messages


async def test_down(replica, provider):
    """A provider that is gone fails nobody."""
    one = await replica()
    gone = await purged(one)
    await provider.down()

    await one.sessions().end_purged(gone)

    assert len(provider.sessions) == 2


@pytest.mark.parametrize(
    ("alone", "left"), [pytest.param(True, 0, id="alone"), pytest.param(False, 2, id="shared")]
)
async def test_shutdown(replica, provider, alone, left):
    """At the end of a process the sessions nobody else uses end; others are left to the others."""
    one = await replica()
    await one.obtain()
    await one.obtain(user="anna", password="anna")

    await one.sessions(alone=alone).end_all()

    assert left == len(provider.sessions) == len(one.memory)


async def test_shutdown_without_sessions(replica, provider):
    """Entries without a refresh token have no session to end, and the provider is not asked."""
    provider.refresh_tokens = False
    one = await replica()
    await one.obtain()

    await one.sessions().end_all()

    assert (len(one.memory), provider.revoked) == (0, [])
