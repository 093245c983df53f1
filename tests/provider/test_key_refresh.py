"""When the provider's keys are fetched without anybody asking for one."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest

import gateway.provider as provider_package
from gateway.errors import ProviderError
from gateway.provider.client import Provider
from gateway.provider.guard import Guard
from gateway.provider.keys import RemoteKeySet
from gateway.provider.transport import Transport
from tests.fakes.answers import Answer
from tests.fakes.waiting import until
from tests.provider.test_keys import Clock


@pytest.fixture
async def transport():
    """Return a transport with short times."""
    async with Transport(timeout=5, connect_timeout=2) as opened:
        yield opened


@pytest.fixture
def clock():
    """Return a clock set by hand."""
    return Clock()


@pytest.mark.parametrize(
    ("fields", "least", "most"),
    [
        pytest.param((), 480, 600, id="K9-nothing-said"),
        pytest.param((("Cache-Control", "max-age=100"),), 80, 100, id="K9-sooner"),
        pytest.param((("Cache-Control", "public, Max-Age=100"),), 80, 100, id="K9-any-case"),
        pytest.param(
            (("Cache-Control", "max-age=900"), ("Cache-Control", "max-age=100")), 80, 100, id="K9-2"
        ),
        pytest.param((("Cache-Control", "max-age=0"),), 30, 30, id="K9-not-below-the-brake"),
        pytest.param((("Cache-Control", "no-cache"),), 480, 600, id="K9-no-cache"),
        pytest.param((("Cache-Control", "max-age=99999999999"),), 480, 600, id="K9-never-later"),
        pytest.param((("Cache-Control", "max-age=-1"),), 480, 600, id="K9-not-a-number"),
        pytest.param((("Cache-Control", "max-age=\u0661"),), 480, 600, id="K9-not-ascii"),
    ],
)
async def test_max_age(transport, provider, clock, fields, least, most):
    """K9: the provider may have its keys fetched sooner, never later than by default."""
    provider.answer_jwks(Answer(headers=fields))
    keys = RemoteKeySet(transport, clock=clock)

    await keys.load(f"{provider.issuer}/jwks")

    assert least <= keys.due - clock.now <= most


async def test_keys_are_refreshed_in_the_background(transport, provider):
    """K4: the keys are fetched again and again, without any request asking for it."""
    kept = Provider(provider.issuer, transport, Guard(1, 1), refresh=0.01)
    keeper = asyncio.create_task(kept.keep())
    await kept.attempted.wait()
    first = kept.keys.thumbprints
    provider.rotate(keep_old=False)

    await until(lambda: first.isdisjoint(kept.keys.thumbprints))
    keeper.cancel()

    assert kept.keys.loaded


async def test_first_tries_are_quick(transport, clock):
    """K6: without keys the next try is seconds away, and further with each failure."""
    keys = RemoteKeySet(transport, clock=clock)
    pauses = []
    for _ in range(4):
        with pytest.raises(ProviderError):
            await keys.load("http://127.0.0.1:1/jwks")
        pauses.append(math.ceil(keys.due - clock.now))

    assert pauses[0] == 1
    assert max(pauses) <= 5


def test_the_wall_clock_is_for_tokens_only():
    """F22: no pause, deadline or age is measured with a clock that may be set."""
    used = {
        path.name: path.read_text("utf-8").count("time.time")
        for path in Path(provider_package.__file__).parent.glob("*.py")
    }

    # The expiry of tokens and assertions: twice for a login, once each for a revocation and for a
    # question about a token.
    assert {"client.py": 4} == {name: count for name, count in used.items() if count}
