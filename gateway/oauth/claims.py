"""Claims of an access token in JWT form, verified (RFC 7519, RFC 8725, RFC 9068).

Rule: the signature comes first, then each claim; nothing of an unverified token is used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.oauth.claim_checks import (
    MAX_LIFETIME,
    folded,
    optional_text,
    read_payload,
    require_audience,
    require_client,
    require_expiry,
    require_issuer,
    require_past,
    require_subject,
)
from gateway.oauth.jws import (
    ASYMMETRIC_ALGORITHMS,
    InvalidTokenError,
    OpaqueTokenError,
    UnknownKeyError,
    verify_signature,
)

if TYPE_CHECKING:
    from gateway.oauth.key_set import KeySet

__all__ = [
    "ASYMMETRIC_ALGORITHMS",
    "MAX_LIFETIME",
    "Claims",
    "Expectation",
    "InvalidTokenError",
    "OpaqueTokenError",
    "UnknownKeyError",
    "Verified",
    "claim_values",
    "find_claim",
    "read_introspected",
    "verify",
]

_ACCESS_TOKEN_TYPES = frozenset({"at+jwt", "application/at+jwt", "jwt"})  # RFC 9068 §2.1
_ID_TOKEN_CLAIMS = ("at_hash", "c_hash", "s_hash", "nonce")  # OpenID Connect Core §2, §3.3.2.11
_ACCESS_TOKEN_USES = frozenset({"access", "access_token"})  # Cognito's, Hydra's
_ACCESS_TOKEN_CLAIMS = ("scope", "scp", "client_id", "cid", "appid")
_OTHER_TOKENS = frozenset({"id", "refresh", "offline", "logout"})  # Keycloak's claim ``typ``


@dataclass(frozen=True, slots=True)
class Claims:
    """The verified claims of RFC 7519 §4.1 and RFC 9068 §2.2; ``raw`` has all of them.

    ``introspected`` and ``user_info`` are the provider's answers they are from, where it was asked.
    """

    iss: str
    sub: str
    aud: tuple[str, ...]
    exp: float
    iat: float | None
    client_id: str | None
    scope: str | None
    raw: Mapping[str, Any] = field(repr=False)
    introspected: Mapping[str, Any] | None = field(default=None, repr=False)
    user_info: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a token must say; ``client_id`` is the client the token was asked for.

    Without one the token comes from a caller: it may be any client's, and has to show that it is
    no ID token.
    """

    issuer: str
    client_id: str | None
    algorithms: frozenset[str] = ASYMMETRIC_ALGORITHMS
    leeway: float = 30.0
    audience: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Verified:
    """Claims and the thumbprint of the key that verified them (RFC 7638)."""

    claims: Claims
    thumbprint: str


def verify(token: str, key_set: KeySet, expectation: Expectation, now: float) -> Verified:
    """Verify an access token, or raise ``InvalidTokenError`` (RFC 7519 §7.2, RFC 8725 §3)."""
    signed = verify_signature(token, key_set, expectation.algorithms)
    raw = read_payload(signed.payload)
    _require_access_token(signed.header, raw)
    if expectation.client_id is None:
        _refuse_id_token(signed.header, raw)
    claims = Claims(
        iss=require_issuer(raw, expectation.issuer),
        sub=require_subject(raw),
        aud=require_audience(raw, expectation.audience),
        exp=require_expiry(raw, now, expectation.leeway),
        iat=require_past(raw, "iat", now, expectation.leeway),
        client_id=require_client(raw, expectation.client_id),
        scope=optional_text(raw, "scope"),
        raw=raw,
    )
    require_past(raw, "nbf", now, expectation.leeway)
    return Verified(claims, signed.thumbprint)


def read_introspected(raw: Mapping[str, Any], expectation: Expectation, now: float) -> Claims:
    """Read the claims of an active token as its provider tells them (RFC 7662 §2.2).

    All but ``active`` may be left out; what is there must be as in a token. Without ``exp`` it
    never expires by itself, without ``sub`` it is the client's own.
    """
    _require_access_token({}, raw)
    if folded(raw, "token_type", "bearer") != "bearer":
        raise InvalidTokenError("token_type is not Bearer")
    if "iss" in raw:
        require_issuer(raw, expectation.issuer)
    client_id = require_client(raw, expectation.client_id)
    subject = {"sub": client_id, **raw}
    timed = "exp" in raw
    require_past(raw, "nbf", now, expectation.leeway)
    return Claims(
        iss=expectation.issuer,
        sub=require_subject(subject),
        aud=require_audience(raw, expectation.audience),
        exp=require_expiry(raw, now, expectation.leeway) if timed else math.inf,
        iat=require_past(raw, "iat", now, expectation.leeway),
        client_id=client_id,
        scope=optional_text(raw, "scope"),
        raw=raw,
        introspected=raw,
    )


def find_claim(claims: Mapping[str, Any], path: str) -> Any:
    """Find a claim by its name or its dotted path; the longest literal name wins, None = absent."""
    if path in claims:
        return claims[path]
    name, dot, rest = path.rpartition(".")
    while dot:
        inner = claims.get(name)
        if isinstance(inner, Mapping):
            return find_claim(inner, rest)
        name, dot, tail = name.rpartition(".")
        rest = f"{tail}.{rest}"
    return None


def claim_values(value: object) -> frozenset[str]:
    """Tell the values of a space-separated string or of a list of strings (RFC 6749 §3.3)."""
    if isinstance(value, str):
        value = value.split(" ")
    if not isinstance(value, list | tuple):
        return frozenset()
    return frozenset(part for part in value if isinstance(part, str) and part)


def _require_access_token(header: Mapping[str, Any], raw: Mapping[str, Any]) -> None:
    """Refuse other kinds of token of the same issuer (RFC 8725 §3.11, RFC 9068 §4)."""
    if folded(header, "typ", "jwt") not in _ACCESS_TOKEN_TYPES:
        raise InvalidTokenError("the header's typ is not that of an access token")
    if folded(raw, "typ", "bearer") in _OTHER_TOKENS:
        raise InvalidTokenError("the typ claim is not that of an access token")
    if folded(raw, "token_use", "access") not in _ACCESS_TOKEN_USES:
        raise InvalidTokenError("the token_use claim is not that of an access token")


def _refuse_id_token(header: Mapping[str, Any], raw: Mapping[str, Any]) -> None:
    """Refuse what may be an ID token, unless it is marked as an access token (RFC 9068 §4, §5).

    An ID token is for its own client (OpenID Connect Core §2), and says nothing about scopes.
    """
    marks = (folded(header, "typ", "jwt"), folded(raw, "typ", ""), folded(raw, "token_use", ""))
    if marks[0] != "jwt" or marks[1] == "bearer" or marks[2] in _ACCESS_TOKEN_USES:
        return
    if any(name in raw for name in _ID_TOKEN_CLAIMS):
        raise InvalidTokenError("the claims are those of an ID token")
    named = raw.get("azp")
    own = named is None or named in claim_values(raw.get("aud"))
    if own and not any(name in raw for name in _ACCESS_TOKEN_CLAIMS):
        raise InvalidTokenError("nothing tells the token from an ID token")
