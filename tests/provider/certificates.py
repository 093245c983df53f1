"""Certificates made for a test."""

from __future__ import annotations

import datetime as dt

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

HASHLESS = (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)


def self_signed(key, name: str = "gateway") -> bytes:
    """Write a certificate the key signs for itself, in PEM."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
    )
    hashed = None if isinstance(key, HASHLESS) else hashes.SHA256()
    return builder.sign(key, hashed).public_bytes(Encoding.PEM)
