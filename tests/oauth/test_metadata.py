from __future__ import annotations

import json

import pytest

from gateway.errors import ProviderError
from gateway.oauth.metadata import (
    MAX_BODY_BYTES,
    ProviderMetadata,
    discovery_url,
    issuers_of,
    read_metadata,
)

ISSUER = "https://sso.example/realms/r"
LOOPBACK = "http://127.0.0.1:8080/realms/r"


def document(issuer=ISSUER, **changes):
    """Write a discovery document; a member changed to None is left out."""
    members = {
        "issuer": issuer,
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": f"{issuer}/certs",
        **changes,
    }
    return json.dumps(
        {name: value for name, value in members.items() if value is not None}
    ).encode()


def read(body, issuer=ISSUER, *, insecure=False):
    """Read a discovery document."""
    return read_metadata(body, issuer, insecure_allow_http=insecure)


@pytest.mark.parametrize(
    ("issuer", "url"),
    [
        pytest.param(ISSUER, ISSUER + "/.well-known/openid-configuration", id="path"),
        pytest.param(
            "https://a.example/", "https://a.example/.well-known/openid-configuration", id="slash"
        ),
    ],
)
def test_discovery_url_is_derived(issuer, url):
    """The discovery URL is the issuer without a final slash and the well-known path."""
    assert url == discovery_url(issuer)


@pytest.mark.parametrize(
    ("setting", "issuer"),
    [
        pytest.param(ISSUER + "/.well-known/openid-configuration", ISSUER, id="OpenID Connect"),
        pytest.param(
            "https://sso.example/.well-known/oauth-authorization-server/realms/r", ISSUER, id="8414"
        ),
    ],
)
def test_discovery_url_as_setting(setting, issuer):
    """A setting that is a discovery URL is used as it is and names its issuer."""
    assert setting == discovery_url(setting)
    assert (issuer, f"{issuer}/") == issuers_of(setting)


def test_issuer_as_setting():
    """A setting that is an issuer stays as it is, a final slash too (D1)."""
    assert ("https://a.example/",) == issuers_of("https://a.example/")


def test_document_is_read():
    """The members the gateway uses are read, others are left (RFC 8414 §2)."""
    body = document(
        token_endpoint_auth_methods_supported=["client_secret_post"],
        grant_types_supported=["password"],
        introspection_endpoint=ISSUER + "/introspect",
        revocation_endpoint=ISSUER + "/revoke",
        end_session_endpoint=ISSUER + "/logout",
        userinfo_endpoint="http://unusable.example",
    )
    assert read(body) == ProviderMetadata(
        issuer=ISSUER,
        token_endpoint=ISSUER + "/token",
        jwks_uri=ISSUER + "/certs",
        token_endpoint_auth_methods_supported=("client_secret_post",),
        grant_types_supported=("password",),
        introspection_endpoint=ISSUER + "/introspect",
        revocation_endpoint=ISSUER + "/revoke",
        end_session_endpoint=ISSUER + "/logout",
    )


def test_optional_members_may_be_absent():
    """Without the optional members there are empty lists and no endpoints."""
    body = document()[:-1] + b',"revocation_endpoint":null}'
    metadata = read(body)
    assert metadata.token_endpoint_auth_methods_supported == ()
    assert metadata.revocation_endpoint is None


@pytest.mark.parametrize(
    "issuer",
    [
        pytest.param(ISSUER + "/", id="D1 a slash more"),
        pytest.param(ISSUER.upper(), id="D1 case"),
        pytest.param("https://sso.example/realms", id="D1 a prefix"),
        pytest.param("https://evil.example/realms/r", id="D1 another"),
        pytest.param([ISSUER], id="D1 a list"),
        pytest.param(None, id="D1 missing"),
    ],
)
def test_other_issuer_is_refused(issuer):
    """A document of another issuer, byte for byte, is refused (D1)."""
    with pytest.raises(ProviderError):
        read(document(issuer=issuer, token_endpoint=ISSUER, jwks_uri=ISSUER))


