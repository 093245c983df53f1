"""Values judged by a model, with the names their writer gave them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    from gateway.settings.sources import Found

M = TypeVar("M", bound=BaseModel)


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
            message = error["msg"].removeprefix("Value error, ")
            problems.setdefault(name, f"{found.names[name]}: {message}")
    failed.update(problems)
    for name in problems:
        del values[name]
    return model(**values), list(problems.values())
