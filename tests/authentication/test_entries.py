"""What is kept of an exchange, for how long, and what of it another replica can use."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.authentication.entries import Outcome
from gateway.errors import ProviderError
from gateway.oauth.tokens import TokenSet
from gateway.token_cache.redis import name_of
from tests.authentication.replica import NEW, OLD
from tests.token_cache.topologies import ask


def token_set(provider, lifetime=300, *, user="john", client="gateway", **members):
    """Return what the provider gives; ``lifetime`` is that of the token."""
    provider.lifetime = lifetime
    return TokenSet(provider.mint(user, client), "Bearer", **members)


@pytest.mark.parametrize(
    ("lifetime", "expires_in", "ttl_max", "age", "expected"),
    [
        pytest.param(100, None, 300, 0, 90, id="A5-end-of-the-token"),
        pytest.param(100, 60, 300, 0, 50, id="A5-expires_in-is-sooner"),
        pytest.param(100, 200, 300, 0, 90, id="A5-expires_in-is-later"),
        pytest.param(1000, None, 300, 0, 300, id="A5-A7-ttl_max"),
        pytest.param(1000, None, 300, 120, 180, id="A7-counted-from-the-exchange"),
        pytest.param(100, None, 300, 250, 50, id="A7-renewed-near-the-bound"),
        pytest.param(12, None, 300, 0, 2, id="A5-just-longer-than-the-margin"),
    ],
)
async def test_lifetime(replica, provider, lifetime, expires_in, ttl_max, age, expected):
    """A5, A7: an entry ends before its token does, and ttl_max after the exchange at the latest."""
    one = await replica(lifetimes=(ttl_max, 10))
    now = one.clock()
    expires_at = None if expires_in is None else now + expires_in

    entry = await one.keep(token_set(provider, lifetime, expires_at=expires_at), at=now - age)

    assert expected - 2 <= entry.until - now <= expected + 1
    assert one.find() is entry
    one.clock.ahead = expected + 2
    assert one.find() is None


@pytest.mark.parametrize(
    ("lifetime", "age"),
    [pytest.param(9, 0, id="A5-shorter-than-the-margin"), pytest.param(300, 301, id="A7-too-old")],
)
async def test_too_short_to_be_kept(replica, provider, redis, lifetime, age):
    """A5: what would end at once serves its own request and is stored nowhere."""
    one = await replica(redis.url)

    entry = await one.keep(token_set(provider, lifetime), at=one.clock() - age)

    assert entry.principal.claims.sub == "john"
    assert (one.find(), (await one.look())[0]) == (None, None)
    assert [] == ask(redis, "KEYS", "*:t:*")


@pytest.mark.parametrize("ahead", [0, 100, 289])
async def test_replicas_end_it_together(replica, provider, redis, ahead):
    """A5, A7: an entry another replica finds later does not live longer for it."""
    first, second = await replica(redis.url), await replica(redis.url)
    kept = await first.keep(token_set(provider))
    second.clock.ahead = ahead

    found, _ = await second.look()

    assert (found.until, found.exchanged_at) == (kept.until, kept.exchanged_at)
    assert found.principal == kept.principal
    assert second.find() is found


async def test_redis_that_forgot_when_it_ends(replica, provider, redis):
    """A5: the end stands in the value; a Redis that lost the TTL prolongs nothing."""
    first, second = await replica(redis.url), await replica(redis.url)
    await first.keep(token_set(provider, 60))
    assert 1 == ask(redis, "PERSIST", name_of(first.exchange().key))
    second.clock.ahead = 51

    assert (None, None) == ((await second.look())[0], second.find())


async def test_lifetime_of_another_replica_is_not_taken_over(replica, provider, redis):
    """A7: a replica with a shorter CACHE_TTL_MAX keeps to its own."""
    await (await replica(redis.url)).keep(token_set(provider))
    strict = await replica(redis.url, lifetimes=(20, 10))

    found, _ = await strict.look()

    assert 19 <= found.until - strict.clock() <= 20
    strict.clock.ahead = 21
    assert (None, None) == ((await strict.look())[0], strict.find())


async def test_older_key(replica, provider, redis):
    """A3: during a rotation what is stored under the old secret is found, and kept under the new.

    Once the old secret is gone, the old value is a miss.
    """
    await (await replica(redis.url, secrets=[OLD])).keep(token_set(provider))
    during = await replica(redis.url, secrets=[NEW, OLD])
    after = await replica(redis.url, secrets=[NEW])

    found, _ = await during.look()

    assert during.find() is found
    assert (None, None) == ((await after.look())[0], after.find())


def stored(provider, *, head=b"password 1.0\n", end=None, token=None, **claims):
    """Write a token as an outcome is written, up to ``end``."""
    token = token or provider.mint("john", "gateway", **claims)
    return (head + TokenSet(token, "Bearer").write())[:end]


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"end": 0}, id="A13-nothing"),
        pytest.param({"head": b"\x80\x81\n"}, id="A13-binary"),
        pytest.param({"head": b"password\n"}, id="A13-no-time"),
        pytest.param({"head": b"password x\n"}, id="A13-not-a-time"),
        pytest.param({"head": b""}, id="A13-older-format"),
        pytest.param({"end": -9}, id="A13-cut-short"),
        pytest.param({"head": b"another 1.0\n"}, id="A6-grant"),
        pytest.param({"token": "opaque"}, id="A6-not-a-token"),
        pytest.param({"azp": "another"}, id="A6-client"),
        pytest.param({"iss": "https://another.example"}, id="A6-issuer"),
        pytest.param({"exp": 1}, id="A6-expired"),
    ],
)
async def test_unusable_value(replica, provider, redis, caplog, wrong):
    """A6, A13: a value that opens and makes no sense is a miss with a warning, and is replaced."""
    caplog.set_level("WARNING")
    one = await replica(redis.url)
    key, now = one.exchange().key, one.clock()
    ticket = (await one.redis.find([], now, one.entries.ticket("john"))).ticket
    await one.redis.store(key, stored(provider, **wrong), now + 100, now, ticket)

    found, marked = await one.look()

    assert (found, one.find()) == (None, None)
    assert ["a stored token set is unusable and counts as a miss"] == caplog.messages
    assert marked.mark is not None
    await one.keep(token_set(provider))
    assert (await one.look())[0] is not None


async def test_withdrawn_key(replica, provider, redis):
    """A6, A7: a stored token whose signing key the provider withdrew is a miss."""
    await (await replica(redis.url)).keep(token_set(provider))
    provider.rotate(keep_old=False)
    later = await replica(redis.url)

    assert (None, None) == ((await later.look())[0], later.find())


@pytest.mark.parametrize(
    "purge",
    [
        pytest.param(lambda one: one.ledger.note(one.owners("JOHN")), id="the-user"),
        pytest.param(lambda one: one.ledger.note_all(), id="everybody"),
    ],
)
async def test_purged_meanwhile(replica, provider, redis, purge):
    """A7: what comes of an exchange begun before a purge serves its caller and is not kept."""
    one = await replica(redis.url)
    exchange, now = one.exchange(), one.clock()
    _, ticket = await one.look()
    purge(one)

    outcome = Outcome("password", token_set(provider), now)
    entry, stored = await one.entries.keep(exchange.key, "john", outcome, ticket, now)

    assert entry.principal.claims.sub == "john"
    assert (stored, one.find()) == (False, None)
    assert [] == ask(redis, "KEYS", "*:t:*")


async def test_purged_between_the_answer_of_redis_and_memory(replica, provider, redis):
    """A7: a stored entry found with a ticket from before a purge is not taken into memory."""
    await (await replica(redis.url)).keep(token_set(provider))
    one = await replica(redis.url)
    ticket = one.entries.ticket("john")
    one.ledger.note(one.owners("john"))

    found, _ = await one.entries.find_stored([one.exchange().key], "john", ticket, one.clock())

    assert (found, one.find()) == (None, None)


async def test_purge_of_somebody_else(replica, provider):
    """A7: a purge of another user leaves what comes of the exchange alone."""
    one = await replica()
    _, ticket = await one.look()
    one.ledger.note(one.owners("anna"))

    outcome = Outcome("password", token_set(provider), one.clock())
    entry, _ = await one.entries.keep(one.exchange().key, "john", outcome, ticket, one.clock())

    assert one.find() is entry


async def test_wrong_token_is_not_kept(replica, provider, redis):
    """A15: a token that does not verify is an error, and nothing is stored."""
    one = await replica(redis.url)

    with pytest.raises(ProviderError):
        await one.keep(token_set(provider, client="another"))

    assert (one.find(), ask(redis, "KEYS", "*")) == (None, [])


@pytest.mark.parametrize(
    ("name", "found"),
    [
        pytest.param("john@example.com", True, id="as-typed"),
        pytest.param("john", True, id="as-the-provider-says"),
        pytest.param("anna", False, id="somebody-else"),
    ],
)
async def test_found_by_every_name(replica, provider, redis, name, found):
    """A7: an entry is purged by the name its user typed and by the one the provider has."""
    one = await replica(redis.url)
    await one.keep(token_set(provider), user="john@example.com")

    assert found is bool(one.memory.discard_owners(one.owners(name)))
    indices = [f"bearergate:2:o:{owner.hex()}" for owner in one.owners(name)]
    assert found is any(ask(redis, "EXISTS", each) for each in indices)


@pytest.mark.parametrize("claim", [None, 7, ["john"]])
async def test_name_that_is_none(replica, provider, claim):
    """A claim that is no name gives no second name."""
    provider.claims["preferred_username"] = claim
    one = await replica()

    entry = await one.keep(token_set(provider))

    assert entry.owners == one.owners("john")


@pytest.mark.parametrize(
    ("grant", "user", "renewable"),
    [
        pytest.param("password", "john", True, id="user"),
        pytest.param("client_credentials", "service", False, id="client"),
    ],
)
async def test_refresh_token(replica, provider, redis, grant, user, renewable):
    """A12: only what the gateway's own client was given can be renewed without the caller."""
    one = await replica(redis.url)
    kept = token_set(
        provider, user=user, client="gateway" if renewable else user, refresh_token="r"
    )

    entry = await one.keep(kept, user=user, password="p", grant=grant)

    assert ("r" if renewable else None) == entry.refresh_token
    assert entry.refresh_token == (await one.look(user=user, password="p"))[0].refresh_token


