"""Claims of an access token in JWT form, verified (RFC 7519, RFC 8725, RFC 9068).

Rule: the signature comes first, then each claim; nothing of an unverified token is used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.oauth.jws import (
    ASYMMETRIC_ALGORITHMS,
    InvalidTokenError,
    OpaqueTokenError,
    UnknownKeyError,
    verify_signature,
)
from gateway.oauth.strict_json import StrictJSONError, is_number, read_object

if TYPE_CHECKING:
    from gateway.oauth.key_set import KeySet

__all__ = [
    "ASYMMETRIC_ALGORITHMS",
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

MAX_LIFETIME = 315_360_000  # ten years: an ``exp`` beyond is a mistake, not a date

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
    raw = _read_payload(signed.payload)
    _require_access_token(signed.header, raw)
    if expectation.client_id is None:
        _refuse_id_token(signed.header, raw)
    claims = Claims(
        iss=_require_issuer(raw, expectation.issuer),
        sub=_require_subject(raw),
        aud=_require_audience(raw, expectation.audience),
        exp=_require_expiry(raw, now, expectation.leeway),
        iat=_require_past(raw, "iat", now, expectation.leeway),
        client_id=_require_client(raw, expectation.client_id),
        scope=_optional_text(raw, "scope"),
        raw=raw,
    )
    _require_past(raw, "nbf", now, expectation.leeway)
    return Verified(claims, signed.thumbprint)


def read_introspected(raw: Mapping[str, Any], expectation: Expectation, now: float) -> Claims:
    """Read the claims of an active token as its provider tells them (RFC 7662 §2.2).

    All but ``active`` may be left out; what is there must be as in a token. Without ``exp`` it
    never expires by itself, without ``sub`` it is the client's own.
    """
    _require_access_token({}, raw)
    if _folded(raw, "token_type", "bearer") != "bearer":
        raise InvalidTokenError("token_type is not Bearer")
    if "iss" in raw:
        _require_issuer(raw, expectation.issuer)
    client_id = _require_client(raw, expectation.client_id)
    subject = {"sub": client_id, **raw}
    timed = "exp" in raw
    _require_past(raw, "nbf", now, expectation.leeway)
    return Claims(
        iss=expectation.issuer,
        sub=_require_subject(subject),
        aud=_require_audience(raw, expectation.audience),
        exp=_require_expiry(raw, now, expectation.leeway) if timed else math.inf,
        iat=_require_past(raw, "iat", now, expectation.leeway),
        client_id=client_id,
        scope=_optional_text(raw, "scope"),
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


def _read_payload(payload: bytes) -> dict[str, Any]:
    """Read the claims set, an object with unique members (RFC 7519 §4)."""
    try:
        return read_object(payload)
    except StrictJSONError as exc:
        raise InvalidTokenError(f"the claims are refused: {exc}") from exc


def _require_access_token(header: Mapping[str, Any], raw: Mapping[str, Any]) -> None:
    """Refuse other kinds of token of the same issuer (RFC 8725 §3.11, RFC 9068 §4)."""
    if _folded(header, "typ", "jwt") not in _ACCESS_TOKEN_TYPES:
        raise InvalidTokenError("the header's typ is not that of an access token")
    if _folded(raw, "typ", "bearer") in _OTHER_TOKENS:
        raise InvalidTokenError("the typ claim is not that of an access token")
    if _folded(raw, "token_use", "access") not in _ACCESS_TOKEN_USES:
        raise InvalidTokenError("the token_use claim is not that of an access token")


def _refuse_id_token(header: Mapping[str, Any], raw: Mapping[str, Any]) -> None:
    """Refuse what may be an ID token, unless it is marked as an access token (RFC 9068 §4, §5).

    An ID token is for its own client (OpenID Connect Core §2), and says nothing about scopes.
    """
    marks = (_folded(header, "typ", "jwt"), _folded(raw, "typ", ""), _folded(raw, "token_use", ""))
    if marks[0] != "jwt" or marks[1] == "bearer" or marks[2] in _ACCESS_TOKEN_USES:
        return
    if any(name in raw for name in _ID_TOKEN_CLAIMS):
        raise InvalidTokenError("the claims are those of an ID token")
    named = raw.get("azp")
    own = named is None or named in claim_values(raw.get("aud"))
    if own and not any(name in raw for name in _ACCESS_TOKEN_CLAIMS):
        raise InvalidTokenError("nothing tells the token from an ID token")


def _require_issuer(raw: Mapping[str, Any], issuer: str) -> str:
    """Require exactly the configured issuer (RFC 8725 §3.8)."""
    if raw.get("iss") != issuer:
        raise InvalidTokenError("iss is not the configured issuer")
    return issuer


def _require_subject(raw: Mapping[str, Any]) -> str:
    """Require a subject (RFC 9068 §2.2)."""
    sub = _optional_text(raw, "sub")
    if not sub:
        raise InvalidTokenError("sub is missing or empty")
    return sub


def _require_audience(raw: Mapping[str, Any], expected: tuple[str, ...] | None) -> tuple[str, ...]:
    """Require well-formed audiences, one of them expected if any is (RFC 7519 §4.1.3)."""
    aud = raw.get("aud", [])
    audiences = [aud] if isinstance(aud, str) else aud
    if not isinstance(audiences, list) or not all(isinstance(one, str) for one in audiences):
        raise InvalidTokenError("aud is neither a string nor a list of strings")
    if expected is not None and not set(expected).intersection(audiences):
        raise InvalidTokenError("aud names no expected audience")
    return tuple(audiences)


def _require_expiry(raw: Mapping[str, Any], now: float, leeway: float) -> float:
    """Require a future ``exp`` within reason (RFC 7519 §4.1.4)."""
    exp = raw.get("exp")
    if not is_number(exp):
        raise InvalidTokenError("exp is missing or not a number")
    if not now - leeway < exp <= now + MAX_LIFETIME:
        raise InvalidTokenError("the token has expired, or exp is out of range")
    return float(exp)


def _require_past(raw: Mapping[str, Any], name: str, now: float, leeway: float) -> float | None:
    """Require that ``iat`` or ``nbf``, if present, has come (RFC 7519 §4.1.5, §4.1.6)."""
    if name not in raw:
        return None
    value = raw[name]
    if not is_number(value) or not 0 <= value <= now + leeway:
        raise InvalidTokenError(f"{name} is not a number, or in the future")
    return float(value)


def _require_client(raw: Mapping[str, Any], expected: str | None) -> str | None:
    """Require that no other client is named (OpenID Connect Core §3.1.3.7, RFC 9068 §2.2)."""
    named = [raw[name] for name in ("client_id", "azp") if name in raw]
    if expected is None:
        return _optional_text(raw, "client_id") or _optional_text(raw, "azp")
    if any(client != expected for client in named):
        raise InvalidTokenError("client_id or azp names another client")
    return expected if named else None


def _optional_text(raw: Mapping[str, Any], name: str) -> str | None:
    """Read a string claim; anything else counts as absent."""
    value = raw.get(name)
    return value if isinstance(value, str) else None


def _folded(members: Mapping[str, Any], name: str, default: str) -> str:
    """Read a type name without its case; one that is not a string is refused."""
    value = members.get(name, default)
    if not isinstance(value, str):
        raise InvalidTokenError(f"{name} is not a string")
    return value.lower()
