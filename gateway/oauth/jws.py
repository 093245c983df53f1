"""Signatures of compact JWS tokens, made and verified (RFC 7515, RFC 8725).

Rule: the checks stand in one chain, cheapest first, and every one of them must pass.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import jwt

from gateway.oauth import base64url
from gateway.oauth.strict_json import StrictJSONError, read_object

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from gateway.oauth.client_key import PrivateKey
    from gateway.oauth.key_set import KeySet, SigningKey

MAX_TOKEN_LENGTH = 16_384
MAX_HEADER_LENGTH = 2_048

ASYMMETRIC_ALGORITHMS = frozenset(  # RFC 7518 §3.1, RFC 8037 §3.1
    {
        *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
        *("ES256", "ES384", "ES512", "EdDSA"),
    }
)
SYMMETRIC_ALGORITHMS = frozenset({"HS256", "HS384", "HS512"})  # RFC 7518 §3.2
_SIGNERS = {
    alg: jwt.get_algorithm_by_name(alg) for alg in ASYMMETRIC_ALGORITHMS | SYMMETRIC_ALGORITHMS
}
_VERIFIERS = {alg: jwt.get_algorithm_by_name(alg) for alg in ASYMMETRIC_ALGORITHMS}
_REFUSED_MEMBERS = ("crit", "b64", "zip")  # RFC 7515 §4.1.11, RFC 7797 §3, RFC 7516 §4.1.3


class InvalidTokenError(Exception):
    """The token fails a check; the text is for the log and quotes none of the token."""


class UnknownKeyError(InvalidTokenError):
    """No key for this token's ``kid`` and ``alg``: a fresh key set might have it."""

    def __init__(self, message: str, kid: str | None) -> None:
        super().__init__(message)
        self.kid = kid


class OpaqueTokenError(InvalidTokenError):
    """The token is not a compact JWS, so it says nothing by itself (RFC 6749 §1.4)."""


@dataclass(frozen=True, slots=True)
class VerifiedSignature:
    """Header and payload of a token, and the thumbprint of the key that verified it."""

    header: dict[str, Any] = field(repr=False)
    payload: bytes = field(repr=False)
    thumbprint: str


class _Segments(NamedTuple):
    header: bytes
    payload: bytes
    signature: bytes
    signing_input: bytes


def verify_signature(
    token: str, key_set: KeySet, algorithms: Collection[str] = ASYMMETRIC_ALGORITHMS
) -> VerifiedSignature:
    """Verify a compact JWS with a key of ``key_set`` (RFC 7515 §5.2, RFC 8725 §3)."""
    segments = _read_segments(token)
    header = _read_header(segments.header)
    alg = _require_algorithm(header, algorithms)
    _refuse_extensions(header)
    keys = _find_keys(header, alg, key_set)
    key = _require_signature(segments, alg, keys)
    return VerifiedSignature(header, segments.payload, key.thumbprint)


def is_compact_jws(token: str) -> bool:
    """Tell whether a token says that it is a signed JWT, by three segments and an ``alg``."""
    try:
        return "alg" in _read_header(_read_segments(token).header)
    except InvalidTokenError:
        return False


def write_signed(
    header: Mapping[str, str], payload: Mapping[str, Any], key: bytes | PrivateKey
) -> str:
    """Write a compact JWS, signed as the header's ``alg`` says (RFC 7515 §5.1, §7.1).

    ``key`` fits the algorithm: bytes for HMAC, a private key for the others.
    """
    parts = (json.dumps(part, separators=(",", ":")).encode() for part in (header, payload))
    signing_input = ".".join(map(base64url.encode, parts))
    signature = _SIGNERS[header["alg"]].sign(signing_input.encode("ascii"), key)
    return f"{signing_input}.{base64url.encode(signature)}"


def _read_segments(token: str) -> _Segments:
    """Split and decode the compact serialization (RFC 7515 §7.1), size first."""
    if len(token) > MAX_TOKEN_LENGTH:
        raise InvalidTokenError(f"the token is longer than {MAX_TOKEN_LENGTH} characters")
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, payload, signature; a JWE has five
        raise OpaqueTokenError("the token does not have three segments")
    if len(parts[0]) > MAX_HEADER_LENGTH:
        raise InvalidTokenError(f"the header is longer than {MAX_HEADER_LENGTH} characters")
    try:
        header, payload, signature = map(base64url.decode, parts)
    except ValueError as exc:
        raise OpaqueTokenError("a segment is not canonical base64url") from exc
    return _Segments(header, payload, signature, token.rpartition(".")[0].encode("ascii"))


def _read_header(segment: bytes) -> dict[str, Any]:
    """Read the JOSE header, an object with unique members (RFC 7515 §4)."""
    try:
        return read_object(segment)
    except StrictJSONError as exc:
        raise InvalidTokenError(f"the header is refused: {exc}") from exc


def _require_algorithm(header: dict[str, Any], algorithms: Collection[str]) -> str:
    """Require an ``alg`` of the allow-list, asymmetric in any case (RFC 8725 §3.1, §3.2)."""
    alg = header.get("alg")
    if not isinstance(alg, str) or alg not in algorithms or alg not in _VERIFIERS:
        raise InvalidTokenError("alg is not allowed")
    return alg


def _refuse_extensions(header: dict[str, Any]) -> None:
    """Refuse header members that change how a token is read; we support none of them."""
    for member in _REFUSED_MEMBERS:
        if member in header:
            raise InvalidTokenError(f"the header has {member}, which is not supported")


def _find_keys(header: dict[str, Any], alg: str, key_set: KeySet) -> tuple[SigningKey, ...]:
    """Find keys by the exact ``kid``; ``jwk``, ``jku``, ``x5u``, ``x5c`` are never looked at."""
    kid = header.get("kid")
    if not isinstance(kid, str) and "kid" in header:
        raise InvalidTokenError("kid is not a string")
    keys = key_set.find(kid, alg)
    if not keys:
        raise UnknownKeyError("the key set has no key for this kid and alg", kid)
    return keys


def _require_signature(segments: _Segments, alg: str, keys: tuple[SigningKey, ...]) -> SigningKey:
    """Require that one of ``keys`` made the signature (RFC 7515 §5.2)."""
    verifier = _VERIFIERS[alg]
    for key in keys:
        if verifier.verify(segments.signing_input, key.key, segments.signature):
            return key
    raise InvalidTokenError("the signature does not verify")
