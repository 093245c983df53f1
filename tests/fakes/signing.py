"""Signing keys of a provider: generated, published as JWKs (RFC 7517), used for JWTs (RFC 7519).

RSA keys are slow to make, so a released key is used again by the next provider under a new ``kid``.
"""

from __future__ import annotations

import json
import secrets
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

if TYPE_CHECKING:
    from collections.abc import Mapping

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

CURVES: dict[str, type[ec.EllipticCurve]] = {
    "ES256": ec.SECP256R1,
    "ES384": ec.SECP384R1,
    "ES512": ec.SECP521R1,
}

_spare: dict[str, list[PrivateKey]] = defaultdict(list)


def _kind(alg: str) -> str:
    """Tell which keys can stand in for each other: all RSA algorithms take the same kind."""
    return "RSA" if alg[:2] in {"RS", "PS"} else alg


def _generate(alg: str) -> PrivateKey:
    """Make a private key for a JWS algorithm (RFC 7518 §3.1, RFC 8037 §3.1)."""
    if alg == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if alg in CURVES:
        return ec.generate_private_key(CURVES[alg]())
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with the name and algorithm it is published under."""

    kid: str
    alg: str
    private: PrivateKey = field(repr=False)

    def jwk(self) -> dict[str, Any]:
        """Write the public half as a JWK (RFC 7517 §4)."""
        public = self.private.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            members = RSAAlgorithm.to_jwk(public, as_dict=True)
        elif isinstance(public, ec.EllipticCurvePublicKey):
            members = ECAlgorithm.to_jwk(public, as_dict=True)
        else:
            members = OKPAlgorithm.to_jwk(public, as_dict=True)
        members.pop("key_ops", None)
        return {"kid": self.kid, "use": "sig", "alg": self.alg, **members}

    def sign(self, claims: Mapping[str, Any], header: Mapping[str, Any] | None = None) -> str:
        """Sign claims as a compact JWS (RFC 7515 §7.1); the header is merged over the usual one.

        A member that is ``None`` in the header is left out, so that a token without ``kid`` can be
        made; an ``alg`` in the header is used for signing too.
        """
        merged = {"typ": "JWT", "kid": self.kid, **(header or {})}
        alg = str(merged.pop("alg", self.alg))
        kept = {name: value for name, value in merged.items() if value is not None}
        if "typ" not in kept:
            kept["typ"] = None  # PyJWT leaves an empty one out and adds a missing one
        # PyJWT insists on types of some claims; the payload is written here so that any can be made
        return jwt.api_jws.encode(_payload(claims), self.private, algorithm=alg, headers=kept)


def _payload(claims: Mapping[str, Any]) -> bytes:
    """Write the claims as JSON without the library's opinion on their types."""
    return json.dumps(claims, separators=(",", ":")).encode()


def take_key(alg: str = "RS256") -> SigningKey:
    """Give a key nobody else holds, under a ``kid`` never used before."""
    spare = _spare[_kind(alg)]
    private = spare.pop() if spare else _generate(alg)
    return SigningKey(kid=secrets.token_urlsafe(12), alg=alg, private=private)


def release_key(key: SigningKey) -> None:
    """Let the next provider use the private key again."""
    _spare[_kind(key.alg)].append(key.private)
