"""What an operator may say, read and judged before anything listens.

Rule: every problem is told at once, each with the name as it was written and with the fix, and
none with the value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.errors import ConfigurationError
from gateway.settings import listing, schema, table
from gateway.settings.conflicts import read_shared_conflicts, read_shared_warnings, spelled
from gateway.settings.model import Settings
from gateway.settings.overlay import RoutePlan, default_plan, judge, needing_restart
from gateway.settings.routes import layout, read_routes
from gateway.settings.sources import SECRETS, read_sources
from gateway.settings.validation import validated

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence
    from pathlib import Path

__all__ = [
    "Loaded",
    "Loader",
    "RoutePlan",
    "Settings",
    "SettingsError",
    "default_plan",
    "describe_routes",
    "file_schema",
    "key_tables",
    "load",
    "needing_restart",
    "routes_table",
    "settings_table",
]


class SettingsError(ConfigurationError):
    """The settings cannot be run; ``problems`` holds all of them, one line each."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings that can be run, every route with its own, and what the operator should know.

    ``loader`` reads them again.
    """

    settings: Settings
    routes: tuple[RoutePlan, ...]
    warnings: tuple[str, ...]
    loader: Loader


class Loader:
    """Reads file and environment as often as asked; secrets are taken out of ``environ``.

    The environment is that of the beginning: a running process gets no other.
    """

    def __init__(self, config_file: Path | None, environ: MutableMapping[str, str]) -> None:
        self.config_file = config_file
        self._environ = dict(environ)
        for name in SECRETS:
            environ.pop(name.upper(), None)

    def load(self) -> Loaded:
        """Return the settings; raise ``SettingsError`` with every problem there is."""
        return _load(self.config_file, self._environ, self)


def load(config_file: Path | None, environ: MutableMapping[str, str]) -> Loaded:
    """Return the settings of file and environment; secrets are taken out of ``environ``.

    Raises ``SettingsError`` with every problem there is.
    """
    return Loader(config_file, environ).load()


def _load(config_file: Path | None, environ: Mapping[str, str], loader: Loader) -> Loaded:
    sources = read_sources(config_file, environ, layout())
    top = sources.top
    if sources.document.unread:  # what it lacks is not known
        raise SettingsError(tuple(top.problems))
    failed = top.failed
    settings, wrong = validated(Settings, top, failed)
    conflicts = spelled(read_shared_conflicts(settings), top.names, failed)
    plans, parts, misread = read_routes(settings, sources, failed)
    problems, warnings = judge(plans, parts)
    found = [problem for part in sources.parts for problem in part.problems]
    told = tuple(dict.fromkeys((*found, *wrong, *misread, *conflicts, *problems)))
    if told:
        raise SettingsError(told)
    known = [warning for part in sources.parts for warning in part.warnings]
    known += spelled(read_shared_warnings(settings), top.names, ())
    return Loaded(settings, tuple(plans), tuple(dict.fromkeys((*known, *warnings))), loader)


def file_schema() -> dict[str, Any]:
    """Return the JSON Schema of the configuration file."""
    return schema.file_schema()


def describe_routes(plans: Sequence[RoutePlan]) -> list[dict[str, Any]]:
    """Return what each route takes and asks, for programs."""
    return listing.describe_routes(plans)


def routes_table(plans: Sequence[RoutePlan]) -> str:
    """Return what each route takes and asks, for people."""
    return listing.routes_table(plans)


def key_tables() -> dict[str, str]:
    """Return the Markdown tables of the file's keys, by the part of the file they are for."""
    return table.key_tables()


def settings_table() -> str:
    """Return the Markdown table of every setting: its name, default and meaning."""
    return table.settings_table()
