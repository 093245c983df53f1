"""The JWT by which the client proves who it is (RFC 7521 §4.2, RFC 7523 §2.2, OpenID Core §9).

Rule: an assertion is good for one request: it is written for it, with a ``jti`` of its own.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from gateway.oauth.jws import write_signed

if TYPE_CHECKING:
    from gateway.oauth.client_key import PrivateKey
    from gateway.oauth.grants import Form

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"  # RFC 7523 §2.2
LIFETIME = 60  # seconds; it is used at once, and the clocks may differ
MIN_SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}  # RFC 7518 §3.2


def is_long_enough(client_secret: str, alg: str) -> bool:
    """Tell whether a secret may be the key of ``alg`` (RFC 7518 §3.2, OpenID Core §16.19)."""
    return len(client_secret.encode()) >= MIN_SECRET_BYTES[alg]


def write_assertion(
    client_id: str,
    audience: str,
    *,
    alg: str,
    key: bytes | PrivateKey,
    kid: str | None = None,
    now: float,
) -> Form:
    """Write the form parameters that authenticate the client (RFC 7523 §2.2, §3).

    ``client_id`` is not among them: the assertion names the client (RFC 7521 §4.2).
    """
    header = {"alg": alg, "typ": "JWT"}
    if kid is not None:
        header["kid"] = kid
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "jti": secrets.token_urlsafe(16),
        "iat": int(now),
        "exp": int(now) + LIFETIME,
    }
    return (
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", write_signed(header, claims, key)),
    )
