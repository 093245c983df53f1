"""Ending sessions at a provider that does it, refuses to, is slow, or cannot (RFC 7009)."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from gateway.authentication.entries import Outcome
from gateway.oauth.tokens import TokenSet
from gateway.token_cache.purge import PurgedEntry
from tests.fakes.answers import REMOVED, Answer


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


def as_stored(refresh_token):
    """Write what Redis held of an entry with this refresh token."""
    token_set = TokenSet("access", "Bearer", None, None, refresh_token=refresh_token)
    return Outcome("password", token_set, 1.0).write()


@pytest.mark.parametrize(
    ("kept", "stored", "revoked"),
    [
        pytest.param(None, None, [], id="nothing-known"),
        pytest.param("m", None, ["m"], id="from-memory"),
        pytest.param(None, as_stored("r"), ["r"], id="as-stored"),
        pytest.param("m", as_stored("r"), ["m", "r"], id="renewed-elsewhere"),
        pytest.param("same", as_stored("same"), ["same"], id="once"),
        pytest.param(None, as_stored(None), [], id="stored-not-renewable"),
        pytest.param(None, b"another version", [], id="unreadable"),
    ],
)
async def test_which_sessions(replica, provider, kept, stored, revoked):
    """REVOKE_ON_PURGE: each refresh token behind a purged entry is revoked once."""
    one = await replica()
    entry, _ = await one.obtain()
    known = None if kept is None else replace(entry, refresh_token=kept)

    await one.sessions().end_purged([PurgedEntry(b"k", stored, known)])

    assert revoked == sorted(provider.revoked)


async def test_one_that_fails_keeps_no_other_from_ending(replica, provider):
    """A session the provider does not end is left to end by itself."""
    one = await replica()
    provider.answer_next_revocation(Answer(503, b""))

    await one.sessions().end_purged(await purged(one))

    assert len(provider.sessions) == len(provider.revoked) == 1


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
    ("revoke", "alone", "left"),
    [
        pytest.param(True, True, 0, id="alone"),
        pytest.param(True, False, 2, id="shared"),
        pytest.param(False, True, 2, id="leave"),
    ],
)
async def test_shutdown(replica, provider, revoke, alone, left):
    """At the end of a process the sessions nobody else uses end, if that is asked for."""
    one = await replica()
    await one.obtain()
    await one.obtain(user="anna", password="anna")

    await one.sessions(revoke=revoke, alone=alone).end_all()

    assert left == len(provider.sessions)


async def test_shutdown_without_sessions(replica, provider):
    """Entries without a refresh token have no session to end, and the provider is not asked."""
    provider.refresh_tokens = False
    one = await replica()
    await one.obtain()

    await one.sessions().end_all()

    assert (len(one.memory), provider.revoked) == (0, [])
