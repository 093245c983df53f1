"""A claim as the value of a header field: visible ASCII with one reading, or not at all.

Rule: what is not visible ASCII, a percent sign, and in a list a comma are percent-encoded, so that
a reader that decodes once has what the claim says. A value that cannot be told raises an error.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from gateway.errors import AuthorizationError
from gateway.oauth.strict_json import is_number

MAX_VALUE_BYTES = 8192  # what nginx, Apache and Node take as one line

# All that is visible but the percent sign; the space is in the middle of values only.
_VISIBLE = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")
_IN_TEXT = _VISIBLE + " "
_IN_LIST = _IN_TEXT.replace(",", "")
# Those of Unicode too: C1, the line and paragraph separators, halves of characters.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class UntellableError(AuthorizationError):
    """A claim cannot be told to the upstream as it is; it is not told in part."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__("the caller may not do this", cause=f"{name}: the claim {problem}")


def write_claim(name: str, value: object) -> str | None:
    """Return the value of the field ``name`` for a claim; ``None`` when there is nothing to say.

    Members of a list are joined by commas; what has a structure is JSON in base64.
    """
    if isinstance(value, list | tuple):
        members = [_scalar(each) for each in value]
        if None in members:
            return write_document(name, value)
        return _bounded(name, ", ".join(_text(name, one or "", _IN_LIST) for one in members))
    if isinstance(value, Mapping):
        return write_document(name, value)
    text = _scalar(value)
    return None if text is None else _bounded(name, _text(name, text, _IN_TEXT))


def write_words(name: str, values: list[str]) -> str | None:
    """Return values joined by spaces, as scopes are (RFC 6749 §3.3)."""
    return _bounded(name, " ".join(_text(name, each, _VISIBLE) for each in values))


def write_document(name: str, value: object) -> str | None:
    """Return JSON in base64, with padding, as Kong does."""
    written = json.dumps(value, separators=(",", ":")).encode("ascii")
    return _bounded(name, base64.b64encode(written).decode("ascii"))


def scalar_text(value: Any) -> str | None:
    """Return a text, number or truth value as text; ``None`` for anything else."""
    return _scalar(value)


def _scalar(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if is_number(value):
        whole = isinstance(value, float) and value.is_integer()
        return str(int(value)) if whole else json.dumps(value)
    return None


def _text(name: str, text: str, kept: str) -> str:
    if _CONTROL.search(text):
        raise UntellableError(name, "holds a control character")
    if text.isascii() and text.isalnum():
        return text
    written = quote(text, safe=kept)
    if written.strip(" ") == written:
        return written
    core = written.strip(" ")  # a reader would take spaces at the ends away
    before = len(written) - len(written.lstrip(" "))
    return "%20" * before + core + "%20" * (len(written) - before - len(core))


def _bounded(name: str, written: str) -> str | None:
    if len(written) > MAX_VALUE_BYTES:
        raise UntellableError(name, f"is longer than {MAX_VALUE_BYTES} bytes")
    return written or None
