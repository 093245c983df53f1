"""Entries of which only the token tells whose they are: kept, found by others, and purged."""

from __future__ import annotations

import pytest

from gateway.authentication.entries import Outcome
from gateway.oauth.tokens import TokenSet
from gateway.token_cache.redis import PURGES
from tests.token_cache.topologies import ask

KEY = b"k" * 32


async def look(replica):
    """Return what Redis has, and the ticket to keep something else with."""
    ticket = replica.entries.ticket("")
    return await replica.entries.find_stored((KEY,), "", ticket, replica.clock())


async def keep(replica, provider, ticket, **claims):
    """Keep what a refresh token was redeemed for, with the ticket of before."""
    token_set = TokenSet(provider.mint("sub-of-mary", "gateway", **claims), "Bearer")
    outcome, now = Outcome("refresh_token", token_set, replica.clock()), replica.clock()
    return await replica.entries.keep(KEY, "", outcome, ticket, now)


@pytest.mark.parametrize(
    ("claims", "name", "names"),
    [
        pytest.param({}, "sub-of-mary", {"sub-of-mary"}, id="subject"),
        pytest.param(
            {"preferred_username": "mary"}, "mary", {"mary", "sub-of-mary"}, id="name-and-subject"
        ),
        pytest.param(
            {"preferred_username": 5}, "sub-of-mary", {"sub-of-mary"}, id="name-that-is-none"
        ),
    ],
)
async def test_whose_it_is(replica, provider, redis, claims, name, names):
    """A7: it belongs to every name the token tells, for this replica and for the others."""
    one, other = await replica(redis.url), await replica(redis.url)

    entry, stored = await keep(one, provider, (await look(one))[1], **claims)
    found, _ = await look(other)

    assert stored
    assert entry.principal.user == found.principal.user == name.encode().hex()
    owners = {owner for each in names for owner in one.owners(each)}
    assert owners == set(entry.owners) == set(found.owners)


@pytest.mark.parametrize(
    ("purged", "kept"),
    [
        pytest.param("sub-of-mary", False, id="by-subject"),
        pytest.param("mary", False, id="by-name"),
        pytest.param("paul", True, id="somebody-else"),
    ],
)
async def test_purged_meanwhile(replica, provider, purged, kept):
    """A7: who is purged while it is found out who they are is not kept in memory."""
    one = await replica()
    ticket = one.entries.ticket("")
    one.ledger.note(one.owners(purged))

    await keep(one, provider, ticket, preferred_username="mary")

    assert kept is (one.entries.find(KEY, one.clock()) is not None)


async def test_any_purge_counts_in_redis(replica, provider, redis):
    """A7: nobody knows whose a value is before it opens, so a purge of anybody ends them all."""
    one, other = await replica(redis.url), await replica(redis.url)
    _, ticket = await look(one)
    ask(redis, "SET", PURGES, "a note of a purge")

    _, stored = await keep(one, provider, ticket)
    assert stored
    assert (await look(other))[0] is None
    await keep(one, provider, (await look(one))[1])
    assert (await look(other))[0] is not None
