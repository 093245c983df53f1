"""Renewals where upstreams get ID tokens: access token and ID token are of one answer."""

from __future__ import annotations

import pytest

from gateway.oauth import base64url
from gateway.oauth.strict_json import read_object
from tests.authentication.renewing import USERS, counted, pass_time, renewals, running, used
from tests.fakes.answers import REMOVED, Answer
from tests.fakes.waiting import until


@pytest.fixture
async def provider(provider):
    """Return a provider with refresh tokens and ID tokens."""
    provider.refresh_tokens = True
    provider.users = USERS
    provider.id_claims = {}
    return provider


def claims_of(token):
    """Return what a token says."""
    return read_object(base64url.decode(token.split(".")[1]))


async def test_renewed_together(replica):
    """T9: with a new access token comes its own ID token."""
    one = await replica(lifetimes=(3000, 10), id_tokens=True)
    entry = await used(one)
    pass_time(one)

    async with running(one):
        await until(lambda: one.find() is not entry)

    before, after = (each.principal for each in (entry, one.find()))
    assert before.access_token != after.access_token
    hashes = [claims_of(each.id_token.text)["at_hash"] for each in (before, after)]
    assert hashes[0] != hashes[1]


async def test_renewal_without_one(replica, provider):
    """T9: a renewal that brings no ID token is not used: the entry ends, and a login brings both.

    The old one would not be of the new access token (OpenID Connect Core §12.2).
    """
    one = await replica(lifetimes=(3000, 10), id_tokens=True)
    entry = await used(one)
    provider.answer_next_token(Answer(members={"id_token": REMOVED}))
    pass_time(one)

    async with running(one):
        await until(lambda: entry.refresh_token is None)

    assert [1, entry] == [len(renewals(provider)), one.find()]
    assert entry.principal.id_token is not None


async def test_there_was_none(replica, provider):
    """Where the login brought no ID token a renewal needs none."""
    provider.id_claims = None
    one = await replica(lifetimes=(3000, 10), id_tokens=True)
    entry = await used(one)
    pass_time(one)

    async with running(one):
        await until(lambda: one.find() is not entry)

    assert one.find().principal.id_token is None


async def test_renewal_with_a_wrong_one(replica, provider):
    """T9: a renewal whose ID token does not verify leaves the entry as it is."""
    one = await replica(lifetimes=(3000, 10), id_tokens=True)
    entry = await used(one)
    provider.id_claims = {"aud": "other"}
    failed = counted("failed")
    pass_time(one)

    async with running(one):
        await until(lambda: counted("failed") > failed)

    assert [1, entry] == [len(renewals(provider)), one.find()]