@pytest.mark.parametrize("name", ["token_endpoint", "jwks_uri", "revocation_endpoint"])
@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://sso.example/x", id="D2 http"),
        pytest.param("http://127.0.0.1/x", id="D2 http to loopback, down from https"),
        pytest.param("HTTP://sso.example/x", id="D2 HTTP"),
        pytest.param("file:///etc/passwd", id="D2 K7 file"),
        pytest.param("data:,x", id="D2 K7 data"),
        pytest.param("//sso.example/x", id="no scheme"),
        pytest.param("/x", id="relative"),
        pytest.param("", id="empty"),
        pytest.param("https:///x", id="no host"),
        pytest.param("https://u:p@sso.example/x", id="D3 user information"),
        pytest.param("https://sso.example/x#f", id="D3 fragment"),
        pytest.param("https://sso.example/x#", id="D3 empty fragment"),
        pytest.param("https://sso.example:0/x", id="port 0"),
        pytest.param("https://sso.example:65536/x", id="port too large"),
        pytest.param("https://[::1/x", id="bracket"),
        pytest.param("https://sso.example/x y", id="space"),
        pytest.param("https://sso.example/x\r\n", id="line break"),
        pytest.param("https://sso.example\\@evil.example/", id="backslash"),
        pytest.param("https://ss\u043e.example/x", id="not ASCII"),
        pytest.param(["https://sso.example/x"], id="a list"),
        pytest.param(1, id="a number"),
    ],
)
def test_bad_endpoint_is_refused(name, url):
    """An endpoint that is not a plain https URL is refused, flag or no flag (D2, D3)."""
    for insecure in (False, True):
        with pytest.raises(ProviderError):
            read(document(**{name: url}), insecure=insecure)


@pytest.mark.parametrize("name", ["token_endpoint", "jwks_uri"])
def test_missing_endpoint_is_refused(name):
    """A document without its endpoints is refused (RFC 8414 §2)."""
    with pytest.raises(ProviderError):
        read(document(**{name: None}))


@pytest.mark.parametrize(
    "issuer",
    [
        pytest.param(LOOPBACK, id="IPv4"),
        pytest.param("http://127.9.9.9", id="another of IPv4"),
        pytest.param("http://[::1]:8080", id="IPv6"),
        pytest.param("http://localhost:8080", id="localhost"),
    ],
)
def test_plain_http_is_allowed_on_loopback(issuer):
    """An http issuer on this machine needs no flag (D2)."""
    assert issuer == read(document(issuer), issuer).issuer


@pytest.mark.parametrize(
    "issuer",
    [
        pytest.param("http://sso.example", id="a name"),
        pytest.param("http://127.0.0.1.evil.example", id="a name like an address"),
        pytest.param("http://10.0.0.1", id="a private address"),
    ],
)
def test_plain_http_elsewhere_needs_the_flag(issuer):
    """An http issuer on another machine is refused unless the operator insists (D2)."""
    with pytest.raises(ProviderError):
        read(document(issuer), issuer)
    assert issuer == read(document(issuer), issuer, insecure=True).issuer


def test_loopback_issuer_cannot_send_elsewhere_in_the_clear():
    """An http endpoint beyond this machine needs the flag too (D2)."""
    body = document(LOOPBACK, token_endpoint="http://evil.example/token")
    with pytest.raises(ProviderError):
        read(body, LOOPBACK)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>", id="HTML"),
        pytest.param(b"[]", id="a list"),
        pytest.param(document()[:-1] + b',"issuer":"' + ISSUER.encode() + b'"}', id="duplicate"),
        pytest.param(document(x="x" * MAX_BODY_BYTES), id="large"),
        pytest.param(document(grant_types_supported="password"), id="not a list"),
        pytest.param(document(grant_types_supported=[1]), id="not strings"),
    ],
)
def test_unreadable_document_is_refused(body):
    """A document with no reading is refused."""
    with pytest.raises(ProviderError):
        read(body)


