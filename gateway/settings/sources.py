"""Where settings come from: the environment, a YAML file, and files that hold one secret each.

Rule: the environment wins over the file, and both give text, so that a value means the same in
either. What the file says twice, or under a name that does not exist, is a problem.
"""

from __future__ import annotations

import difflib
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from gateway.settings.document import Document, read_document
from gateway.settings.nodes import shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from gateway.settings.document import Layout
    from gateway.settings.nodes import Section, Value

SECRETS: Final = ("client_secret", "cache_secret", "redis_url")
SECRET_FILES: Final = tuple(f"{name}_file" for name in SECRETS)
MAX_SECRET_FILE: Final = 65_536  # bytes


class Source(Protocol):
    """Something that says settings."""

    @property
    def values(self) -> Mapping[str, Value]:
        """What it says, by key."""
        ...

    def spell(self, key: str) -> str:
        """Return what a problem calls a key of this source."""
        ...


@dataclass(slots=True)
class Environment:
    """The environment as a source."""

    values: dict[str, Value] = field(repr=False)

    def spell(self, key: str) -> str:
        """Return the name of the variable."""
        return key.upper()


@dataclass(slots=True)
class Found:
    """What the sources say: values by setting, how their writer named them, and what is wrong."""

    values: dict[str, Value] = field(default_factory=dict, repr=False)
    names: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def failed(self) -> set[str]:
        """The settings that are said, and that nothing could be taken from."""
        return self.names.keys() - self.values.keys()


@dataclass(slots=True)
class Sources:
    """What all sources say: for the whole gateway, for each provider and for each route."""

    top: Found
    providers: dict[str, Found] = field(default_factory=dict)
    routes: list[Found] = field(default_factory=list)
    document: Document = field(default_factory=Document)

    @property
    def parts(self) -> tuple[Found, ...]:
        """Everything that was found."""
        return (self.top, *self.providers.values(), *self.routes)


def read_sources(config_file: Path | None, environ: Mapping[str, str], layout: Layout) -> Sources:
    """Return what all sources say."""
    names = layout.top.allowed
    environment = Environment({n: environ[n.upper()] for n in names if n.upper() in environ})
    document = Document() if config_file is None else read_document(config_file, layout)
    top = Found(problems=document.problems)
    public = config_file is not None and config_file.is_file() and _is_public(config_file)
    for section in (document.top, *document.providers.values(), *document.routes):
        top.warnings += _open_secrets(section, public=public)
    top.warnings += _misspelt(environ, names)
    _take_all(top, names, (environment, document.top))
    return Sources(
        top,
        {name: _found(section) for name, section in document.providers.items()},
        [_found(section) for section in document.routes],
        document,
    )


def _misspelt(environ: Mapping[str, str], names: Collection[str]) -> Iterator[str]:
    """Warn of variables that are nearly a setting; all others are somebody else's."""
    for variable in environ:
        name = variable.lower()
        if variable != name.upper() or name in names or not environ[variable]:
            continue
        alike = [each for each in names if each[:3] == name[:3]]
        for close in difflib.get_close_matches(name, alike, n=1, cutoff=0.9):
            yield f"{shown(variable)}: there is no such setting; did you mean {close.upper()}?"


def _found(section: Section) -> Found:
    found = Found()
    _take_all(found, section.values, (section,))
    return found


def _take_all(found: Found, names: Iterable[str], sources: tuple[Source, ...]) -> None:
    """Take each setting from the first source that says it; a secret's file with its secret."""
    settings = dict.fromkeys(
        name.removesuffix("_file") if name in SECRET_FILES else name for name in names
    )
    for name in settings:
        any(_take(name, source, found) for source in sources)


def _take(name: str, source: Source, found: Found) -> bool:
    """Take a setting from one source; False when the source does not say it."""
    value = source.values.get(name, "")
    path = source.values.get(f"{name}_file", "") if name in SECRETS else ""
    if path:
        spelled = found.names[name] = source.spell(f"{name}_file")
        if value:
            found.problems.append(f"{source.spell(name)} and {spelled} are both set; remove one")
        else:
            _take_secret_file(name, str(path), found)
        return True
    if not value and not (name in source.values and _may_be_empty(name, source)):
        return False
    found.names[name] = source.spell(name)
    found.values[name] = value
    return True


def _may_be_empty(name: str, source: Source) -> bool:
    """Tell whether nothing is a value: no scopes are sent, or a route says it does without."""
    return name == "scopes" or bool(getattr(source, "label", ""))


def _take_secret_file(name: str, path: str, found: Found) -> None:
    spelled = found.names[name]
    try:
        with Path(path).open("rb") as file:
            text = file.read(MAX_SECRET_FILE).decode()
    except OSError as exc:
        found.problems.append(f"{spelled}: the file cannot be read ({exc.strerror})")
    except ValueError:  # also a path with a NUL
        found.problems.append(f"{spelled}: the file does not hold UTF-8 text")
    else:
        text = text.removesuffix("\n").removesuffix("\r")
        if not text:
            found.problems.append(f"{spelled}: the file is empty; put the secret into it")
            return
        if _is_public(Path(path)):
            found.warnings.append(f"{spelled}: every user of this machine can read the file")
        found.values[name] = text


def _open_secrets(section: Section, *, public: bool) -> list[str]:
    return [
        f"{section.spell(name)}: every user of this machine can read the file it is in"
        for name in SECRETS
        if public and section.values.get(name)
    ]


def _is_public(path: Path) -> bool:
    return bool(path.stat().st_mode & stat.S_IROTH)
