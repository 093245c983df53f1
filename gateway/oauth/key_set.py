"""The provider's JWK Set (RFC 7517 §5), reduced to the keys that may verify a signature.

Rule: a member that must not be used is dropped and said so; it never spoils the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.errors import ProviderError
from gateway.oauth.jwk import SigningKey, UnusableKeyError, read_signing_key
from gateway.oauth.strict_json import StrictJSONError, read_object

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MAX_BODY_BYTES", "MAX_KEYS", "MAX_TRIED", "KeySet", "SigningKey", "read_key_set"]

MAX_BODY_BYTES = 524_288
MAX_KEYS = 100
MAX_TRIED = 4


@dataclass(frozen=True, slots=True)
class KeySet:
    """The usable keys of a JWK Set, and why the others were dropped."""

    keys: tuple[SigningKey, ...]
    dropped: tuple[str, ...] = ()
    kids: frozenset[str] = field(init=False)
    thumbprints: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        kids = frozenset(key.kid for key in self.keys if key.kid is not None)
        object.__setattr__(self, "kids", kids)
        object.__setattr__(self, "thumbprints", frozenset(key.thumbprint for key in self.keys))

    def __contains__(self, kid: object) -> bool:
        return kid in self.kids

    def find(self, kid: str | None, alg: str) -> tuple[SigningKey, ...]:
        """Find the keys for ``alg`` under exactly ``kid``; without one, the first few for ``alg``.

        ``kid`` is compared, never interpreted (RFC 8725 §3.10).
        """
        fitting = [key for key in self.keys if alg in key.algorithms]
        return tuple(key for key in fitting if kid is None or key.kid == kid)[:MAX_TRIED]


def read_key_set(body: bytes) -> KeySet:
    """Read a JWK Set (RFC 7517 §5); one without a usable key raises ``ProviderError``."""
    keys: list[SigningKey] = []
    dropped: list[str] = []
    for number, jwk in enumerate(_read_members(body), start=1):
        try:
            keys.append(read_signing_key(jwk))
        except UnusableKeyError as exc:
            dropped.append(f"key {number}: {exc}")
    ambiguous = _ambiguous_kids(keys)
    dropped.extend("two different keys share a kid; both are dropped" for _ in ambiguous)
    usable = tuple(key for key in keys if key.kid not in ambiguous)
    if not usable:
        raise ProviderError(f"the key set has no usable key: {'; '.join(dropped) or 'it is empty'}")
    return KeySet(usable, tuple(dropped))


def _read_members(body: bytes) -> list[object]:
    if len(body) > MAX_BODY_BYTES:
        raise ProviderError(f"the key set is larger than {MAX_BODY_BYTES} bytes")
    try:
        keys = read_object(body).get("keys")
    except StrictJSONError as exc:
        raise ProviderError(f"the key set is refused: {exc}") from exc
    if not isinstance(keys, list):
        raise ProviderError("the key set has no list of keys")
    if len(keys) > MAX_KEYS:
        raise ProviderError(f"the key set has more than {MAX_KEYS} keys")
    return keys


def _ambiguous_kids(keys: Sequence[SigningKey]) -> frozenset[str]:
    """Tell which ``kid`` values name more than one key (RFC 7517 §4.5)."""
    seen: dict[str, str] = {}
    return frozenset(
        key.kid
        for key in keys
        if key.kid is not None and seen.setdefault(key.kid, key.thumbprint) != key.thumbprint
    )