def test_user_information_of_the_issuer_is_not_quoted():
    """An issuer with a password in it is refused without being shown (L1)."""
    with pytest.raises(ProviderError) as caught:
        read(document(), "https://u:canary@sso.example")
    assert "canary" not in str(caught.value)


def test_discovery_url_of_an_issuer_with_a_final_slash():
    """D1: a discovery URL stands for its issuer with and without a final slash, and no other."""
    setting = "https://a.example/.well-known/openid-configuration"
    names = ("https://a.example", "https://a.example/")

    issuers = [read(document(name), setting).issuer for name in names]

    assert list(names) == issuers
    with pytest.raises(ProviderError):
        read(document("https://a.example//"), setting)


ALIASES = {
    "token_endpoint": "https://sso.example/mtls/token",
    "introspection_endpoint": "https://mtls.sso.example/introspect",
    "userinfo_endpoint": "nothing we use",
}


def test_aliases_for_clients_with_a_certificate():
    """RFC 8705 §5: an alias is used with TLS client authentication, and only then."""
    metadata = read(document(mtls_endpoint_aliases=ALIASES, revocation_endpoint=f"{ISSUER}/revoke"))
    assert metadata.find_endpoint("token_endpoint") == f"{ISSUER}/token"
    assert metadata.find_endpoint("token_endpoint", mtls=True) == ALIASES["token_endpoint"]
    assert metadata.find_endpoint("revocation_endpoint", mtls=True) == f"{ISSUER}/revoke"


def test_an_alias_on_another_host():
    """An alias on a host nobody has named is left out, and its use says so."""
    metadata = read(document(mtls_endpoint_aliases=ALIASES))
    assert metadata.left_out == ("mtls_endpoint_aliases.introspection_endpoint",)
    with pytest.raises(ProviderError, match="IDP_ENDPOINT_HOSTS"):
        metadata.find_endpoint("introspection_endpoint", mtls=True)


def test_an_alias_on_a_listed_host():
    """An alias on a host that is listed is used (RFC 8705 §5)."""
    metadata = read_metadata(
        document(mtls_endpoint_aliases=ALIASES),
        ISSUER,
        insecure_allow_http=False,
        endpoint_hosts=("mtls.sso.example",),
    )
    found = metadata.find_endpoint("introspection_endpoint", mtls=True)
    assert found == ALIASES["introspection_endpoint"]


def test_an_endpoint_that_is_not_there():
    """Asking for an endpoint the document does not have is an error, alias or not."""
    for mtls in (False, True):
        with pytest.raises(ProviderError, match="no revocation_endpoint"):
            read(document()).find_endpoint("revocation_endpoint", mtls=mtls)


@pytest.mark.parametrize(
    "aliases",
    [
        pytest.param([], id="a list"),
        pytest.param("https://sso.example/token", id="text"),
        pytest.param({"token_endpoint": None}, id="alias null"),
        pytest.param({"token_endpoint": "http://sso.example/token"}, id="alias http"),
        pytest.param({"token_endpoint": ["https://sso.example"]}, id="alias a list"),
    ],
)
def test_wrong_aliases(aliases):
    """D2: an alias is a URL like any endpoint, and https."""
    with pytest.raises(ProviderError):
        read(document(mtls_endpoint_aliases=aliases))


@pytest.mark.parametrize(
    ("url", "usable"),
    [
        pytest.param(ISSUER + "/userinfo", True, id="good"),
        pytest.param("http://sso.example/userinfo", False, id="http"),
        pytest.param("https://other.example/userinfo", False, id="D3-another-host"),
        pytest.param(5, False, id="not-a-text"),
        pytest.param(None, False, id="missing"),
    ],
)
def test_userinfo_endpoint(url, usable):
    """A userinfo endpoint that cannot be used is none, and spoils nothing else."""
    metadata = read(document(userinfo_endpoint=url))
    assert (url if usable else None) == metadata.userinfo_endpoint
