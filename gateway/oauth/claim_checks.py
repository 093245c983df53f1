"""What is asked of single claims, whatever kind of token they are from (RFC 7519 §4.1, RFC 8725).

Rule: what is refused raises ``InvalidTokenError``; nothing is mended.
"""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING, Any

from gateway.oauth.jws import InvalidTokenError
from gateway.oauth.strict_json import StrictJSONError, is_number, read_object

if TYPE_CHECKING:
    from collections.abc import Mapping

_ALIKE = frozenset({"acr", "azp", "client_id", "iss", "scope", "typ"})
MAX_LIFETIME = 315_360_000  # ten years: an ``exp`` beyond is a mistake, not a date


def read_payload(payload: bytes) -> dict[str, Any]:
    """Read the claims set, an object with unique members (RFC 7519 §4)."""
    try:
        raw = read_object(payload)
    except StrictJSONError as exc:
        raise InvalidTokenError(f"the claims are refused: {exc}") from exc
    _share(raw)
    return raw


def _share(raw: dict[str, Any]) -> None:
    """Keep once what many tokens say alike: who issued them, to whom, and members of lists."""
    for name, value in raw.items():
        if isinstance(value, dict):
            _share(value)
        elif isinstance(value, list):
            raw[name] = [intern(one) if isinstance(one, str) else one for one in value]
        elif name in _ALIKE and isinstance(value, str):
            raw[name] = intern(value)


def require_issuer(raw: Mapping[str, Any], issuer: str) -> str:
    """Require exactly the configured issuer (RFC 8725 §3.8)."""
    if raw.get("iss") != issuer:
        raise InvalidTokenError("iss is not the configured issuer")
    return issuer


def require_subject(raw: Mapping[str, Any]) -> str:
    """Require a subject (RFC 9068 §2.2)."""
    sub = optional_text(raw, "sub")
    if not sub:
        raise InvalidTokenError("sub is missing or empty")
    return sub


def require_audience(raw: Mapping[str, Any], expected: tuple[str, ...] | None) -> tuple[str, ...]:
    """Require well-formed audiences, one of them expected if any is (RFC 7519 §4.1.3)."""
    aud = raw.get("aud", [])
    audiences = [aud] if isinstance(aud, str) else aud
    if not isinstance(audiences, list) or not all(isinstance(one, str) for one in audiences):
        raise InvalidTokenError("aud is neither a string nor a list of strings")
    if expected is not None and not set(expected).intersection(audiences):
        raise InvalidTokenError("aud names no expected audience")
    return tuple(audiences)


def require_expiry(raw: Mapping[str, Any], now: float, leeway: float) -> float:
    """Require a future ``exp`` within reason (RFC 7519 §4.1.4)."""
    exp = raw.get("exp")
    if not is_number(exp):
        raise InvalidTokenError("exp is missing or not a number")
    if not now - leeway < exp <= now + MAX_LIFETIME:
        raise InvalidTokenError("the token has expired, or exp is out of range")
    return exp


def require_past(raw: Mapping[str, Any], name: str, now: float, leeway: float) -> float | None:
    """Require that ``iat`` or ``nbf``, if present, has come (RFC 7519 §4.1.5, §4.1.6)."""
    if name not in raw:
        return None
    value = raw[name]
    if not is_number(value) or not 0 <= value <= now + leeway:
        raise InvalidTokenError(f"{name} is not a number, or in the future")
    return value


def require_client(raw: Mapping[str, Any], expected: str | None) -> str | None:
    """Require that no other client is named (OpenID Connect Core §3.1.3.7, RFC 9068 §2.2)."""
    named = [raw[name] for name in ("client_id", "azp") if name in raw]
    if expected is None:
        return optional_text(raw, "client_id") or optional_text(raw, "azp")
    if any(client != expected for client in named):
        raise InvalidTokenError("client_id or azp names another client")
    return expected if named else None


def optional_text(raw: Mapping[str, Any], name: str) -> str | None:
    """Read a string claim; anything else counts as absent."""
    value = raw.get(name)
    return value if isinstance(value, str) else None


def folded(members: Mapping[str, Any], name: str, default: str) -> str:
    """Read a type name without its case; one that is not a string is refused."""
    value = members.get(name, default)
    if not isinstance(value, str):
        raise InvalidTokenError(f"{name} is not a string")
    return value.lower()
