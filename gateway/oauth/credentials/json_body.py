"""Credentials among the members of a JSON body (RFC 8259 §4).

Rule: members are removed from the text; what stays is not written anew.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from gateway.errors import RequestError
from gateway.oauth.credentials.pair import (
    NAMES,
    Extraction,
    Kind,
    Place,
    TokenExtraction,
    choose_kind,
    limit_body,
    make_credentials,
    require_token,
)
from gateway.oauth.strict_json import StrictJSONError, read_object

if TYPE_CHECKING:
    from collections.abc import Collection

_SPACE = re.compile(r"[ \t\n\r]*")  # RFC 8259 §2
_DECODER = json.JSONDecoder()


class _Member(NamedTuple):
    name: str
    text: str  # everything between the structural characters around it


def read_json(body: bytes, kinds: frozenset[Kind]) -> Extraction | None:
    """Read the pair of a JSON object; the remainder is its text without the two members."""
    members = _read_members(body)
    kind = choose_kind(members, kinds)
    if kind is None:
        return None
    names = NAMES[kind]
    identifier, secret = members[names.identifier], members[names.secret]
    if not isinstance(identifier, str) or not isinstance(secret, str):
        raise RequestError(f"the members {names.identifier} and {names.secret} must be strings")
    credentials = make_credentials(identifier, secret, Place.BODY, kind)
    remainder = _remove(body.decode("utf-8"), (names.identifier, names.secret))
    return Extraction(credentials, remainder.encode("utf-8"))


def read_token_json(body: bytes, name: str) -> TokenExtraction | None:
    """Read the token a JSON object carries under ``name``; the remainder is the text without it."""
    members = _read_members(body)
    if name not in members:
        return None
    if not isinstance(members[name], str):
        raise RequestError(f"the member {name} must be a string")
    remainder = _remove(body.decode("utf-8"), (name,))
    return TokenExtraction(require_token(members[name]), remainder.encode("utf-8"))


def _read_members(body: bytes) -> dict[str, Any]:
    """Read the members of the body's object; an empty body has none."""
    limit_body(body)
    if not body:
        return {}
    try:
        return read_object(body)
    except StrictJSONError as exc:
        raise RequestError(f"the JSON body is refused: {exc}") from exc


def _remove(text: str, names: Collection[str]) -> str:
    """Remove top-level members from the text of an object that is known to be JSON."""
    start = text.index("{") + 1
    members, end = _split(text, start)
    kept = ",".join(member.text for member in members if member.name not in names)
    return text[:start] + kept + text[end:]


def _split(text: str, start: int) -> tuple[list[_Member], int]:
    """Split the text at its top-level commas; the second part is where the object closes."""
    members: list[_Member] = []
    while True:
        name, colon = _DECODER.raw_decode(text, _skip(text, start))
        _, end = _DECODER.raw_decode(text, _skip(text, _skip(text, colon) + 1))
        end = _skip(text, end)
        members.append(_Member(name, text[start:end]))
        if text[end] == "}":
            return members, end
        start = end + 1


def _skip(text: str, position: int) -> int:
    """Tell where the white space that starts at ``position`` ends."""
    match = _SPACE.match(text, position)
    return match.end() if match else position
