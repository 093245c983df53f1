"""What an operator may say, read and judged before anything listens.

Rule: every problem is told at once, each with the name as it was written and with the fix, and
none with the value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from gateway.errors import ConfigurationError
from gateway.settings import table
from gateway.settings.conflicts import read_conflicts, read_warnings, spelled
from gateway.settings.model import Settings
from gateway.settings.sources import Found, read_sources

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping
    from pathlib import Path

__all__ = ["Loaded", "Settings", "SettingsError", "load", "settings_table"]

_NEVER: Final[frozenset[str]] = frozenset()

# Settings of a later version, with the values that ask for nothing.
UNSUPPORTED: Final[Mapping[str, frozenset[str]]] = {
    "workers": frozenset({"1"}),
}
UNSUPPORTED_SECTIONS: Final = ("routes", "providers")  # of the file


class SettingsError(ConfigurationError):
    """The settings cannot be run; ``problems`` holds all of them, one line each."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings that can be run, and what the operator should know about them."""

    settings: Settings
    warnings: tuple[str, ...]


def load(config_file: Path | None, environ: MutableMapping[str, str]) -> Loaded:
    """Return the settings of file and environment; secrets are taken out of ``environ``.

    Raises ``SettingsError`` with every problem there is.
    """
    names = (*Settings.model_fields, *UNSUPPORTED)
    found = read_sources(config_file, environ, names, UNSUPPORTED_SECTIONS)
    failed = _take_unsupported(found)
    settings, problems = _validated(found, failed)
    problems += spelled(read_conflicts(settings), found.names, failed)
    if found.problems or problems:
        raise SettingsError((*found.problems, *problems))
    warnings = spelled(read_warnings(settings), found.names, ())
    return Loaded(settings, (*found.warnings, *warnings))


def settings_table() -> str:
    """Return the Markdown table of every setting: its name, default and meaning."""
    return table.settings_table(UNSUPPORTED)


def _take_unsupported(found: Found) -> set[str]:
    """Take the settings of a later version out; return the names of all that failed so far."""
    for name, inert in (*UNSUPPORTED.items(), *((name, _NEVER) for name in UNSUPPORTED_SECTIONS)):
        value = found.values.pop(name, "")
        if value and not (isinstance(value, str) and value.lower() in inert):
            found.problems.append(
                f"{found.names[name]} is not supported by this version of bearergate; remove it"
            )
    return found.names.keys() - found.values.keys()


def _validated(found: Found, failed: set[str]) -> tuple[Settings, list[str]]:
    """Return the settings with defaults in place of wrong values, and what is wrong with those."""
    values: dict[str, Any] = dict(found.values)
    problems: dict[str, str] = {}
    try:
        return Settings(**values), []
    except ValidationError as exc:
        for error in exc.errors(include_url=False, include_context=False, include_input=False):
            name = str(error["loc"][0])
            message = error["msg"].removeprefix("Value error, ")
            problems.setdefault(name, f"{found.names[name]}: {message}")
    failed.update(problems)
    for name in problems:
        del values[name]
    return Settings(**values), list(problems.values())
