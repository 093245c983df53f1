"""One JSON Web Key that may verify a signature (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).

Rule: a key states what it is for, is strong enough, public and well-formed, or it is not used.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurve,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from gateway.oauth import base64url
from gateway.oauth.roca import has_roca_fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey

RSA_ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
MIN_RSA_BITS = 2_048  # RFC 7518 §3.3
MAX_RSA_BITS = 16_384  # OpenSSL's own limit
MAX_EXPONENT_BITS = 64  # OpenSSL's own limit for large moduli

_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})  # RFC 7518 §6.2.2, §6.3.2, §6.4


class UnusableKeyError(ValueError):
    """The key must not verify signatures; the text says why and quotes none of it."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key, the algorithms it may verify, and its thumbprint (RFC 7638)."""

    kid: str | None
    algorithms: frozenset[str]
    key: PublicKey = field(repr=False)
    thumbprint: str


@dataclass(frozen=True, slots=True)
class _Material:
    """What the key parameters of a JWK make, and its required members (RFC 7638 §3.2)."""

    key: PublicKey
    algorithms: frozenset[str]
    required: dict[str, str]


def read_signing_key(jwk: object) -> SigningKey:
    """Read a member of a JWK Set; one that must not verify raises ``UnusableKeyError``."""
    if not isinstance(jwk, dict):
        raise UnusableKeyError("it is not an object")
    _require_public(jwk)
    _require_verification_use(jwk)
    kid = jwk.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise UnusableKeyError("kid is not a string")
    material = _read_material(jwk)
    return SigningKey(
        kid=kid,
        algorithms=_read_algorithms(jwk, material.algorithms),
        key=material.key,
        thumbprint=_thumbprint(material.required),
    )


def _require_public(jwk: dict[str, Any]) -> None:
    """Refuse a key that is, or carries, a secret (RFC 7517 §9.2)."""
    if not _PRIVATE.isdisjoint(jwk):
        raise UnusableKeyError("it carries private members")


def _require_verification_use(jwk: dict[str, Any]) -> None:
    """Refuse a key meant for something else (RFC 7517 §4.2, §4.3)."""
    if jwk.get("use", "sig") != "sig":
        raise UnusableKeyError("use is not sig")
    key_ops = jwk.get("key_ops", ["verify"])
    if not isinstance(key_ops, list) or "verify" not in key_ops:
        raise UnusableKeyError("key_ops lacks verify")


def _read_algorithms(jwk: dict[str, Any], possible: frozenset[str]) -> frozenset[str]:
    """Narrow a key to its ``alg``, if it names one (RFC 7517 §4.4, RFC 8725 §3.1)."""
    alg = jwk.get("alg")
    if alg is None:
        return possible
    if not isinstance(alg, str) or alg not in possible:
        raise UnusableKeyError("alg is not a signature algorithm of this kind of key")
    return frozenset({alg})


def _read_material(jwk: dict[str, Any]) -> _Material:
    match jwk.get("kty"):
        case "RSA":
            return _read_rsa(jwk)
        case "EC":
            return _read_ec(jwk)
        case "OKP":
            return _read_okp(jwk)
        case _:
            raise UnusableKeyError("kty is none of RSA, EC and OKP")


def _read_rsa(jwk: dict[str, Any]) -> _Material:
    """Read an RSA public key (RFC 7518 §6.3.1)."""
    modulus = int.from_bytes(read_octets(jwk, "n"))
    exponent = int.from_bytes(read_octets(jwk, "e"))
    _require_sound_rsa(modulus, exponent)
    numbers = RSAPublicNumbers(exponent, modulus)
    key = _load(numbers.public_key, "n and e are not an RSA key")
    required = {"e": write_unsigned(exponent), "kty": "RSA", "n": write_unsigned(modulus)}
    return _Material(key, RSA_ALGORITHMS, required)


def _require_sound_rsa(modulus: int, exponent: int) -> None:
    """Refuse keys that anyone could forge for, or that cost too much (RFC 8725 §3.5)."""
    if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS:
        raise UnusableKeyError(f"n has fewer than {MIN_RSA_BITS} or more than {MAX_RSA_BITS} bits")
    if modulus % 2 == 0:
        raise UnusableKeyError("n is even")
    if exponent % 2 == 0 or exponent == 1 or exponent.bit_length() > MAX_EXPONENT_BITS:
        raise UnusableKeyError(f"e is even, 1, or has more than {MAX_EXPONENT_BITS} bits")
    if has_roca_fingerprint(modulus):
        raise UnusableKeyError("n bears the ROCA fingerprint")


def _read_ec(jwk: dict[str, Any]) -> _Material:
    """Read an EC public key (RFC 7518 §6.2.1, RFC 8725 §3.4)."""
    crv = jwk.get("crv")
    if not isinstance(crv, str) or crv not in _CURVES:
        raise UnusableKeyError("crv is none of P-256, P-384 and P-521")
    curve, size, alg = _CURVES[crv]
    x, y = read_octets(jwk, "x"), read_octets(jwk, "y")
    if len(x) != size or len(y) != size:
        raise UnusableKeyError("x or y has the wrong length for its curve")
    numbers = EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), curve)
    key = _load(numbers.public_key, "the point is not on its curve")
    required = {"crv": crv, "kty": "EC", "x": jwk["x"], "y": jwk["y"]}
    return _Material(key, frozenset({alg}), required)


def _read_okp(jwk: dict[str, Any]) -> _Material:
    """Read an Ed25519 or Ed448 public key (RFC 8037 §2)."""
    crv = jwk.get("crv")
    if not isinstance(crv, str) or crv not in _EDWARDS:
        raise UnusableKeyError("crv is none of Ed25519 and Ed448")
    key = _load(partial(_EDWARDS[crv].from_public_bytes, read_octets(jwk, "x")), "x is not a key")
    return _Material(key, frozenset({"EdDSA"}), {"crv": crv, "kty": "OKP", "x": jwk["x"]})


def _load(load: Callable[[], PublicKey], reason: str) -> PublicKey:
    """Make the key object; what the library refuses is dropped for ``reason``."""
    try:
        return load()
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise UnusableKeyError(reason) from exc


def read_octets(jwk: Mapping[str, Any], name: str) -> bytes:
    """Read a base64url member (RFC 7518 §2)."""
    value = jwk.get(name)
    if not isinstance(value, str):
        raise UnusableKeyError(f"{name} is not a string")
    try:
        return base64url.decode(value)
    except ValueError as exc:
        raise UnusableKeyError(f"{name} is not base64url") from exc


def write_unsigned(value: int) -> str:
    """Write a Base64urlUInt without leading zeros (RFC 7518 §2)."""
    return base64url.encode(value.to_bytes((value.bit_length() + 7) // 8))


def _thumbprint(required: dict[str, str]) -> str:
    """Compute the SHA-256 thumbprint of the required members (RFC 7638 §3)."""
    text = json.dumps(required, sort_keys=True, separators=(",", ":"))
    return base64url.encode(hashlib.sha256(text.encode("ascii")).digest())


_CURVES: dict[str, tuple[EllipticCurve, int, str]] = {  # RFC 7518 §3.4, §6.2.1
    "P-256": (SECP256R1(), 32, "ES256"),
    "P-384": (SECP384R1(), 48, "ES384"),
    "P-521": (SECP521R1(), 66, "ES512"),
}
_EDWARDS: dict[str, type[Ed25519PublicKey | Ed448PublicKey]] = {
    "Ed25519": Ed25519PublicKey,
    "Ed448": Ed448PublicKey,
}
