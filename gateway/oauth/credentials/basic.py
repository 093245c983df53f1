"""The ``Authorization`` field with the Basic scheme (RFC 7617, RFC 9110 §11.6.2).

Rule: one spelling per pair; a value that is not the canonical base64 of its bytes is refused.
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING

from gateway.errors import InvalidCredentialsError, RequestError
from gateway.oauth.credentials.pair import Credentials, Kind, Place, make_credentials

if TYPE_CHECKING:
    from collections.abc import Sequence


def read_authorization(values: Sequence[bytes]) -> Credentials | None:
    """Read the pair of a request's ``Authorization`` fields; None = none, or another scheme."""
    pair = read_pair(values)
    return None if pair is None else make_credentials(*pair, Place.HEADER, Kind.BASIC)


def read_pair(values: Sequence[bytes]) -> tuple[str, str] | None:
    """Read the two halves of a Basic value, either of which may be empty; None as above."""
    if not values:
        return None
    if len(values) > 1:  # not a list field: RFC 9110 §5.3
        raise RequestError("more than one Authorization field")
    value = values[0]
    if value[:6].lower() != b"basic ":  # any case, then 1*SP: RFC 9110 §11.1, §11.4
        _refuse_misspelt(value)
        return None
    if b"," in value:
        raise RequestError("the Authorization field is a list")
    identifier, _, secret = _decode(value[6:].lstrip(b" ")).partition(":")  # RFC 7617 §2
    return identifier, secret


def _decode(token: bytes) -> str:
    """Decode canonical base64 (RFC 4648 §3.5) of UTF-8 (RFC 7617 §2.1)."""
    try:
        data = binascii.a2b_base64(token, strict_mode=True)
        text = data.decode("utf-8")
    except ValueError as exc:  # binascii.Error and UnicodeDecodeError
        raise InvalidCredentialsError("the Basic value is not base64 of UTF-8") from exc
    if binascii.b2a_base64(data, newline=False) != token:
        raise InvalidCredentialsError("the Basic value is not canonical base64")
    return text


def _refuse_misspelt(value: bytes) -> None:
    """Refuse another scheme's value only where it is a misspelt Basic or a list."""
    folded = value.lower()
    if folded == b"basic" or folded.startswith(b"basic\t"):
        raise InvalidCredentialsError("the Basic scheme needs a space and a value after it")
    first, *others = folded.split(b",")
    if others and (first.startswith(b"bearer ") or any(map(_begins_credentials, others))):
        raise RequestError("the Authorization field is a list")


def _begins_credentials(element: bytes) -> bool:
    """Tell whether a list element starts with a scheme of ours."""
    return element.lstrip(b" \t").startswith((b"basic ", b"bearer "))
