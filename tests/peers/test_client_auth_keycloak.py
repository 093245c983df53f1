"""The gateway's own client authentication against a real Keycloak."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.oauth.client_key import generate_client_key
from tests.provider.certificates import self_signed

from .wire import basic, claims, forwarded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .keycloak import Keycloak, Tls
    from .running_gateway import Gateway

pytestmark = [pytest.mark.peer("keycloak"), pytest.mark.timeout(600)]

JOHN, ANNA = basic("john", "doe"), basic("anna", "anna")
SIGNED = {"CLIENT_ID": "kong-signed-jwt", "CLIENT_SECRET": "", "CLIENT_AUTH": "private_key_jwt"}
SECRET = {
    "CLIENT_ID": "kong-secret-jwt",
    "CLIENT_SECRET": "kong-secret-jwt-0123456789abcdef",
    "CLIENT_AUTH": "client_secret_jwt",
}
NO_KEY = {
    "use.jwks.url": "false",
    "jwks.url": "",
    "jwt.credential.certificate": "",
    "jwt.credential.public.key": "",
}


def log_in_twice(gateway: Gateway) -> list[tuple[str, str]]:
    """Log in two users, which is two token requests; return users and client of the tokens."""
    tokens = [claims(forwarded(gateway.get("/anything", pair))) for pair in (JOHN, ANNA)]
    return [(token["preferred_username"], token["azp"]) for token in tokens]


@pytest.mark.parametrize("alg", ["RS256", "PS384", "ES256", "ES512", "EdDSA"])
def test_private_key_jwt(
    start_gateway: Callable[..., Gateway], keycloak: Keycloak, tmp_path: Path, alg: str
) -> None:
    """Keycloak fetches the generated key from the admin port and takes each fresh assertion."""
    settings = {"XDG_STATE_HOME": str(tmp_path), "CLIENT_ALG": alg}
    gateway = start_gateway(ISSUER=keycloak.issuer, **SIGNED, **settings)
    jwks_url = f"http://127.0.0.1:{gateway.admin_port}/openid-connect/jwks"
    wanted = NO_KEY | {"use.jwks.url": "true", "jwks.url": jwks_url}
    keycloak.admin().set_client_attributes("kong-signed-jwt", wanted)

    assert log_in_twice(gateway) == [("john", "kong-signed-jwt"), ("anna", "kong-signed-jwt")]


@pytest.mark.parametrize("kind", ["certificate", "public.key"])
def test_private_key_jwt_with_an_uploaded_key(
    start_gateway: Callable[..., Gateway], keycloak: Keycloak, tmp_path: Path, kind: str
) -> None:
    """A key that Keycloak was given as a certificate or public key, without a name, is found."""
    key = generate_client_key("RS256")
    (tmp_path / "key.pem").write_bytes(key.pem())
    public = key.private_key.public_key()
    der = base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    certificate = b"".join(self_signed(key.private_key).splitlines()[1:-1])
    written = {"certificate": certificate, "public.key": der}[kind].decode()
    wanted = NO_KEY | {f"jwt.credential.{kind}": written}
    keycloak.admin().set_client_attributes("kong-signed-jwt", wanted)

    gateway = start_gateway(
        ISSUER=keycloak.issuer, **SIGNED, CLIENT_KEY_FILE=str(tmp_path / "key.pem")
    )

    assert log_in_twice(gateway) == [("john", "kong-signed-jwt"), ("anna", "kong-signed-jwt")]


@pytest.mark.parametrize("audience", ["issuer", "token_endpoint"])
def test_audience(start_gateway: Callable[..., Gateway], keycloak: Keycloak, audience: str) -> None:
    """Keycloak takes both audiences an assertion may have."""
    gateway = start_gateway(ISSUER=keycloak.issuer, **SECRET, CLIENT_ASSERTION_AUDIENCE=audience)
    assert log_in_twice(gateway) == [("john", "kong-secret-jwt"), ("anna", "kong-secret-jwt")]


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({**SECRET, "CLIENT_SECRET": "x" * 32}, id="wrong-secret"),
        pytest.param({**SECRET, "CLIENT_AUTH": "client_secret_basic"}, id="another-method"),
        pytest.param(
            {**SECRET, "CLIENT_ALG": "HS384", "CLIENT_SECRET": "x" * 48}, id="wrong-secret-HS384"
        ),
        pytest.param(SIGNED, id="unknown-key"),
    ],
)
def test_a_gateway_that_keycloak_refuses_is_a_502(
    start_gateway: Callable[..., Gateway],
    keycloak: Keycloak,
    tmp_path: Path,
    settings: dict[str, str],
) -> None:
    """A refusal of the gateway's own authentication is not the caller's fault."""
    keycloak.admin().set_client_attributes("kong-signed-jwt", NO_KEY)
    gateway = start_gateway(ISSUER=keycloak.issuer, XDG_STATE_HOME=str(tmp_path), **settings)
    answer = gateway.get("/anything", JOHN)
    assert answer.status == 502
    assert answer.header("WWW-Authenticate") is None


@pytest.mark.parametrize(("password", "status"), [("doe", 200), ("bad", 401)])
def test_public_client(
    start_gateway: Callable[..., Gateway], keycloak: Keycloak, password: str, status: int
) -> None:
    """A public client names itself and has no secret (RFC 6749 §3.2.1)."""
    gateway = start_gateway(
        ISSUER=keycloak.issuer, CLIENT_ID="public", CLIENT_SECRET="", CLIENT_AUTH="none"
    )
    assert gateway.get("/anything", basic("john", password)).status == status


def test_a_callers_client_beside_a_gateway_that_signs(
    start_gateway: Callable[..., Gateway], keycloak: Keycloak
) -> None:
    """A caller's pair is the client of its own request and is sent as Basic."""
    gateway = start_gateway(ISSUER=keycloak.issuer, **SECRET)
    answer = gateway.get("/anything", basic("service", "service-secret"))
    assert claims(forwarded(answer))["azp"] == "service"


@pytest.fixture
def tls(keycloak: Keycloak) -> Tls:
    """Return where Keycloak speaks TLS."""
    if keycloak.tls is None:
        pytest.skip("the Keycloak of BEARERGATE_KEYCLOAK_URL was not started with --tls")
    return keycloak.tls


@pytest.mark.parametrize(
    ("certificate", "status"),
    [
        pytest.param("gateway.pem", 200, id="good"),
        pytest.param("other.pem", 502, id="another-name"),
    ],
)
def test_mutual_tls(
    start_gateway: Callable[..., Gateway], tls: Tls, certificate: str, status: int
) -> None:
    """The certificate's subject is compared with the registered one (RFC 8705 §2.1)."""
    gateway = start_gateway(
        ISSUER=tls.issuer,
        IDP_CA_FILE=str(tls.folder / "ca.pem"),
        CLIENT_ID="kong-x509",
        CLIENT_SECRET="",
        CLIENT_AUTH="tls_client_auth",
        CLIENT_CERT_FILE=str(tls.folder / certificate),
    )
    answer = gateway.get("/anything", JOHN)
    assert answer.status == status
    assert status != 200 or claims(forwarded(answer))["azp"] == "kong-x509"
