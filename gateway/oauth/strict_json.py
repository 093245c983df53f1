"""JSON that has one reading (RFC 8259, narrowed as in I-JSON, RFC 7493).

Rule: two parsers that accept the same bytes must see the same members, so duplicate names, byte
order marks, lone surrogates and numbers no double can hold are refused (RFC 7493 §2).
"""

from __future__ import annotations

import json
import math
import re
from sys import intern
from typing import Any, NoReturn, TypeGuard

MAX_DEPTH = 32

# The closing quote is optional, so that one without an end is passed over once, not per character.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


class StrictJSONError(ValueError):
    """The bytes are not JSON, or JSON with more than one reading; the text quotes none of them."""


def read_object(data: bytes) -> dict[str, Any]:
    """Read ``data`` as a JSON object (RFC 8259 §4); anything else raises ``StrictJSONError``."""
    value = read_value(data)
    if not isinstance(value, dict):
        raise StrictJSONError("the top level is not an object")
    return value


def read_value(data: bytes) -> Any:
    """Read ``data`` as one JSON value (RFC 8259 §2)."""
    try:
        text = data.decode("utf-8")  # RFC 8259 §8.1
        _limit_depth(text)
        value = _DECODER.decode(text)
    except StrictJSONError:
        raise
    except UnicodeDecodeError as exc:
        raise StrictJSONError("not UTF-8") from exc
    except ValueError as exc:  # JSONDecodeError, or an integer over CPython's digit limit
        raise StrictJSONError("not JSON") from exc
    if "\\u" in text:
        _refuse_lone_surrogates(value)
    return value


def is_number(value: object) -> TypeGuard[float]:
    """Tell whether ``value`` was a JSON number; Python counts ``true`` as one (RFC 8259 §6)."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _limit_depth(text: str) -> None:
    """Refuse deep nesting before the parser recurses into it (RFC 8259 §9)."""
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            raise StrictJSONError("nested too deeply")


def _refuse_lone_surrogates(value: Any) -> None:
    """Refuse strings that are not Unicode text (RFC 8259 §8.2)."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as exc:
        raise StrictJSONError("a string holds half of a surrogate pair") from exc


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse duplicate member names (RFC 7493 §2.3)."""
    members = {intern(name): value for name, value in pairs}  # thousands of tokens share them
    if len(members) != len(pairs):
        raise StrictJSONError("a member name appears twice")
    return members


def _finite(number: str) -> float:
    """Refuse numbers beyond a double (RFC 7493 §2.2)."""
    value = float(number)
    if not math.isfinite(value):
        raise StrictJSONError("a number is out of range")
    return value


def _refuse_constant(_name: str) -> NoReturn:
    """Refuse ``NaN`` and ``Infinity``, which JSON does not have (RFC 8259 §6)."""
    raise StrictJSONError("NaN and Infinity are not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse_constant
)
