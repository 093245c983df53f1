"""The door to the provider's HTTP: what goes wrong there, in the gateway's own words."""

from __future__ import annotations

import ssl

import pytest
import trustme

from gateway.errors import (
    ConfigurationError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
)
from gateway.provider.client import Provider
from gateway.provider.guard import Guard
from gateway.provider.keys import RemoteKeySet
from gateway.provider.transport import Transport
from tests.fakes.answers import Answer
from tests.fakes.provider import FakeProvider

AUTHORITY = trustme.CA()


@pytest.fixture
async def transport():
    """Return a transport with short times."""
    async with Transport(timeout=0.3, connect_timeout=0.2) as opened:
        yield opened


async def test_answer(transport, provider):
    """A GET returns status, content type and body."""
    answer = await transport.get(f"{provider.issuer}/jwks", max_bytes=10_000)

    assert (answer.status, answer.retry_after) == (200, None)
    assert answer.content_type.startswith("application/json")
    assert answer.body.startswith(b'{"keys"')
    assert "keys" not in repr(answer)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(Answer(200, b"x" * 2000), ProviderError, id="T3-too-large"),
        pytest.param(Answer(delay=5), ProviderTimeoutError, id="T4-silent"),
        pytest.param(Answer(drop="before"), ProviderUnavailableError, id="dropped"),
        pytest.param(Answer(drop="mid_body"), ProviderUnavailableError, id="dropped-mid-body"),
    ],
)
async def test_failures(transport, provider, answer, error):
    """Each way of not answering has its own error, with no trace of the request in it."""
    provider.answer_jwks(answer, times=None)

    with pytest.raises(error) as caught:
        await transport.get(f"{provider.issuer}/jwks", max_bytes=1000)

    assert error is type(caught.value)
    assert caught.value.__cause__ is None
    assert provider.issuer not in str(caught.value)


async def test_nobody_listens(transport):
    """A refused connection means that the provider is not available."""
    with pytest.raises(ProviderUnavailableError):
        await transport.get("http://127.0.0.1:1/", max_bytes=1000)


async def test_not_http(transport, upstream):
    """Bytes that are not HTTP are nonsense, not an outage."""
    upstream.answer_next(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")

    with pytest.raises(ProviderError) as caught:
        await transport.get(upstream.url, max_bytes=1000)

    assert ProviderError is type(caught.value)


async def test_cookies_and_redirects_are_ignored(transport, provider):
    """Traps of the client: no cookie comes back, no redirect is followed."""
    provider.answer_jwks(Answer(302, b"", None, (("Location", "/"), ("Set-Cookie", "a=b"))))

    answer = await transport.get(f"{provider.issuer}/jwks", max_bytes=1000)

    assert answer.status == 302
    assert (provider.jwks_calls, provider.discovery_calls) == (1, 0)


def server_context(certificate):
    """Make the TLS side of a provider."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context


@pytest.fixture
def ca_file(tmp_path):
    """Return a file with the test authority's certificate."""
    path = tmp_path / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(path)
    return path


async def test_tls_with_its_own_authority(ca_file):
    """D8: with IDP_CA_FILE a provider of a private authority is believed."""
    context = server_context(AUTHORITY.issue_cert("127.0.0.1"))
    async with (
        FakeProvider(ssl_context=context) as provider,
        Transport(timeout=2, connect_timeout=2, ca_file=ca_file) as transport,
    ):
        assert (await transport.get(f"{provider.issuer}/jwks", max_bytes=9999)).status == 200


@pytest.mark.parametrize(
    ("certificate", "trusted"),
    [
        pytest.param(AUTHORITY.issue_cert("127.0.0.1"), False, id="unknown-authority"),
        pytest.param(AUTHORITY.issue_cert("other.example"), True, id="wrong-host"),
        pytest.param(trustme.CA().issue_cert("127.0.0.1"), True, id="other-authority"),
    ],
)
async def test_bad_certificates(ca_file, certificate, trusted):
    """D8: with a certificate that cannot be believed nothing is sent."""
    async with (
        FakeProvider(ssl_context=server_context(certificate)) as provider,
        Transport(timeout=2, connect_timeout=2, ca_file=ca_file if trusted else None) as transport,
    ):
        with pytest.raises(ProviderUnavailableError):
            await transport.post(f"{provider.issuer}/token", (), b"password=doe", max_bytes=9)
        assert provider.token_calls == []


def test_unusable_authority_file(tmp_path):
    """A CA file without certificates is a configuration error."""
    path = tmp_path / "ca.pem"
    path.write_text("nothing")

    with pytest.raises(ConfigurationError, match="holds no usable CA certificates"):
        Transport(timeout=1, connect_timeout=1, ca_file=path)


async def test_keys_before_discovery(transport):
    """Before the first fetch there are no keys, and asking says so."""
    keys = RemoteKeySet(transport)

    with pytest.raises(ProviderUnavailableError):
        _ = keys.current
    with pytest.raises(ProviderUnavailableError):
        await keys.refetch()
    assert not keys.loaded


async def test_refetch_brake(transport, provider):
    """K2: however many ask, the key set is fetched again once in the interval."""
    now = 0.0
    keys = RemoteKeySet(transport, min_refetch=30, clock=lambda: now)
    await keys.load(f"{provider.issuer}/jwks")
    await keys.refetch()

    for _ in range(100):
        with pytest.raises(ProviderUnavailableError):
            await keys.refetch()
    assert provider.jwks_calls == 2

    now = 30.0
    await keys.refetch()
    assert provider.jwks_calls == 3


async def test_keys_are_refreshed_in_the_background(transport, provider):
    """K4: the key set is fetched again and again, without any request asking for it."""
    kept = Provider(provider.issuer, transport, Guard(1, 1), refresh=0.01)
    await kept.discover()
    first = kept.keys.thumbprints
    provider.rotate(keep_old=False)

    await kept.discover()

    assert first.isdisjoint(kept.keys.thumbprints)
    assert provider.discovery_calls == 1
