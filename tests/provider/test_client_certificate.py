"""A provider that asks for a client certificate (RFC 8705 §2), over real TLS."""

from __future__ import annotations

import ssl

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.errors import ConfigurationError, ProviderUnavailableError
from gateway.oauth.client_auth import Client, write_token_request
from gateway.oauth.grants import PasswordGrant
from gateway.oauth.metadata import read_metadata
from gateway.provider.transport import Transport
from tests.fakes.strict_provider import StrictProvider
from tests.oauth.minting import NOW, generate_ec
from tests.provider.certificates import self_signed

AUTHORITY, STRANGER = trustme.CA(), trustme.CA()
CERTIFICATE = AUTHORITY.issue_cert("gateway.example")
OTHER = STRANGER.issue_cert("gateway.example")


@pytest.fixture
def files(tmp_path):
    """Return a folder with the authority, certificates of it and of another one."""
    AUTHORITY.cert_pem.write_to_path(tmp_path / "ca.pem")
    CERTIFICATE.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    CERTIFICATE.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    CERTIFICATE.private_key_pem.write_to_path(tmp_path / "key.pem")
    OTHER.private_key_and_cert_chain_pem.write_to_path(tmp_path / "other.pem")
    return tmp_path


@pytest.fixture
async def provider():
    """Run a provider that refuses every connection without a certificate it can verify."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    AUTHORITY.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    async with StrictProvider("tls_client_auth", ssl_context=context) as fake:
        yield fake


def opened(files, cert=None, key=None):
    """Open a transport with these files."""
    return Transport(
        timeout=2,
        connect_timeout=2,
        ca_file=files / "ca.pem",
        cert_file=cert and files / cert,
        key_file=key and files / key,
    )


@pytest.mark.parametrize(
    ("cert", "key"),
    [
        pytest.param("both.pem", None, id="one-file"),
        pytest.param("cert.pem", "key.pem", id="two-files"),
    ],
)
async def test_the_certificate_is_shown(provider, files, cert, key):
    """RFC 8705 §2.1: the certificate authenticates, and the form names the client."""
    async with opened(files, cert, key) as transport:
        document = await transport.get(
            f"{provider.issuer}/.well-known/openid-configuration", max_bytes=9999
        )
        metadata = read_metadata(document.body, provider.issuer, insecure_allow_http=False)
        client = Client(provider.client_id, "", "tls_client_auth")
        request = write_token_request(
            client, PasswordGrant("john", "doe"), metadata=metadata, now=NOW
        )
        answer = await transport.post(request.url, request.headers, request.body, max_bytes=9999)

    assert answer.status == 200
    [call] = provider.token_calls
    assert (call.auth_method, call.client_id, call.client_secret) == ("none", "gateway", "")


@pytest.mark.parametrize("cert", [None, "other.pem"], ids=["no-certificate", "other-authority"])
async def test_without_its_certificate_nothing_is_had(provider, files, cert):
    """A connection the provider refuses for its certificate is one that is not available."""
    async with opened(files, cert) as transport:
        with pytest.raises(ProviderUnavailableError):
            await transport.post(f"{provider.issuer}/token", (), b"password=doe", max_bytes=9)
    assert provider.token_calls == []


async def test_a_self_signed_certificate_is_shown(files):
    """RFC 8705 §2.2: a self-signed certificate is shown like any other."""
    key = generate_ec()
    pem = self_signed(key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    context.load_verify_locations(cadata=pem.decode("ascii"))
    context.verify_mode = ssl.CERT_REQUIRED
    (files / "self.pem").write_bytes(pem + pem_of(key))
    async with (
        StrictProvider("self_signed_tls_client_auth", ssl_context=context) as provider,
        opened(files, "self.pem") as transport,
    ):
        answer = await transport.get(f"{provider.issuer}/jwks", max_bytes=9999)
    assert answer.status == 200


def pem_of(key):
    """Write a private key in PEM, in the older of its forms."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


async def test_unusable_certificate(files):
    """A certificate without its key is a configuration error that names the setting."""
    with pytest.raises(ConfigurationError, match=r"^CLIENT_CERT_FILE: .*no private key"):
        opened(files, "cert.pem")
