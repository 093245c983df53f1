"""The door to the provider's HTTP: what goes wrong there, in the gateway's own words."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import gzip
import ssl
import warnings

import pytest
import trustme

from gateway.errors import (
    ConfigurationError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
)
from gateway.provider.transport import Transport
from tests.fakes.answers import Answer
from tests.fakes.provider import FakeProvider

AUTHORITY = trustme.CA()
BOMB = gzip.compress(b"\0" * (1 << 19))
GZIP = (("Content-Encoding", "gzip"),)


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
        pytest.param(Answer(200, BOMB, headers=GZIP), ProviderError, id="T3-gzip-bomb"),
        pytest.param(
            Answer(200, b"{}", headers=(("Content-Encoding", "br"),)), ProviderError, id="T3-br"
        ),
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


@pytest.mark.parametrize("drop", ["before", "mid_body"])
async def test_sent_once(transport, provider, drop):
    """R6: nothing that the provider has received is sent again by itself, not even a GET."""
    provider.answer_jwks(Answer(drop=drop))

    with pytest.raises(ProviderUnavailableError):
        await transport.get(f"{provider.issuer}/jwks", max_bytes=1000)

    assert provider.jwks_calls == 1


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


EXPIRED = AUTHORITY.issue_cert(
    "127.0.0.1", not_after=dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)
)


@pytest.fixture
async def listener():
    """Return a function that listens with a TLS context; it gives port and bytes received."""
    async with contextlib.AsyncExitStack() as stack:

        async def listen(context):
            received = []

            async def read(reader, writer):
                received.append(await reader.read())
                writer.close()

            server = await asyncio.start_server(read, "127.0.0.1", 0, ssl=context)
            await stack.enter_async_context(server)
            return server.sockets[0].getsockname()[1], received

        yield listen


@pytest.mark.parametrize(
    ("certificate", "trusted"),
    [
        pytest.param(AUTHORITY.issue_cert("127.0.0.1"), False, id="D8-unknown-authority"),
        pytest.param(AUTHORITY.issue_cert("other.example"), True, id="D8-wrong-host"),
        pytest.param(trustme.CA().issue_cert("127.0.0.1"), True, id="D8-other-authority"),
        pytest.param(EXPIRED, True, id="D8-F7-expired"),
    ],
)
async def test_bad_certificates(ca_file, listener, certificate, trusted):
    """D8, F7: with a certificate that cannot be believed not one byte of a request is sent."""
    port, received = await listener(server_context(certificate))
    ca = ca_file if trusted else None

    async with Transport(timeout=2, connect_timeout=2, ca_file=ca) as transport:
        with pytest.raises(ProviderUnavailableError, match="TLS"):
            await transport.post(f"https://127.0.0.1:{port}/", (), b"password=doe", max_bytes=9)
    await asyncio.sleep(0.05)

    assert b"".join(received) == b""


async def test_old_tls(ca_file, listener):
    """D8: TLS before 1.2 is not spoken."""
    context = server_context(AUTHORITY.issue_cert("127.0.0.1"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that it is old is the point
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    port, received = await listener(context)

    async with Transport(timeout=2, connect_timeout=2, ca_file=ca_file) as transport:
        with pytest.raises(ProviderUnavailableError):
            await transport.post(f"https://127.0.0.1:{port}/", (), b"password=doe", max_bytes=9)

    assert b"".join(received) == b""


async def test_proxies_of_the_environment_are_not_used(monkeypatch, provider, upstream):
    """T10: HTTP_PROXY and HTTPS_PROXY do not receive passwords."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, upstream.url)
        monkeypatch.setenv(name.lower(), upstream.url)
    monkeypatch.setenv("NO_PROXY", "")

    async with Transport(timeout=2, connect_timeout=2) as transport:
        await transport.get(f"{provider.issuer}/jwks", max_bytes=9999)
        with pytest.raises(ProviderUnavailableError):
            await transport.post("https://127.0.0.1:1/token", (), b"password=doe", max_bytes=9)

    assert (provider.jwks_calls, upstream.connections) == (1, 0)


async def test_closed(provider):
    """A provider that is no longer talked to is one that is not there."""
    async with Transport(timeout=2, connect_timeout=2) as transport:
        pass

    with pytest.raises(ProviderUnavailableError, match="no longer"):
        await transport.get(f"{provider.issuer}/jwks", max_bytes=9999)

    assert 0 == provider.jwks_calls


async def test_the_time_that_is_left(listener):
    """T4: a POST may be given less time than usual."""
    port, _ = await listener(None)

    async with Transport(timeout=60, connect_timeout=2) as transport:
        with pytest.raises(ProviderTimeoutError):
            await transport.post(f"http://127.0.0.1:{port}/", (), b"", max_bytes=9, within=0.05)


def test_unusable_authority_file(tmp_path):
    """A CA file without certificates is a configuration error."""
    path = tmp_path / "ca.pem"
    path.write_text("nothing")

    with pytest.raises(ConfigurationError, match="holds no usable CA certificates"):
        Transport(timeout=1, connect_timeout=1, ca_file=path)
