"""A part of the configuration file, read as text: its values by key, and the line of each.

Rule: a value is the text that was written, so that it means the same as in the environment, and
its line goes along, so that a problem can name it.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

Members = dict[str, str | list[str]]
Value = str | list[str] | Members | list[Members]
Pair = tuple[yaml.Node, yaml.Node]

# The settings that may be a mapping.
MAPPINGS: Final = frozenset(
    {"claims_required", "claims_forbidden", "upstream_headers", "downstream_headers"}
)
# The settings that are a list of mappings.
LISTINGS: Final = frozenset({"consumers"})
# What YAML's escapes can write, and neither a variable nor UTF-8 can hold.
_NO_TEXT: Final = re.compile("[\0\ud800-\udfff]").search
NULL: Final = "tag:yaml.org,2002:null"


@dataclass(slots=True)
class Section:
    """A part of the file: what it is called, what it says by key, and the line of each key.

    ``unknown`` are the keys that do not belong there.
    """

    label: str
    line: int
    values: dict[str, Value] = field(default_factory=dict, repr=False)
    lines: dict[str, int] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def spell(self, key: str) -> str:
        """Return what a problem calls a key: its path in the file and its line."""
        line = self.lines.get(key, self.line)
        path = f"{self.label}.{key}" if self.label else key
        return f"{path} (line {line})" if line else path


def read_section(
    label: str,
    line: int,
    pairs: Sequence[Pair],
    allowed: Collection[str],
    *,
    elsewhere: Mapping[str, str],
    problems: list[str],
) -> Section:
    """Return the part of the file made of these pairs; only ``allowed`` keys may be in it.

    ``elsewhere`` says of keys that belong into another part where that is.
    """
    section = Section(label, line)
    for key, node in pairs:
        name, place = str(key.value), Section(label, line_of(key))
        if name not in allowed:
            section.unknown.append(name)
            advice = elsewhere.get(name) or _advice(name, (*allowed, *elsewhere))
            problems.append(f"{place.spell(shown(name))}: {advice}")
        elif name in section.lines:
            problems.append(f"{place.spell(name)}: it is in the file twice; remove one")
        else:
            section.lines[name] = place.line
            _take(section, name, node, problems)
    return section


def _take(section: Section, name: str, node: yaml.Node, problems: list[str]) -> None:
    if node.tag == NULL and section.label:
        problems.append(f"{section.spell(name)}: write a value, [] for none, or remove it")
        return
    value, twice = _read_listing(node) if name in LISTINGS else _read_value(node)
    if twice:
        problems.append(f"{section.spell(name)}: {shown(twice)} is there twice; remove one")
    elif value is None or (isinstance(value, dict) and name not in MAPPINGS):
        problems.append(f"{section.spell(name)}: write one value or a list of values")
    elif any(map(_NO_TEXT, _texts(value))):
        problems.append(f"{section.spell(name)}: write it without NUL and surrogates like \\uD800")
    else:
        section.values[name] = value


def _read_value(node: yaml.Node) -> tuple[Value | None, str]:
    """Return a text, a list of texts or a mapping of either, and a key that is there twice."""
    if not isinstance(node, yaml.MappingNode):
        return _read_flat(node), ""
    return _read_members(node)


def _read_listing(node: yaml.Node) -> tuple[list[Members] | None, str]:
    """Return the mappings of a list, and a key that is twice in one of them."""
    listing: list[Members] = []
    for entry in node.value if isinstance(node, yaml.SequenceNode) else (node,):
        if not isinstance(entry, yaml.MappingNode):
            return None, ""
        members, twice = _read_members(entry)
        if members is None:
            return None, twice
        listing.append(members)
    return listing, ""


def _read_members(node: yaml.MappingNode) -> tuple[Members | None, str]:
    members: Members = {}
    for key, entry in node.value:
        value = _read_flat(entry)
        if value is None or not isinstance(key, yaml.ScalarNode):
            return None, ""
        if key.value in members:
            return None, str(key.value)
        members[str(key.value)] = value
    return members, ""


def _read_flat(node: yaml.Node) -> str | list[str] | None:
    if isinstance(node, yaml.ScalarNode):
        return "" if node.tag == NULL else str(node.value)
    if isinstance(node, yaml.SequenceNode):
        entries = [entry.value for entry in node.value if isinstance(entry, yaml.ScalarNode)]
        return entries if len(entries) == len(node.value) else None
    return None


def _texts(value: Value) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        return
    if isinstance(value, dict):
        yield from value
    for entry in value.values() if isinstance(value, dict) else value:
        yield from _texts(entry)


def line_of(node: yaml.Node) -> int:
    """Return the line of the file a node begins on."""
    return int(node.start_mark.line) + 1


def shown(name: str) -> str:
    """Return a name from the file as it may be printed."""
    return ascii(name[:64])[1:-1]


def _advice(name: str, allowed: Collection[str]) -> str:
    close = difflib.get_close_matches(name.lower(), allowed, n=1)
    return "there is no such setting" + (f"; did you mean {close[0]}?" if close else "")
