"""What is kept of the tokens that callers bring."""

from __future__ import annotations

import asyncio

import pytest

from gateway.authentication import Source
from gateway.authentication.attempts import AttemptLimits, AttemptsLimiter
from gateway.authentication.callers_tokens import CallersTokens, KnownTokens
from gateway.authentication.introspection import Introspector
from gateway.authentication.verification import Verifier
from gateway.errors import InvalidAccessTokenError, TooManyAttemptsError
from gateway.oauth.client_auth import Client
from gateway.provider.client import Provider
from gateway.provider.guard import Guard
from gateway.provider.transport import Transport
from gateway.token_cache.ledger import PurgeLedger
from gateway.token_cache.memory import MemoryCache
from gateway.token_cache.sealing import SealingKeys
from tests.authentication.replica import Clock
from tests.fakes.asked_provider import AskedProvider


class Tokens(CallersTokens):
    """Callers' tokens on a provider, with a clock that is moved by hand."""

    def __init__(self, provider, *, ttl_max=300.0, leeway=0.0, entries=100, introspects=False):
        self.clock = Clock()
        self.memory = MemoryCache(entries, 10**6)
        self.ledger = PurgeLedger()
        super().__init__(
            provider,
            Verifier(
                provider,
                leeway=leeway,
                pseudonym=lambda name: f"<{name}>",
                introspector=Introspector(provider, Client("gateway", "gateway-secret")),
            ),
            keys=SealingKeys([b"n" * 32]),
            known=KnownTokens(
                self.memory,
                MemoryCache(entries, 10**6),
                self.ledger,
                lambda name: (name.encode(),),
                ttl_max,
                5.0,
            ),
            attempts=AttemptsLimiter(AttemptLimits(5, 5, 5, 60.0, 0.0), key=b"k" * 32),
            introspects=introspects,
            now=self.clock,
        )

    async def identify(self, token, peer="127.0.0.1"):
        """Identify a token that is sent from this address."""
        return await super().identify(token, lambda: peer)


@pytest.fixture
async def discovered(provider):
    """Return the gateway's side of the provider, discovered."""
    async with Transport(timeout=5, connect_timeout=2) as transport:
        client = Provider(provider.issuer, transport, Guard(16, 100))
        await client.discover()
        yield client


@pytest.mark.parametrize(
    ("ttl_max", "ahead", "source"),
    [
        pytest.param(300.0, 200.0, Source.MEMORY, id="kept"),
        pytest.param(60.0, 20.0, Source.MEMORY, id="kept-for-ttl-max"),
        pytest.param(60.0, 61.0, Source.TOKEN, id="checked-again-after-ttl-max"),
        pytest.param(0.0, 0.0, Source.TOKEN, id="not-kept-at-all"),
    ],
)
async def test_kept(provider, discovered, ttl_max, ahead, source):
    """A token is known in memory for `CACHE_TTL_MAX` at most."""
    provider.lifetime = 310
    tokens = Tokens(discovered, ttl_max=ttl_max)
    token = provider.mint("mary", "x")
    assert Source.TOKEN is (await tokens.identify(token))[1]
    tokens.clock.ahead = ahead

    principal, found = await tokens.identify(token)

    assert source is found
    assert ("mary", "<mary>", "bearer") == (principal.claims.sub, principal.user, principal.grant)


async def test_not_kept_beyond_its_expiry(provider, discovered):
    """J18, A5: a known token is refused from the moment it expires."""
    tokens = Tokens(discovered)
    token = provider.mint("mary", "x")
    await tokens.identify(token)
    tokens.clock.ahead = provider.lifetime + 1

    with pytest.raises(InvalidAccessTokenError):
        await tokens.identify(token)


async def test_within_leeway(provider, discovered):
    """J19: an expired token within the leeway is good, and checked each time."""
    tokens = Tokens(discovered, leeway=30.0)
    token = provider.mint("mary", "x")
    tokens.clock.ahead = provider.lifetime + 5

    assert [Source.TOKEN] * 2 == [(await tokens.identify(token))[1] for _ in range(2)]


async def test_wrong_tokens_are_not_kept(provider, discovered):
    """A14, A15: a token that does not verify takes no room."""
    tokens = Tokens(discovered)
    for number in range(10):
        with pytest.raises(InvalidAccessTokenError):
            await tokens.identify(provider.mint(f"m{number}", "x")[:-4] + "AAAA")

    assert 0 == len(tokens.memory)


async def test_bounded(provider, discovered):
    """A14: however many tokens are good, so many are kept."""
    tokens = Tokens(discovered, entries=3)
    for number in range(10):
        await tokens.identify(provider.mint(f"m{number}", "x"))

    assert 3 == len(tokens.memory)


async def test_tokens_are_not_kept_in_clear(provider, discovered):
    """A4: what a token is kept under is a keyed hash of it, another one for each secret."""
    tokens, others = Tokens(discovered), Tokens(discovered)
    others._keys = SealingKeys([b"o" * 32])
    token = provider.mint("mary", "x")
    await tokens.identify(token)
    await others.identify(token)

    (key,), (other,) = tokens.memory._entries, others.memory._entries

    assert 32 == len(key)
    assert key != other


async def test_name_of_the_user(provider, discovered):
    """A purge finds a user's tokens by the name and by the subject."""
    tokens = Tokens(discovered)
    await tokens.identify(provider.mint("f1c2", "x", preferred_username="mary"))

    assert 1 == len(tokens.memory.discard_owners([b"f1c2"]))


async def test_purged_meanwhile(provider, discovered):
    """A7: what is found out about a user who is purged meanwhile is not kept."""
    tokens = Tokens(discovered)
    provider.rotate()
    flight = asyncio.create_task(tokens.identify(provider.mint("mary", "x")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # the check has begun: it fetches the new key
    tokens.ledger.note((b"mary",))
    await flight

    assert 0 == len(tokens.memory)
    await tokens.aclose()


async def test_limit_of_who_came_first():
    """R4: two addresses bring one token at once; the limit of the first is not the other's."""
    async with AskedProvider() as provider, Transport(timeout=5, connect_timeout=2) as transport:
        client = Provider(provider.issuer, transport, Guard(16, 100))
        await client.discover()
        tokens = Tokens(client, introspects=True)
        for number in range(5):
            with pytest.raises(InvalidAccessTokenError):
                await tokens.identify(f"invented-{number}", "192.0.2.1")
        token = provider.mint("mary", "x")

        first, other = await asyncio.gather(
            tokens.identify(token, "192.0.2.1"),
            tokens.identify(token, "192.0.2.2"),
            return_exceptions=True,
        )

    assert TooManyAttemptsError is type(first)
    assert ("mary", Source.PROVIDER) == (other[0].claims.sub, other[1])
    assert 6 == len(provider.asked)
