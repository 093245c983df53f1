"""Credentials among the fields of a query or a form (RFC 6749 §2.3.1, WHATWG URL §5.1).

Rule: only ``&`` separates, names are compared decoded, and what is not removed keeps every byte.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from gateway.errors import BodyTooLargeError, InvalidCredentialsError, RequestError
from gateway.oauth.credentials.pair import (
    NAMES,
    Extraction,
    Kind,
    Place,
    TokenExtraction,
    choose_kind,
    limit_body,
    make_credentials,
    names_of,
    require_token,
)

if TYPE_CHECKING:
    from collections.abc import Collection

MAX_FIELDS = 1_000

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")  # RFC 3986 §2.1


def read_query(query: bytes, kinds: frozenset[Kind]) -> Extraction | None:
    """Read the pair of a raw query without its ``?``; the remainder is the query without it."""
    if query.count(b"&") >= MAX_FIELDS:
        raise RequestError(f"the query has more than {MAX_FIELDS} fields")
    return _extract(query, kinds, Place.QUERY)


def read_form(body: bytes, kinds: frozenset[Kind]) -> Extraction | None:
    """Read the pair of a form body; the remainder is the body without it."""
    limit_body(body)
    if body.count(b"&") >= MAX_FIELDS:
        raise BodyTooLargeError(f"the form has more than {MAX_FIELDS} fields")
    return _extract(body, kinds, Place.BODY)


def read_token_query(query: bytes, name: str) -> TokenExtraction | None:
    """Read the token a raw query carries under ``name``, given once (RFC 6750 §2.3)."""
    if query.count(b"&") >= MAX_FIELDS:
        raise RequestError(f"the query has more than {MAX_FIELDS} fields")
    return _extract_token(query, name)


def read_token_form(body: bytes, name: str) -> TokenExtraction | None:
    """Read the token a form body carries under ``name``, given once (RFC 6750 §2.2)."""
    limit_body(body)
    if body.count(b"&") >= MAX_FIELDS:
        raise BodyTooLargeError(f"the form has more than {MAX_FIELDS} fields")
    return _extract_token(body, name)


def read_parameters(data: bytes, names: Collection[str]) -> tuple[tuple[str, str], ...]:
    """Read the fields of a raw query or form that bear one of ``names``, sorted by name.

    A name given twice and a value that cannot be decoded raise ``RequestError``.
    """
    found = _find(data.split(b"&"), names)
    try:
        return tuple((name, _read_value(found[name])) for name in sorted(found))
    except InvalidCredentialsError as exc:
        raise RequestError("a parameter of the request is not percent-encoded UTF-8") from exc


def remove_parameters(data: bytes, names: Collection[str]) -> bytes:
    """Return a raw query without the fields that bear one of ``names``, in whatever spelling."""
    return b"&".join(field for field in data.split(b"&") if _read_name(field) not in names)


def _extract(data: bytes, kinds: frozenset[Kind], place: Place) -> Extraction | None:
    fields = data.split(b"&")
    found = _find(fields, names_of(kinds))
    kind = choose_kind(found, kinds)
    if kind is None:
        return None
    pair = (found[NAMES[kind].identifier], found[NAMES[kind].secret])
    credentials = make_credentials(_read_value(pair[0]), _read_value(pair[1]), place, kind)
    return Extraction(credentials, b"&".join(field for field in fields if field not in pair))


def _extract_token(data: bytes, name: str) -> TokenExtraction | None:
    fields = data.split(b"&")
    found = _find(fields, (name,)).get(name)
    if found is None:
        return None
    token = require_token(_read_value(found))
    return TokenExtraction(token, b"&".join(field for field in fields if field is not found))


def _find(fields: Collection[bytes], names: Collection[str]) -> dict[str, bytes]:
    """Find the fields that bear one of ``names``, each at most once (RFC 6749 §3.2)."""
    found: dict[str, bytes] = {}
    for field in fields:
        name = _read_name(field)
        if name not in names:
            continue
        if name in found:
            raise RequestError(f"the parameter {name} is given twice")
        found[name] = field
    return found


def _read_name(field: bytes) -> str:
    """Decode a field's name; one that is not ours may hold anything."""
    name = unquote_to_bytes(field.partition(b"=")[0])  # "+" stays: no name of ours has a space
    return name.decode("latin-1")


def _read_value(field: bytes) -> str:
    """Decode a field's value as UTF-8; a broken escape is refused (RFC 6749 Appendix B)."""
    value = field.partition(b"=")[2]
    if _BAD_ESCAPE.search(value):
        raise InvalidCredentialsError("the credentials hold a broken percent-escape")
    try:
        return unquote_to_bytes(value.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError as exc:
        raise InvalidCredentialsError("the credentials are not UTF-8") from exc
