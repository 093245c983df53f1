"""The configuration file: settings of the gateway, its providers and its routes, with lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import yaml

from gateway.settings.nodes import NULL, Pair, Section, line_of, read_section, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

ROUTES: Final = "routes"
PROVIDERS: Final = "providers"


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys a part of the file may have, and of others where they belong."""

    allowed: Collection[str]
    elsewhere: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Layout:
    """The keys of each part."""

    top: Keys
    provider: Keys
    route: Keys


@dataclass(slots=True)
class Document:
    """The parts of the file, and what is wrong with its form."""

    top: Section = field(default_factory=lambda: Section("", 0))
    providers: dict[str, Section] = field(default_factory=dict)
    routes: list[Section] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unread: bool = False

    def read(self, label: str, line: int, pairs: list[Pair], keys: Keys) -> Section:
        """Return a part of the file; its problems join the others."""
        return read_section(
            label,
            line,
            pairs,
            keys.allowed,
            elsewhere=keys.elsewhere,
            problems=self.problems,
        )


def read_document(path: Path, layout: Layout) -> Document:
    """Return what the file says; without one, and without its end, that is nothing."""
    document = Document()
    try:
        root = yaml.compose(path.read_text("utf-8"), Loader=yaml.SafeLoader)
    except OSError as exc:
        return _unread(f"the file cannot be read ({exc.strerror})")
    except (yaml.YAMLError, ValueError) as exc:  # their texts quote the file
        mark = getattr(exc, "problem_mark", None)
        where = f"line {mark.line + 1} of the file" if mark is not None else "the file"
        return _unread(f"{where} is not YAML in UTF-8")
    if isinstance(root, yaml.MappingNode):
        _read_top(document, root, layout)
    elif root is not None:
        return _unread("the file must hold settings, one `name: value` a line")
    return document


def _unread(why: str) -> Document:
    """Return a document that says nothing, so that nothing can be said to be missing from it."""
    return Document(problems=[f"--config: {why}"], unread=True)


def _read_top(document: Document, root: yaml.MappingNode, layout: Layout) -> None:
    readers = {PROVIDERS: _read_providers, ROUTES: _read_routes}
    plain: list[Pair] = []
    for key, node in root.value:
        read = readers.pop(key.value, None) if isinstance(key, yaml.ScalarNode) else None
        if read is None:
            plain.append((key, node))
        elif node.tag != NULL:
            read(document, node, layout)
    twice = dict.fromkeys((PROVIDERS, ROUTES), "it is in the file twice; remove one")
    keys = Keys(layout.top.allowed, {**twice, **layout.top.elsewhere})
    document.top = document.read("", 0, plain, keys)


def _read_providers(document: Document, node: yaml.Node, layout: Layout) -> None:
    if not isinstance(node, yaml.MappingNode):
        document.problems.append(
            f"{PROVIDERS} (line {line_of(node)}): write a name and below it the settings of each"
        )
        return
    for key, value in node.value:
        name = shown(str(key.value))
        label, place = f"{PROVIDERS}.{name}", f"{PROVIDERS}.{name} (line {line_of(key)})"
        if name in document.providers:
            document.problems.append(f"{place}: it is in the file twice; remove one")
        elif not isinstance(value, yaml.MappingNode):
            document.problems.append(f"{place}: write its settings below the name")
        else:
            document.providers[name] = document.read(
                label, line_of(key), value.value, layout.provider
            )


def _read_routes(document: Document, node: yaml.Node, layout: Layout) -> None:
    if not isinstance(node, yaml.SequenceNode):
        document.problems.append(
            f"{ROUTES} (line {line_of(node)}): write a list, each route after a dash"
        )
        return
    for number, entry in enumerate(node.value, 1):
        if not isinstance(entry, yaml.MappingNode):
            document.problems.append(
                f"{ROUTES}[{number}] (line {line_of(entry)}): write the settings of a route"
            )
            continue
        name = _name_of(entry)
        label = f"{ROUTES}.{name}" if name else f"{ROUTES}[{number}]"
        document.routes.append(document.read(label, line_of(entry), entry.value, layout.route))


def _name_of(entry: yaml.MappingNode) -> str:
    for key, value in entry.value:
        if key.value == "name" and isinstance(value, yaml.ScalarNode):
            return shown(value.value)
    return ""
