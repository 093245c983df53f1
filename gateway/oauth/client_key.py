"""The gateway's own private key, and its public half to publish (RFC 7517, RFC 7518 §6, RFC 8037).

Rule: only the public half is ever written as a JWK, and no representation or error shows the key.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_pem_x509_certificate

from gateway.oauth import base64url
from gateway.oauth.jwk import UnusableKeyError, read_octets, read_signing_key, write_unsigned
from gateway.oauth.strict_json import StrictJSONError, read_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateway.oauth.jwk import PublicKey, SigningKey

PrivateKey: TypeAlias = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)
Members: TypeAlias = dict[str, Any]

DEFAULT_ALG = "RS256"  # OpenID Connect Registration §2, token_endpoint_auth_signing_alg
GENERATED_RSA_BITS = 2_048  # RFC 7518 §3.3

_CURVES: dict[str, ec.EllipticCurve] = {  # RFC 7518 §6.2.1.1
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
}
_CURVE_NAMES = {curve.name: crv for crv, curve in _CURVES.items()}
_CURVE_OF_ALG = dict(zip(("ES256", "ES384", "ES512"), _CURVES.values(), strict=True))
_EDWARDS: dict[str, type[ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey]] = {  # RFC 8037 §2
    "Ed25519": ed25519.Ed25519PrivateKey,
    "Ed448": ed448.Ed448PrivateKey,
}


@dataclass(frozen=True, slots=True)
class ClientKey:
    """A private key, the algorithm it signs with, and the name it is published under."""

    kid: str
    alg: str
    private_key: PrivateKey = field(repr=False)

    def jwk(self) -> Members:
        """Write the public half as a JWK (RFC 7517 §4)."""
        named = {"kid": self.kid, "use": "sig", "alg": self.alg}
        return {**named, **_public_members(self.private_key)}

    def pem(self) -> bytes:
        """Write the private key, unencrypted, for its file (RFC 5958, RFC 7468 §10)."""
        return self.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def read_client_key(data: bytes, alg: str | None = None) -> ClientKey:
    """Read a private key from PEM or a JWK; a wrong one raises ``UnusableKeyError``.

    Without ``alg`` the key's own is taken: that of the JWK, RS256 for RSA, else the only one.
    ``kid`` is the JWK's, else the key's fingerprint.
    """
    is_jwk = data.lstrip().startswith(b"{")
    private_key, said = _read_jwk(data) if is_jwk else (_read_pem(data), {})
    public = read_signing_key({**said, **_public_members(private_key)})
    return ClientKey(
        kid=public.kid or _fingerprint(public.key),
        alg=_choose_algorithm(public, alg),
        private_key=private_key,
    )


def generate_client_key(alg: str | None = None) -> ClientKey:
    """Generate a key for ``alg``, named by its fingerprint."""
    alg = alg or DEFAULT_ALG
    private_key: PrivateKey
    if alg == "EdDSA":
        private_key = ed25519.Ed25519PrivateKey.generate()
    elif alg in _CURVE_OF_ALG:
        private_key = ec.generate_private_key(_CURVE_OF_ALG[alg])
    else:
        private_key = rsa.generate_private_key(65_537, GENERATED_RSA_BITS)
    return ClientKey(_fingerprint(private_key.public_key()), alg, private_key)


def read_certificate_jwk(data: bytes) -> Members:
    """Write the key of a PEM certificate as a JWK with ``x5c`` (RFC 7517 §4.7, RFC 8705 §2.2.2)."""
    try:
        certificate = load_pem_x509_certificate(data)
        public_key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise UnusableKeyError("it is not a PEM certificate with a usable key") from exc
    members = _members_of(public_key)
    der = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode("ascii")
    kid = _fingerprint(read_signing_key(members).key)
    return {"kid": kid, "use": "sig", **members, "x5c": [der]}


def write_key_set(jwks: Iterable[Members]) -> bytes:
    """Write public keys as a JWK Set (RFC 7517 §5)."""
    return json.dumps({"keys": list(jwks)}).encode("ascii")


def _fingerprint(key: PublicKey) -> str:
    """Name a key by the SHA-256 of its SubjectPublicKeyInfo (RFC 5280 §4.1).

    A ``kid`` may be anything (RFC 7517 §4.5), and this is how Keycloak names a key it was given as
    a certificate or in PEM: under another name it would not find it.
    """
    info = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64url.encode(hashlib.sha256(info).digest())


def _choose_algorithm(public: SigningKey, alg: str | None) -> str:
    if alg is not None and alg not in public.algorithms:
        fitting = ", ".join(sorted(public.algorithms))
        raise UnusableKeyError(f"the key does not fit {alg}; it fits {fitting}")
    if alg is not None:
        return alg
    return DEFAULT_ALG if DEFAULT_ALG in public.algorithms else min(public.algorithms)


def _read_pem(data: bytes) -> PrivateKey:
    """Read PKCS #8, PKCS #1 or SEC 1 in PEM (RFC 7468 §10)."""
    try:
        key = load_pem_private_key(data, None)
    except TypeError as exc:
        raise UnusableKeyError("the key is encrypted; decrypt it") from exc
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise UnusableKeyError("it is neither a private key in PEM nor a JWK") from exc
    if not isinstance(key, PrivateKey):
        raise UnusableKeyError("it is not an RSA, EC, Ed25519 or Ed448 key")
    return key


