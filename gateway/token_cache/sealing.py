"""Keys and sealed values of the token cache (RFC 2104, RFC 5869, NIST SP 800-38D).

Rule: two requests that differ in anything the token depends on never share a key, and a value
opens under the one key it was sealed for, until the moment it was sealed until.
"""

from __future__ import annotations

import math
import os
import struct
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

if TYPE_CHECKING:
    from collections.abc import Sequence

    Pairs = Sequence[tuple[str, str]]

MIN_SECRET_BYTES = 32
FORMAT = 1  # the first byte of a sealed value; a new layout gets a new number

_NONCE_BYTES = 12  # SP 800-38D §8.2.2
_EXPIRY = struct.Struct(">d")
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Opened:
    """A value that was sealed for this key and has not expired."""

    plaintext: bytes = field(repr=False)
    expires_at: float


class SealingKeys:
    """The keys made of the deployment's secrets; the first secret is the one in use."""

    def __init__(self, secrets: Sequence[bytes], deployment: str = "bearergate") -> None:
        if not secrets:
            raise ValueError("the token cache needs a secret")
        if min(map(len, secrets)) < MIN_SECRET_BYTES:
            raise ValueError(f"a token cache secret has at least {MIN_SECRET_BYTES} bytes")
        self._deployment = deployment
        self._key_roots = [_hkdf(secret, b"bearergate token cache: keys") for secret in secrets]
        self._value_roots = [_hkdf(secret, b"bearergate token cache: values") for secret in secrets]
        self._owner_roots = [_hkdf(secret, b"bearergate token cache: owners") for secret in secrets]

    def deriver(
        self,
        *,
        issuer: str,
        token_endpoint: str,
        client_id: str,
        scope: str,
        audience: str,
        extra: Sequence[tuple[str, str]] = (),
    ) -> Deriver:
        """Return what makes keys for token requests that all say this."""
        parts = [
            bytes([FORMAT]),
            self._deployment.encode(),
            issuer.encode(),
            token_endpoint.encode(),
            client_id.encode(),
            " ".join(sorted(set(scope.split(" ")))).encode(),  # a set: RFC 6749 §3.3
            audience.encode(),
            b"".join(_length_prefixed(part.encode()) for pair in extra for part in pair),
        ]
        prefix = b"".join(map(_length_prefixed, parts))
        return Deriver([_keyed(root, prefix) for root in self._key_roots])

    def owners(self, issuer: str, identifier: str) -> tuple[bytes, ...]:
        """Return the pseudonyms of a user, newest secret first, to find what is kept for them.

        Letter case makes no difference: most providers ignore it, and where one does not, a purge
        takes a namesake's entries too.
        """
        parts = (bytes([FORMAT]), self._deployment.encode(), issuer.encode(), _folded(identifier))
        named = b"".join(map(_length_prefixed, parts))
        return tuple(_keyed(root, named).finalize() for root in self._owner_roots)

    def seal(self, key: bytes, plaintext: bytes, expires_at: float) -> bytes:
        """Return the plaintext so that only this key opens it, and only until it expires."""
        if not math.isfinite(expires_at):
            raise ValueError("a sealed value has a finite expiry")
        nonce = os.urandom(_NONCE_BYTES)
        envelope = _EXPIRY.pack(expires_at) + plaintext
        cipher = _cipher(self._value_roots[0], key)
        return bytes([FORMAT]) + nonce + cipher.encrypt(nonce, envelope, _associated_data(key))

    def open(self, key: bytes, sealed: bytes, now: float) -> Opened | None:
        """Return what was sealed under this key; any defect and any expired value is None."""
        if not sealed or sealed[0] != FORMAT:
            return None
        nonce, ciphertext = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        for root in self._value_roots:
            try:
                envelope = _cipher(root, key).decrypt(nonce, ciphertext, _associated_data(key))
            except (InvalidTag, ValueError):  # ValueError: the nonce itself is cut short
                continue
            (expires_at,) = _EXPIRY.unpack_from(envelope)
            return Opened(envelope[_EXPIRY.size :], expires_at) if now < expires_at else None
        return None


class Deriver:
    """Makes the cache key of a credential: HMAC-SHA-256 over length-prefixed parts.

    Everything but the credential is hashed once and the state copied, because this runs on every
    request.
    """

    __slots__ = ("_contexts", "_prefixes")

    def __init__(self, prefixes: list[HMAC]) -> None:
        self._prefixes = prefixes  # newest secret first
        self._contexts: dict[str, tuple[HMAC, ...]] = {}

    def key(self, grant: str, identifier: str, secret: str, copied: Pairs = ()) -> bytes:
        """Return the 32 bytes under which this credential is kept.

        ``copied`` are the fields of the token request that come from the caller's request.
        """
        contexts = self._contexts.get(grant) or self._begin(grant)
        return _finish(contexts[0], identifier, secret, copied)

    def older_keys(
        self, grant: str, identifier: str, secret: str, copied: Pairs = ()
    ) -> tuple[bytes, ...]:
        """Return the keys it may still be kept under while the secret is being rotated."""
        contexts = self._contexts.get(grant) or self._begin(grant)
        return tuple(_finish(context, identifier, secret, copied) for context in contexts[1:])

    def _begin(self, grant: str) -> tuple[HMAC, ...]:
        """Hash the grant's name into every prefix; there are as many of them as grants."""
        contexts = tuple(prefix.copy() for prefix in self._prefixes)
        for context in contexts:
            context.update(_length_prefixed(grant.encode()))
        self._contexts[grant] = contexts
        return contexts


def _finish(context: HMAC, identifier: str, secret: str, copied: Pairs) -> bytes:
    # surrogatepass: one reading for every str; a lone surrogate has no strict UTF-8 form.
    user = identifier.encode("utf-8", "surrogatepass")
    password = secret.encode("utf-8", "surrogatepass")
    state = context.copy()
    state.update(_LENGTH.pack(len(user)) + user + _LENGTH.pack(len(password)) + password)
    for pair in copied:
        for part in pair:
            state.update(_length_prefixed(part.encode()))
    return state.finalize()


def _folded(identifier: str) -> bytes:
    folded = unicodedata.normalize("NFKC", identifier).casefold()
    return folded.encode("utf-8", "surrogatepass")


def _length_prefixed(part: bytes) -> bytes:
    return _LENGTH.pack(len(part)) + part


def _keyed(root: bytes, prefix: bytes) -> HMAC:
    context = HMAC(root, SHA256())
    context.update(prefix)
    return context


def _hkdf(secret: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret)


def _cipher(root: bytes, key: bytes) -> AESGCM:
    """Return AES-256-GCM under a key of the entry's own (RFC 5869 §2.3).

    So the 2^32 values one AES key may seal under random nonces (SP 800-38D §8.3) are counted
    for each entry and not for the deployment.
    """
    return AESGCM(HKDFExpand(algorithm=SHA256(), length=32, info=key).derive(root))


def _associated_data(key: bytes) -> bytes:
    return bytes([FORMAT]) + key
