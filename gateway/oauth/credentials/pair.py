"""An identifier and its secret: where they were found, what they are, and what they may hold.

Rule: nothing is trimmed, folded or normalised; two spellings are two credentials.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from gateway.errors import (
    BodyTooLargeError,
    InvalidAccessTokenError,
    InvalidCredentialsError,
    RequestError,
)
from gateway.record import record

if TYPE_CHECKING:
    from collections.abc import Collection

MAX_BODY_BYTES = 65_536

MAX_TOKEN_LENGTH = 16_384

_B64TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")  # C0, DEL, C1


class Place(StrEnum):
    """Where in the caller's request the credentials were."""

    HEADER = "header"
    QUERY = "query"
    BODY = "body"


class Kind(StrEnum):
    """What the carrier says the pair is; only parameters tell the grant by their names."""

    BASIC = "basic"
    PASSWORD = "password"  # noqa: S105 - not a password, a kind of credentials
    CLIENT_CREDENTIALS = "client_credentials"


@record
class Credentials:
    """An identifier and a secret, both non-empty and free of control characters."""

    identifier: str
    secret: str = field(repr=False)
    place: Place
    kind: Kind


@dataclass(frozen=True, slots=True)
class Extraction:
    """Credentials and what is left of the query or body without them."""

    credentials: Credentials
    remainder: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenExtraction:
    """A token found under one name, and what is left of the query or body without it."""

    token: str = field(repr=False)
    remainder: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Names:
    """The two parameter names of a kind of credentials."""

    identifier: str
    secret: str


NAMES = {
    Kind.PASSWORD: Names("username", "password"),  # RFC 6749 §4.3.2
    Kind.CLIENT_CREDENTIALS: Names("client_id", "client_secret"),  # RFC 6749 §2.3.1
}


def names_of(kinds: Collection[Kind]) -> frozenset[str]:
    """Tell every parameter name that belongs to one of ``kinds``."""
    return frozenset(
        name
        for kind, names in NAMES.items()
        if kind in kinds
        for name in (names.identifier, names.secret)
    )


def choose_kind(present: Collection[str], kinds: Collection[Kind]) -> Kind | None:
    """Choose the kind whose pair is present; a stray secret or two pairs are refused."""
    chosen = None
    for kind, names in NAMES.items():
        if kind not in kinds or names.secret not in present:
            continue  # an identifier alone is an ordinary parameter
        if names.identifier not in present:
            raise RequestError(f"the parameter {names.secret} needs {names.identifier} beside it")
        if chosen is not None:
            raise RequestError("the request carries two pairs of credentials")
        chosen = kind
    return chosen


def make_credentials(identifier: str, secret: str, place: Place, kind: Kind) -> Credentials:
    """Make credentials of a pair; an empty part or a control character is refused."""
    if not identifier or not secret:
        raise InvalidCredentialsError("the credentials have an empty part")
    if has_control(identifier) or has_control(secret):
        raise InvalidCredentialsError("the credentials hold a control character")
    return Credentials(identifier, secret, place, kind)


def require_token(text: str) -> str:
    """Return a token that is fit for a header field, or refuse it (RFC 6750 §2.1)."""
    if len(text) > MAX_TOKEN_LENGTH or not _B64TOKEN.fullmatch(text):
        raise InvalidAccessTokenError("the token is empty, too long or holds other characters")
    return text


def has_control(text: str) -> bool:
    """Tell whether ``text`` holds a control character (RFC 7617 §2); fast for printable text."""
    return not text.isprintable() and _CONTROL.search(text) is not None


def limit_body(body: bytes) -> None:
    """Refuse a body that is too large to be searched for credentials."""
    if len(body) > MAX_BODY_BYTES:
        raise BodyTooLargeError(f"a body with credentials is limited to {MAX_BODY_BYTES} bytes")
