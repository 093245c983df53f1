"""The gateway's own client authentication against oidc-provider, which judges it strictly."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from gateway.oauth.client_auth import Client, write_token_request
from gateway.oauth.client_key import generate_client_key, read_client_key
from gateway.oauth.grants import PasswordGrant
from gateway.oauth.jws import ASYMMETRIC_ALGORITHMS
from gateway.oauth.metadata import read_metadata

from .wire import ask, basic, claims, forwarded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .counterparts import CertifiedProvider
    from .running_gateway import Gateway

pytestmark = [pytest.mark.peer("oidc-provider"), pytest.mark.timeout(600)]

JOHN = basic("john", "doe")
JSON = {"Content-Type": "application/json"}
SECRET = "kong-secret-jwt-0123456789abcdef"


def register(issuer: str, method: str, **more: Any) -> str:
    """Register a client for the password grant and return its id (RFC 7591 §3)."""
    document = {
        "token_endpoint_auth_method": method,
        "grant_types": ["password"],
        "redirect_uris": [],
        "response_types": [],
        **more,
    }
    answer = ask(f"{issuer}/reg", method="POST", headers=JSON, body=json.dumps(document).encode())
    assert answer.status == 201, answer.body
    client_id: str = answer.document()["client_id"]
    return client_id


def log_in_twice(gateway: Gateway, other: str = "jürgen") -> set[str]:
    """Log in two users, which is two token requests; return whom the tokens are for."""
    second = gateway.get("/anything", basic(other, "p:ä ß%+&"))
    return {claims(forwarded(answer))["sub"] for answer in (gateway.get("/anything", JOHN), second)}


@pytest.mark.parametrize("alg", sorted(ASYMMETRIC_ALGORITHMS))
def test_private_key_jwt(
    start_gateway: Callable[..., Gateway], oidc_provider: str, tmp_path: Path, alg: str
) -> None:
    """A generated key, published and registered, authenticates every login (RFC 7523 §2.2)."""
    settings = {"CLIENT_AUTH": "private_key_jwt", "CLIENT_SECRET": "", "CLIENT_ALG": alg}
    settings |= {"ISSUER": oidc_provider, "CLIENT_KEY_FILE": str(tmp_path / "key.pem")}
    published = start_gateway(**settings).key_set()
    more = {"jwks": published, "token_endpoint_auth_signing_alg": alg}
    client_id = register(oidc_provider, "private_key_jwt", **more)

    gateway = start_gateway(**settings, CLIENT_ID=client_id)

    assert gateway.key_set() == published
    assert log_in_twice(gateway) == {"john", "jürgen"}


def test_the_key_set_is_fetched_from_the_gateway(
    start_gateway: Callable[..., Gateway], oidc_provider: str, tmp_path: Path
) -> None:
    """The provider finds the key where the gateway publishes it, also after a new one."""
    settings = {"CLIENT_AUTH": "private_key_jwt", "CLIENT_SECRET": "", "ISSUER": oidc_provider}
    settings |= {"XDG_STATE_HOME": str(tmp_path)}
    first = start_gateway(**settings)
    jwks_uri = f"http://127.0.0.1:{first.admin_port}/openid-connect/jwks"
    client_id = register(oidc_provider, "private_key_jwt", jwks_uri=jwks_uri)

    gateway = start_gateway(**settings, CLIENT_ID=client_id)

    assert gateway.key_set() == first.key_set()
    assert log_in_twice(gateway) == {"john", "jürgen"}
    assert (tmp_path / "bearergate" / "client_key.pem").stat().st_mode & 0o777 == 0o600


def test_a_key_made_elsewhere(
    start_gateway: Callable[..., Gateway], oidc_provider: str, tmp_path: Path
) -> None:
    """A private JWK is used under its own kid, chosen by discovery where there is no secret."""
    key = generate_client_key("ES256")
    path = tmp_path / "key.pem"
    path.write_bytes(key.pem())
    client_id = register(oidc_provider, "private_key_jwt", jwks={"keys": [key.jwk()]})
    gateway = start_gateway(
        ISSUER=oidc_provider, CLIENT_ID=client_id, CLIENT_SECRET="", CLIENT_KEY_FILE=str(path)
    )
    assert log_in_twice(gateway) == {"john", "jürgen"}


def test_a_replayed_assertion_is_refused(oidc_provider: str) -> None:
    """The provider takes an assertion once, so that each login needs a fresh one (RFC 7523 §3)."""
    key = generate_client_key("ES256")
    client_id = register(oidc_provider, "private_key_jwt", jwks={"keys": [key.jwk()]})
    document = ask(f"{oidc_provider}/.well-known/openid-configuration").body
    request = write_token_request(
        Client(client_id, "", "private_key_jwt", key=read_client_key(key.pem())),
        PasswordGrant("john", "doe"),
        metadata=read_metadata(document, oidc_provider, insecure_allow_http=False),
        now=time.time(),
    )
    send = {"method": "POST", "headers": dict(request.headers), "body": request.body}
    assert [ask(request.url, **send).status for _ in range(2)] == [200, 401]


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        pytest.param({"CLIENT_AUTH": "client_secret_jwt"}, 200, id="good"),
        pytest.param(
            {"CLIENT_AUTH": "client_secret_jwt", "CLIENT_ASSERTION_AUDIENCE": "token_endpoint"},
            200,
            id="for-the-token-endpoint",
        ),
        pytest.param(
            {"CLIENT_AUTH": "client_secret_jwt", "CLIENT_SECRET": "x" * 32}, 502, id="wrong-secret"
        ),
        pytest.param({"CLIENT_AUTH": "client_secret_basic"}, 502, id="another-method"),
        pytest.param({"CLIENT_AUTH": "private_key_jwt"}, 502, id="unregistered-key"),
    ],
)
def test_client_secret_jwt(
    start_gateway: Callable[..., Gateway],
    oidc_provider: str,
    tmp_path: Path,
    settings: dict[str, str],
    status: int,
) -> None:
    """The secret signs and does not travel; a gateway that is refused answers 502."""
    usual = {"CLIENT_ID": "kong-secret-jwt", "CLIENT_SECRET": SECRET, "ISSUER": oidc_provider}
    gateway = start_gateway(**{**usual, "XDG_STATE_HOME": str(tmp_path), **settings})
    answer = gateway.get("/anything", JOHN)
    assert answer.status == status
    assert answer.header("WWW-Authenticate") is None
    assert status != 200 or log_in_twice(gateway) == {"john", "jürgen"}


@pytest.mark.parametrize(("password", "status"), [("doe", 200), ("bad", 401)])
def test_public_client(
    start_gateway: Callable[..., Gateway], oidc_provider: str, password: str, status: int
) -> None:
    """A public client names itself and has no secret (RFC 6749 §3.2.1)."""
    gateway = start_gateway(
        ISSUER=oidc_provider, CLIENT_ID="kong-public", CLIENT_SECRET="", CLIENT_AUTH="none"
    )
    assert gateway.get("/anything", basic("john", password)).status == status


@pytest.mark.parametrize(
    ("client_id", "method", "certificate", "status"),
    [
        pytest.param("kong-x509", "tls_client_auth", "gateway.pem", 200, id="tls"),
        pytest.param("kong-x509", "tls_client_auth", "other.pem", 502, id="tls-another-name"),
        pytest.param("kong-x509", "tls_client_auth", "self-signed.pem", 502, id="tls-unverified"),
        pytest.param(
            "kong-self-signed", "self_signed_tls_client_auth", "self-signed.pem", 200, id="self"
        ),
        pytest.param(
            "kong-self-signed", "self_signed_tls_client_auth", "gateway.pem", 502, id="self-other"
        ),
    ],
)
def test_mutual_tls(
    start_gateway: Callable[..., Gateway],
    certified_oidc_provider: CertifiedProvider,
    client_id: str,
    method: str,
    certificate: str,
    status: int,
) -> None:
    """The certificate authenticates at the alias of the token endpoint (RFC 8705 §2, §5)."""
    provider = certified_oidc_provider
    gateway = start_gateway(
        ISSUER=provider.issuer,
        IDP_CA_FILE=str(provider.folder / "ca.pem"),
        IDP_ENDPOINT_HOSTS=f"127.0.0.1:{provider.mtls_port}",
        CLIENT_ID=client_id,
        CLIENT_SECRET="",
        CLIENT_AUTH=method,
        CLIENT_CERT_FILE=str(provider.folder / certificate),
    )
    assert gateway.get("/anything", JOHN).status == status


def test_what_is_registered_for_a_self_signed_certificate(
    start_gateway: Callable[..., Gateway], certified_oidc_provider: CertifiedProvider
) -> None:
    """The published JWK Set has the certificate that the provider compares (RFC 8705 §2.2.2)."""
    provider = certified_oidc_provider
    gateway = start_gateway(
        ISSUER=provider.issuer,
        IDP_CA_FILE=str(provider.folder / "ca.pem"),
        CLIENT_SECRET="",
        CLIENT_AUTH="self_signed_tls_client_auth",
        CLIENT_CERT_FILE=str(provider.folder / "self-signed.pem"),
    )
    [jwk] = gateway.key_set()["keys"]
    body = (provider.folder / "self-signed.pem").read_text().partition("-----END")[0]
    assert jwk["x5c"] == ["".join(body.splitlines()[1:])]
    assert "d" not in jwk


def test_no_key_and_no_assertion_reach_the_log(
    start_gateway: Callable[..., Gateway], oidc_provider: str, tmp_path: Path
) -> None:
    """The log of logins with an assertion, good and refused, holds neither key nor JWT (L1)."""
    path = tmp_path / "key.pem"
    gateway = start_gateway(
        ISSUER=oidc_provider,
        CLIENT_SECRET="",
        CLIENT_AUTH="private_key_jwt",
        CLIENT_KEY_FILE=str(path),
        LOG_LEVEL="debug",
    )
    gateway.access_line(gateway.get("/anything", JOHN))
    log = gateway.child.output()
    assert gateway.key_set()["keys"][0]["kid"] in log
    assert "PRIVATE" not in log
    assert path.read_text().splitlines()[1] not in log
    assert "eyJ" not in log
    assert urlencode({"client_assertion": ""}) not in log