async def test_without_redis(replica, provider):
    """A process alone keeps entries in memory, and a look at what others stored is a miss."""
    one = await replica()
    entry = await one.keep(token_set(provider))
    found, ticket = await one.look()

    assert (found, one.find()) == (None, entry)
    assert ticket == one.entries.ticket("john")


def test_outcome_is_read_back():
    """A4: what is written of an outcome is read back."""
    outcome = Outcome(
        "password", TokenSet("a", "Bearer", 1.5, "openid", "r", "i"), 1.7e9 + 0.123456
    )

    assert outcome == Outcome.read(outcome.write())


@pytest.mark.parametrize("wanted", [True, False])
async def test_id_token(replica, provider, redis, wanted):
    """T9: an ID token is kept where upstreams get it, and nowhere else: not in Redis either."""
    one = await replica(redis.url, id_tokens=wanted)
    provider.id_claims = {}
    tokens = token_set(provider)
    text = provider.mint_id_token("john", "gateway", tokens.access_token)

    entry = await one.keep(replace(tokens, id_token=text))

    key, (found, _) = one.exchange().key, await one.look()
    stored = await one.redis.find((key,), one.clock(), one.entries.ticket("john"))
    assert wanted == (text.encode() in stored.opened.plaintext)
    kept = [None if each is None else each.text for each in (entry.principal.id_token,
                                                             found.principal.id_token)]  # fmt: skip
    assert [text if wanted else None] * 2 == kept


async def test_entry_shows_no_secret(replica, provider):
    """L2: the repr of an entry shows neither user nor token."""
    shown = repr(await (await replica()).keep(token_set(provider, refresh_token="CANARY")))

    assert [] == [word for word in ("CANARY", "eyJ", "john") if word in shown]
