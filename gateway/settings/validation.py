"""Values judged by a model, with the names their writer gave them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    from gateway.settings.sources import Found

M = TypeVar("M", bound=BaseModel)

_SUBJECT: Final = re.compile(r"^\w+ should")  # Pydantic's: Input, String, Tuple, Value

# The settings involved, the first of which is named, and what is wrong with them together.
Conflict = tuple[tuple[str, ...], str]

# What helps, by Pydantic's name for what is wrong.
_FIXES: Final = {
    "bool_parsing": "write true or false",
    "float_parsing": "write a number",
    "int_from_float": "write a whole number",
    "int_parsing": "write a whole number",
    "string_pattern_mismatch": "write it without spaces and control characters",
    "string_type": "write one value",
    "string_unicode": "write it in UTF-8",
    "too_short": "write at least one value, or leave it out",
}


def validated(model: type[M], found: Found, failed: set[str]) -> tuple[M, list[str]]:
    """Return the settings with defaults in place of wrong values, and what is wrong with those.

    The names of those join ``failed``.
    """
    values: dict[str, Any] = dict(found.values)
    problems: dict[str, str] = {}
    try:
        return model(**values), []
    except ValidationError as exc:
        for error in exc.errors(include_url=False, include_context=False, include_input=False):
            name = str(error["loc"][0])
            message = _FIXES.get(error["type"]) or error["msg"].removeprefix("Value error, ")
            message = _SUBJECT.sub("it must", message)
            problems.setdefault(name, f"{found.names[name]}: {message}")
    failed.update(problems)
    for name in problems:
        del values[name]
    return model(**values), list(problems.values())
