"""Which request bodies may carry credentials (RFC 9110 §8.3, RFC 6749 §2.3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from gateway.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

Carrier: TypeAlias = Literal["form", "json"]

_METHODS = frozenset({"POST", "PUT", "PATCH"})
_CARRIERS: dict[bytes, Carrier] = {
    b"application/x-www-form-urlencoded": "form",
    b"application/json": "json",
}
_UTF8 = frozenset({b"utf-8", b"utf8"})


def body_carrier(
    method: str, content_types: Sequence[bytes], content_encodings: Sequence[bytes]
) -> Carrier | None:
    """Tell how the body would carry credentials; None = it cannot (RFC 9110 §8.3.1)."""
    if method not in _METHODS:
        return None
    carriers = [_carrier(content_type) for content_type in content_types]
    if not any(carriers):
        return None
    if len(carriers) > 1:  # not a list field: RFC 9110 §8.3
        raise RequestError("more than one Content-Type field")
    if any(coding.strip(b" \t").lower() != b"identity" for coding in content_encodings):
        raise RequestError("a body that may carry credentials must not be content-encoded")
    if not _charsets(content_types[0]) <= _UTF8:
        raise RequestError("a body that may carry credentials must be UTF-8")
    return carriers[0]


def _carrier(content_type: bytes) -> Carrier | None:
    """Compare the media type alone, in any case (RFC 9110 §8.3.1)."""
    media_type = content_type.partition(b";")[0].strip(b" \t")
    return _CARRIERS.get(media_type.lower())


def _charsets(content_type: bytes) -> set[bytes]:
    """Collect the values of every ``charset`` parameter (RFC 9110 §8.3.2)."""
    parameters = content_type.lower().split(b";")[1:]
    pairs = [parameter.partition(b"=") for parameter in parameters]
    return {value.strip(b' \t"') for name, _, value in pairs if name.strip(b" \t") == b"charset"}