def _read_jwk(data: bytes) -> tuple[PrivateKey, Members]:
    """Read a private JWK (RFC 7517 §4); return the key and what the JWK says about it."""
    try:
        jwk = read_object(data)
    except StrictJSONError as exc:
        raise UnusableKeyError(f"it is not a JWK: {exc}") from exc
    if "d" not in jwk:
        raise UnusableKeyError("the JWK has no private member d")
    key_ops = jwk.get("key_ops", ["sign"])
    if not isinstance(key_ops, list) or "sign" not in key_ops:  # RFC 7517 §4.3
        raise UnusableKeyError("key_ops lacks sign")
    try:
        key = _read_private(jwk)
    except UnusableKeyError:
        raise
    except (ValueError, ArithmeticError, UnsupportedAlgorithm) as exc:
        raise UnusableKeyError("its members are not a private key") from exc
    if any(jwk.get(name) != value for name, value in _public_members(key).items()):
        raise UnusableKeyError("its private and its public members do not belong together")
    return key, {name: jwk[name] for name in ("kid", "use", "alg") if name in jwk}


def _read_private(jwk: Mapping[str, Any]) -> PrivateKey:
    match jwk.get("kty"), jwk.get("crv"):
        case "RSA", _:
            return _read_rsa(jwk)
        case "EC", str(crv) if crv in _CURVES:
            return ec.derive_private_key(_number(jwk, "d"), _CURVES[crv])
        case "OKP", str(crv) if crv in _EDWARDS:
            return _EDWARDS[crv].from_private_bytes(read_octets(jwk, "d"))
        case _:
            raise UnusableKeyError("kty and crv name none of RSA, P-256 to P-521, Ed25519, Ed448")


def _read_rsa(jwk: Mapping[str, Any]) -> rsa.RSAPrivateKey:
    """Read an RSA private key; its primes may be left out (RFC 7518 §6.3.2)."""
    if "oth" in jwk:
        raise UnusableKeyError("a key of more than two primes is not supported")
    n, e, d = (_number(jwk, name) for name in ("n", "e", "d"))
    if "p" in jwk and "q" in jwk:
        p, q = _number(jwk, "p"), _number(jwk, "q")
    else:
        p, q = rsa.rsa_recover_prime_factors(n, e, d)
    # Computed and not read: what the file says about them cannot be wrong then.
    dmp1, dmq1, iqmp = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, dmp1, dmq1, iqmp, rsa.RSAPublicNumbers(e, n))
    return numbers.private_key()


def _number(jwk: Mapping[str, Any], name: str) -> int:
    return int.from_bytes(read_octets(jwk, name))


def _public_members(key: PrivateKey) -> Members:
    return _members_of(key.public_key())


def _members_of(key: object) -> Members:
    """Write the members that are the public key (RFC 7518 §6.2.1, §6.3.1, RFC 8037 §2)."""
    match key:
        case rsa.RSAPublicKey():
            numbers = key.public_numbers()
            return {"kty": "RSA", "n": write_unsigned(numbers.n), "e": write_unsigned(numbers.e)}
        case ec.EllipticCurvePublicKey():
            return _ec_members(key)
        case ed25519.Ed25519PublicKey():
            return {"kty": "OKP", "crv": "Ed25519", "x": base64url.encode(key.public_bytes_raw())}
        case ed448.Ed448PublicKey():
            return {"kty": "OKP", "crv": "Ed448", "x": base64url.encode(key.public_bytes_raw())}
        case _:
            raise UnusableKeyError("it is not an RSA, EC, Ed25519 or Ed448 key")


def _ec_members(key: ec.EllipticCurvePublicKey) -> Members:
    """Write the point, each coordinate as long as its curve asks (RFC 7518 §6.2.1.2)."""
    point, size = key.public_numbers(), (key.curve.key_size + 7) // 8
    x, y = (base64url.encode(value.to_bytes(size)) for value in (point.x, point.y))
    return {"kty": "EC", "crv": _CURVE_NAMES.get(key.curve.name, key.curve.name), "x": x, "y": y}
