"""Keys, JSON Web Keys and tokens made for a test, good ones and spoilt ones alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from gateway.oauth import base64url
from gateway.oauth.key_set import KeySet, read_key_set

VECTORS = Path(__file__).parents[2] / "../shared/vectors"
ISSUER = "https://sso.example/realms/example-realm"
CLIENT_ID = "gateway"
NOW = 1_700_000_000.0

needs_vectors = pytest.mark.skipif(
    not VECTORS.is_dir(),
    reason=f"public test vectors are not shipped with the project; put them into {VECTORS}",
)


def generate_rsa(bits=2048):
    """Generate an RSA private key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def generate_ec(curve=None):
    """Generate an EC private key, on P-256 unless told otherwise."""
    return ec.generate_private_key(curve or ec.SECP256R1())


def generate_ed25519():
    """Generate an Ed25519 private key."""
    return ed25519.Ed25519PrivateKey.generate()


def generate_ed448():
    """Generate an Ed448 private key."""
    return ed448.Ed448PrivateKey.generate()


def public_jwk(key, kid=None, **extra) -> dict[str, Any]:
    """Write the public half of ``key`` as a JSON Web Key; a member set to None is left out."""
    jwk = _algorithm_of(key).to_jwk(key.public_key(), as_dict=True)
    members = {**jwk, "key_ops": None, "kid": kid, **extra}
    return {name: value for name, value in members.items() if value is not None}


def jwks(*keys) -> bytes:
    """Write a JWK Set."""
    return json.dumps({"keys": keys}).encode()


def key_set(*keys) -> KeySet:
    """Read a JWK Set of ``keys``."""
    return read_key_set(jwks(*keys))


def good_claims(**changes) -> dict[str, Any]:
    """Make the claims of a good access token; a claim changed to None is left out."""
    claims = {
        "iss": ISSUER,
        "sub": "f1c2",
        "aud": "orders",
        "exp": int(NOW) + 300,
        "iat": int(NOW),
        "azp": CLIENT_ID,
        "scope": "openid email",
        "typ": "Bearer",
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def mint(key, alg, header=None, claims=None) -> str:
    """Sign ``claims`` with ``key``; ``header`` adds to and overrides ``alg`` and ``typ``."""
    members = {"alg": alg, "typ": "JWT", **(header or {})}
    named = {name: value for name, value in members.items() if value is not None}
    payload = good_claims() if claims is None else claims
    return sign(key, alg, json.dumps(named).encode(), json.dumps(payload).encode())


def sign(key, alg, header: bytes, payload: bytes) -> str:
    """Sign any header and payload bytes, well-formed or not."""
    signing_input = f"{base64url.encode(header)}.{base64url.encode(payload)}"
    signature = jwt.get_algorithm_by_name(alg).sign(signing_input.encode(), key)
    return f"{signing_input}.{base64url.encode(signature)}"


def with_header(token: str, header: bytes | dict[str, Any]) -> str:
    """Replace the header of a token, leaving its signature."""
    _, payload, signature = token.split(".")
    data = header if isinstance(header, bytes) else json.dumps(header).encode()
    return f"{base64url.encode(data)}.{payload}.{signature}"


def with_signature(token: str, signature: bytes) -> str:
    """Replace the signature of a token."""
    return f"{token.rpartition('.')[0]}.{base64url.encode(signature)}"


def _algorithm_of(key):
    names = {rsa.RSAPrivateKey: "RS256", ec.EllipticCurvePrivateKey: "ES256"}
    name = next((alg for kind, alg in names.items() if isinstance(key, kind)), "EdDSA")
    return jwt.get_algorithm_by_name(name)
