"""Where the provider's endpoints may be: on the issuer's host, or on one that is listed (D3)."""

from __future__ import annotations

import json

import pytest

from gateway.errors import ProviderError
from gateway.oauth.metadata import read_metadata

GOOGLE = "https://accounts.google.com"
GOOGLE_HOSTS = ("oauth2.googleapis.com", "www.googleapis.com")


def read(issuer, token_endpoint, hosts=(), jwks_uri=None, **members):
    """Read the document of an issuer with these endpoints."""
    document = {
        "issuer": issuer,
        "token_endpoint": token_endpoint,
        "jwks_uri": jwks_uri or f"{issuer}/jwks",
        **members,
    }
    body = json.dumps(document).encode()
    return read_metadata(body, issuer, insecure_allow_http=False, endpoint_hosts=hosts)


@pytest.mark.parametrize(
    ("issuer", "token_endpoint", "hosts"),
    [
        pytest.param("https://sso.example/r", "https://sso.example/token", (), id="same-host"),
        pytest.param("https://SSO.example", "https://sso.example:443/t", (), id="same-spelled"),
        pytest.param("https://sso.example:8443", "https://sso.example:8443/t", (), id="own-port"),
        pytest.param("https://sso.example:8443", "https://sso.example/t", (), id="default-port"),
        pytest.param("https://sso.example", "https://a.example/t", ("a.example",), id="listed"),
        pytest.param(
            "https://sso.example", "https://a.example:9/t", ("a.example:9",), id="listed-port"
        ),
        pytest.param(
            "https://sso.example", "https://sso.example:9/t", ("sso.example:9",), id="own-listed"
        ),
        pytest.param("https://10.0.0.1", "https://10.0.0.1/t", (), id="literal-issuer"),
        pytest.param("https://10.0.0.1", "https://10.0.0.2/t", ("10.0.0.2",), id="literals"),
        pytest.param("https://[fd00::1]", "https://[fd00::2]/t", ("[fd00::2]",), id="IPv6"),
        pytest.param("http://localhost:1", "http://127.0.0.1:2/t", ("127.0.0.1:2",), id="loopback"),
        pytest.param("https://9.9.9.9", "https://9.9.9.9/t", (), id="public-literal"),
    ],
)
def test_permitted(issuer, token_endpoint, hosts):
    """D3: endpoints on the issuer's host need nothing, others have to be listed."""
    assert token_endpoint == read(issuer, token_endpoint, hosts).token_endpoint


@pytest.mark.parametrize(
    ("token_endpoint", "hosts"),
    [
        pytest.param("https://evil.example/t", (), id="D3-other-host"),
        pytest.param("https://evil.example/t", ("a.example",), id="D3-other-than-listed"),
        pytest.param("https://login.sso.example/t", (), id="D3-below-the-issuer"),
        pytest.param("https://example/t", (), id="D3-above-the-issuer"),
        pytest.param("https://sso.example.evil.example/t", (), id="D3-begins-alike"),
        pytest.param("https://sso.example./t", (), id="D3-final-dot"),
        pytest.param("https://sso.example:22/t", (), id="D3-odd-port"),
        pytest.param("https://a.example:22/t", ("a.example",), id="D3-odd-port-of-listed"),
        pytest.param("https://a.example/t", ("a.example:9",), id="D3-other-port-than-listed"),
        pytest.param("https://127.0.0.1/t", ("127.0.0.1",), id="D3-loopback"),
        pytest.param("https://10.0.0.1/t", ("10.0.0.1",), id="D3-private"),
        pytest.param("https://169.254.169.254/t", ("169.254.169.254",), id="D3-link-local"),
        pytest.param("https://[::1]/t", ("[::1]",), id="D3-IPv6"),
        pytest.param("https://9.9.9.9/t", ("9.9.9.9",), id="D3-public-literal"),
        pytest.param("https://2130706433/t", ("2130706433",), id="D3-decimal"),
        pytest.param("https://0x7f000001/t", ("0x7f000001",), id="D3-hexadecimal"),
        pytest.param("https://127.1/t", ("127.1",), id="D3-short"),
    ],
)
@pytest.mark.parametrize("name", ["token_endpoint", "jwks_uri"])
def test_refused(token_endpoint, hosts, name):
    """D3: elsewhere, and IP literals beside an issuer with a name, listed or not."""
    endpoints = {"token_endpoint": "https://sso.example/t", "jwks_uri": "https://sso.example/j"}

    with pytest.raises(ProviderError, match=f"{name} is on .* IDP_ENDPOINT_HOSTS"):
        read("https://sso.example", **{**endpoints, name: token_endpoint}, hosts=hosts)


def test_google():
    """D3: an issuer whose endpoints are on two more hosts needs both of them listed."""
    endpoints = {
        "token_endpoint": "https://oauth2.googleapis.com/token",
        "jwks_uri": "https://www.googleapis.com/oauth2/v3/certs",
    }

    assert read(GOOGLE, **endpoints, hosts=GOOGLE_HOSTS).token_endpoint.endswith("/token")
    for one in GOOGLE_HOSTS:
        with pytest.raises(ProviderError, match="IDP_ENDPOINT_HOSTS"):
            read(GOOGLE, **endpoints, hosts=(one,))


def test_optional_endpoints_elsewhere_are_left_out():
    """D3: an endpoint the gateway can do without is not used on a host nobody listed."""
    metadata = read(
        "https://sso.example",
        "https://sso.example/t",
        revocation_endpoint="https://evil.example/revoke",
        introspection_endpoint="https://sso.example/introspect",
    )

    assert metadata.revocation_endpoint is None
    assert metadata.introspection_endpoint == "https://sso.example/introspect"
    assert metadata.left_out == ("revocation_endpoint",)
