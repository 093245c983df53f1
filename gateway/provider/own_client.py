"""The gateway's own registration with what it takes to authenticate, and its keys to publish."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.oauth.assertion import MIN_SECRET_BYTES
from gateway.oauth.client_auth import Client
from gateway.oauth.client_key import write_key_set
from gateway.provider.client_files import keep_client_key, needs_key, read_certificate

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.oauth.client_auth import AssertionAudience, AuthMethod


@dataclass(frozen=True, slots=True)
class OwnClient:
    """The client, and the JWK Set of the public keys it is known by (RFC 7517 §5)."""

    client: Client
    key_set: bytes


def open_own_client(
    client_id: str,
    client_secret: str,
    method: AuthMethod | None,
    *,
    alg: str | None = None,
    audience: AssertionAudience = "issuer",
    key_file: Path | None = None,
    cert_file: Path | None = None,
) -> OwnClient:
    """Return the registration; a key it signs with is read, or generated where there is none.

    A file that cannot be used raises ``ConfigurationError``.
    """
    key, published = None, []
    if needs_key(method, key_file, cert_file):
        key = keep_client_key(key_file, alg)
        published.append(key.jwk())
    if method == "self_signed_tls_client_auth" and cert_file is not None:
        published.append(read_certificate(cert_file))
    client = Client(
        client_id,
        client_secret,
        method,
        key=key,
        secret_alg=alg if alg in MIN_SECRET_BYTES else "HS256",
        assertion_audience=audience,
    )
    return OwnClient(client, write_key_set(published))
