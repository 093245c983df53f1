"""Ending the provider's sessions: a courtesy that never fails anybody."""

from __future__ import annotations

import pytest

from gateway.authentication.sessions import Sessions
from gateway.errors import ProviderUnavailableError
from gateway.token_cache.memory import MemoryCache
from gateway.token_cache.purge import PurgedEntry


class Requests:
    """Where refresh tokens are revoked; some cannot be."""

    def __init__(self, *, failing=()):
        self.revoked = []
        self._failing = failing

    async def revoke(self, _, refresh_token):
        """Take the token, or fail."""
        if refresh_token in self._failing:
            raise ProviderUnavailableError("down")
        self.revoked.append(refresh_token)


class Kept:
    """What memory held of an entry."""

    def __init__(self, refresh_token):
        self.refresh_token = refresh_token
        self.registration = "r"


def stored(refresh_token):
    """Write what Redis held of an entry."""
    token = "null" if refresh_token is None else f'"{refresh_token}"'
    return (
        b'password 1.0 r\n{"access_token":"a","token_type":"Bearer","expires_at":null,"scope":null,'
        + f'"refresh_token":{token},"id_token":null}}'.encode()
    )


@pytest.mark.parametrize(
    ("purged", "expected"),
    [
        pytest.param(PurgedEntry(b"k"), [], id="nothing-known"),
        pytest.param(PurgedEntry(b"k", kept=Kept("m")), ["m"], id="from-memory"),
        pytest.param(PurgedEntry(b"k", kept=Kept(None)), [], id="not-renewable"),
        pytest.param(PurgedEntry(b"k", stored=stored("r")), ["r"], id="as-stored"),
        pytest.param(PurgedEntry(b"k", stored=stored(None)), [], id="stored-not-renewable"),
        pytest.param(PurgedEntry(b"k", stored=b"another version"), [], id="unreadable"),
        pytest.param(
            PurgedEntry(b"k", stored=stored("same"), kept=Kept("same")), ["same"], id="once"
        ),
    ],
)
async def test_purged(purged, expected):
    """REVOKE_ON_PURGE: each refresh token behind a purged entry is revoked once."""
    requests = Requests()

    await Sessions(requests.revoke, MemoryCache(1, 1), revoke=True, alone=True).end_purged([purged])

    assert expected == requests.revoked


async def test_one_that_fails_keeps_no_other_from_ending():
    """A session the provider does not end is left to end by itself."""
    requests = Requests(failing={"a"})
    purged = [PurgedEntry(bytes([n]), kept=Kept(token)) for n, token in enumerate("ab")]

    await Sessions(requests.revoke, MemoryCache(1, 1), revoke=True, alone=True).end_purged(purged)

    assert requests.revoked == ["b"]


@pytest.mark.parametrize(
    ("revoke", "alone", "expected"),
    [(True, True, ["m"]), (True, False, []), (False, True, [])],
)
async def test_shutdown(revoke, alone, expected):
    """At the end of a process sessions end unless another replica may use them, or nobody asked."""
    requests, memory = Requests(), MemoryCache(10, 1000)
    memory.store(b"k", Kept("m"), 2.0, 1)

    await Sessions(requests.revoke, memory, revoke=revoke, alone=alone).end_all()

    assert expected == requests.revoked
