"""ID tokens of the token endpoint, verified (OpenID Connect Core §3.1.3.7).

Rule: one is a statement to the client it names, about whom the access token beside it is for; one
that does not show both is never sent on.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.oauth import base64url
from gateway.oauth.claim_checks import (
    folded,
    read_payload,
    require_audience,
    require_client,
    require_expiry,
    require_issuer,
    require_past,
    require_subject,
)
from gateway.oauth.jws import InvalidTokenError, verify_signature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.oauth.claims import Expectation
    from gateway.oauth.key_set import KeySet

_MARKS = (("typ", "id"), ("token_use", "id"))  # Keycloak's, Cognito's


@dataclass(frozen=True, slots=True)
class IDToken:
    """A verified ID token as it was issued; ``thumbprint`` names the key that verified it."""

    text: str = field(repr=False)
    expires_at: float
    thumbprint: str


def verify_id_token(
    id_token: str,
    key_set: KeySet,
    expectation: Expectation,
    now: float,
    *,
    access_token: str,
    subject: str,
) -> IDToken:
    """Verify an ID token issued with an access token about ``subject``.

    Anything else, also another kind of token, raises ``InvalidTokenError``.
    """
    signed = verify_signature(id_token, key_set, expectation.algorithms)
    raw = read_payload(signed.payload)
    _require_id_token(signed.header, raw)
    require_issuer(raw, expectation.issuer)
    _require_own(raw, expectation.client_id or "")
    expires_at = require_expiry(raw, now, expectation.leeway)
    if require_past(raw, "iat", now, expectation.leeway) is None:
        raise InvalidTokenError("iat is missing")
    require_past(raw, "nbf", now, expectation.leeway)
    _require_companion(signed.header["alg"], raw, access_token, subject)
    return IDToken(id_token, expires_at, signed.thumbprint)


def _require_id_token(header: Mapping[str, Any], raw: Mapping[str, Any]) -> None:
    """Refuse other kinds of token of the same issuer (RFC 8725 §3.11)."""
    if folded(header, "typ", "jwt") != "jwt":
        raise InvalidTokenError("the header's typ is not that of an ID token")
    for name, value in _MARKS:
        if folded(raw, name, value) != value:
            raise InvalidTokenError(f"the {name} claim is not that of an ID token")


def _require_own(raw: Mapping[str, Any], client_id: str) -> None:
    """Require that it is for this client, and for others only if it says whose it is."""
    audiences = require_audience(raw, (client_id,))
    require_client(raw, client_id)
    if len(audiences) > 1 and "azp" not in raw:
        raise InvalidTokenError("there are several audiences and no azp")


def _require_companion(alg: str, raw: Mapping[str, Any], access_token: str, subject: str) -> None:
    """Require that it came with this access token (§3.1.3.8), else that both are about one user."""
    own = require_subject(raw)
    if "at_hash" not in raw:
        if own != subject:
            raise InvalidTokenError("sub is not that of the access token, and at_hash is missing")
        return
    if raw["at_hash"] not in _hashes(alg, access_token):
        raise InvalidTokenError("at_hash is not that of the access token")


def _hashes(alg: str, access_token: str) -> list[str]:
    """Return the left half of the access token's digest, by the digest of ``alg``.

    EdDSA has one for each curve (RFC 8032 §5.1, §5.2).
    """
    data = access_token.encode("ascii")
    if alg == "EdDSA":
        digests = [hashlib.sha512(data).digest(), hashlib.shake_256(data).digest(114)]
    else:
        digests = [hashlib.new(f"sha{alg[2:]}", data).digest()]
    return [base64url.encode(each[: len(each) // 2]) for each in digests]
