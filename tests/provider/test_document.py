"""The provider's metadata, kept: what a later document changes and what it does not."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import MappingProxyType

import pytest

from gateway.errors import ProviderError, ProviderUnavailableError
from gateway.oauth.client_auth import Client
from gateway.oauth.grants import PasswordGrant
from gateway.oauth.metadata import ProviderMetadata
from gateway.oauth.tokens import TokenSet
from gateway.provider.client import Provider
from gateway.provider.document import RemoteMetadata, find_moved
from gateway.provider.guard import Guard
from gateway.provider.transport import Transport
from tests.fakes.answers import Answer
from tests.fakes.provider import FakeProvider
from tests.fakes.waiting import until

KEPT = ProviderMetadata(
    issuer="https://sso.example",
    token_endpoint="https://sso.example/token",
    jwks_uri="https://keys.example/jwks",
    revocation_endpoint="https://sso.example/revoke",
    mtls_endpoint_aliases=MappingProxyType({"token_endpoint": "https://mtls.sso.example/token"}),
)


@pytest.fixture
async def transport():
    """Return a transport with short times."""
    async with Transport(timeout=5, connect_timeout=2) as opened:
        yield opened


@pytest.mark.parametrize(
    ("change", "moved"),
    [
        pytest.param({}, (), id="D5-nothing"),
        pytest.param({"token_endpoint": "https://sso.example/v2/token"}, (), id="D5-path"),
        pytest.param({"token_endpoint": "https://b.example/token"}, ("token_endpoint",), id="host"),
        pytest.param({"jwks_uri": "https://keys.example:444/jwks"}, ("jwks_uri",), id="D5-port"),
        pytest.param({"jwks_uri": "http://keys.example/jwks"}, ("jwks_uri",), id="D5-scheme"),
        pytest.param({"issuer": "https://sso.example/"}, ("issuer",), id="D5-issuer"),
        pytest.param({"revocation_endpoint": None}, (), id="D5-gone"),
        pytest.param({"introspection_endpoint": "https://sso.example/i"}, (), id="D5-new"),
        pytest.param({"token_endpoint_auth_methods_supported": ("x",)}, (), id="D5-methods"),
        pytest.param(
            {"mtls_endpoint_aliases": {"token_endpoint": "https://b.example/token"}},
            ("mtls token_endpoint",),
            id="D5-alias",
        ),
    ],
)
def test_moved(change, moved):
    """D5: an endpoint has moved when its host, port or scheme is another one."""
    assert moved == find_moved(KEPT, replace(KEPT, **change))


async def test_document_that_changes(transport, provider):
    """D5: a new path on the same host is followed; the object stays while nothing changes."""
    document = RemoteMetadata(provider.issuer, transport)
    first = await document.load()
    assert await document.load() is first

    provider.metadata = {"token_endpoint": f"{provider.issuer}/v2/token"}

    assert (await document.load()).token_endpoint == f"{provider.issuer}/v2/token"


async def test_document_that_moves_an_endpoint(transport, provider, caplog):
    """D5: a token endpoint on another host is not adopted, and the log says so once per change."""
    document = RemoteMetadata(provider.issuer, transport, endpoint_hosts=("localhost",))
    first = await document.load()
    usual, one, two = {}, *({"token_endpoint": f"http://localhost/{n}"} for n in (1, 2))

    for provider.metadata in (one, one, two, two, usual, two):
        assert await document.load() is first

    warnings = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert len(warnings) == 3
    assert all("token_endpoint" in each and "restart" in each for each in warnings)


async def test_document_that_moves_an_endpoint_to_an_unlisted_host(transport, provider):
    """D3, D5: such a document is refused as a whole, and what was known stays."""
    document = RemoteMetadata(provider.issuer, transport)
    first = await document.load()
    provider.metadata = {"token_endpoint": "http://localhost/token"}

    with pytest.raises(ProviderError, match="IDP_ENDPOINT_HOSTS"):
        await document.load()

    assert document.current is first


async def test_document_that_cannot_be_fetched_any_more(transport, provider):
    """D5, K3: metadata that is known stays in use, and the keys are refreshed all the same."""
    kept = Provider(provider.issuer, transport, Guard(1, 1), refresh=0.01)
    await kept.discover()
    known = kept.require_metadata()
    provider.answer_discovery(Answer(500, b""), times=None)
    provider.rotate()
    await asyncio.sleep(0.02)

    with pytest.raises(ProviderError, match="status 500"):
        await kept.discover()

    assert kept.require_metadata() is known
    assert provider.key.kid in kept.keys.current


async def test_endpoints_left_out_are_told(transport, provider, caplog):
    """D3: what is on another host and not needed is told once."""
    caplog.set_level("INFO")
    provider.metadata = {"revocation_endpoint": "http://127.0.0.1:9/revoke"}
    document = RemoteMetadata(provider.issuer, transport)
    for _ in range(3):
        await document.load()

    told = [each.getMessage() for each in caplog.records if "not used" in each.getMessage()]
    assert told == ["the provider's revocation_endpoint is on another host and is not used"]


async def test_keys_that_cannot_be_fetched_at_first(transport, provider):
    """K6: metadata without keys lets nobody in, and sends no password."""
    provider.answer_jwks(Answer(500, b""), times=None)
    kept = Provider(provider.issuer, transport, Guard(1, 1))

    with pytest.raises(ProviderError):
        await kept.discover()

    assert (kept.discovered, kept.keys.loaded) == (True, False)
    with pytest.raises(ProviderUnavailableError):
        await kept.exchange(Client("gateway", "s"), PasswordGrant("john", "doe", ""))
    assert provider.token_calls == []


class BrokenTransport:
    """A transport with a fault of ours in it."""

    def __init__(self):
        self.calls = 0

    async def get(self, url, *, max_bytes):
        """Fail as no transport should."""
        self.calls += 1
        raise ValueError(url, max_bytes)


async def test_a_fault_of_ours_does_not_end_the_refreshing(caplog):
    """K6: whatever goes wrong in a refresh, the next one comes."""
    transport = BrokenTransport()
    kept = Provider("http://127.0.0.1:1", transport, Guard(1, 1))
    keeper = asyncio.create_task(kept.keep())

    await until(lambda: transport.calls == 2)
    keeper.cancel()

    assert "refreshing what is known" in caplog.text


async def test_two_providers_share_nothing(transport):
    """D7, J21: each issuer has its own metadata, keys, breaker, bounds and brake."""
    async with FakeProvider() as one, FakeProvider() as two:
        kept = [Provider(each.issuer, transport, Guard(1, 0)) for each in (one, two)]
        for each in kept:
            await each.discover()
        two.key = one.key  # the same kid, published by one of them only
        for _ in range(5):
            one.answer_next_token(Answer(500, b""))
        client = Client("gateway", "gateway-secret")
        ends = []
        for number in (0, 0, 0, 0, 0, 0, 1):
            try:
                answer = await kept[number].exchange(client, PasswordGrant("john", "doe", ""))
            except ProviderError as error:
                answer = error
            ends.append(type(answer))
        await kept[0].keys.refetch("unknown")
        await kept[1].keys.refetch("unknown")

    assert ends == [ProviderUnavailableError] * 6 + [TokenSet]
    assert [len(one.token_calls), len(two.token_calls)] == [5, 1]
    assert kept[0].keys.thumbprints.isdisjoint(kept[1].keys.thumbprints)
    assert one.key.kid not in kept[1].keys.current
    assert [one.jwks_calls, two.jwks_calls] == [2, 2]
