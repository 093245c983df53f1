"""Where settings come from: the environment, a YAML file, and files that hold one secret each.

Rule: the environment wins over the file, and both give text, so that a value means the same in
either. What the file says twice, or under a name that does not exist, is a problem.
"""

from __future__ import annotations

import difflib
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, MutableMapping

SECRETS: Final = ("client_secret", "cache_secret", "redis_url")
MAX_SECRET_FILE: Final = 65_536  # bytes

MAPPINGS: Final = ("claims_required", "claims_forbidden")

Value = str | list[str] | dict[str, str | list[str]]
STRUCTURE: Final = ["(neither a value nor a list of values)"]


@dataclass(slots=True)
class Found:
    """What the sources say: values by setting, how their writer named them, and what is wrong."""

    values: dict[str, Value] = field(default_factory=dict, repr=False)
    names: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_sources(
    config_file: Path | None,
    environ: MutableMapping[str, str],
    known: Iterable[str],
    file_only: Collection[str] = (),
) -> Found:
    """Return what both sources say; secrets are taken out of ``environ``."""
    found = Found()
    names = [*known, *(f"{name}_file" for name in SECRETS)]
    said = {name: environ[name.upper()] for name in names if name.upper() in environ}
    names += file_only
    written = _read_file(config_file, names, found) if config_file is not None else {}
    for name in [name for name, value in written.items() if value is STRUCTURE]:
        if name not in file_only:
            found.problems.append(f"{name}: write one value or a list of values")
            del written[name]
    for name in SECRETS:
        environ.pop(name.upper(), None)
        if written.get(name) and _is_public(config_file):
            found.warnings.append(f"{name}: every user of this machine can read the file it is in")
    for name in names:
        if name.removesuffix("_file") in SECRETS and name not in SECRETS:
            continue  # read with its secret
        for source, spelled in ((said, name.upper()), (written, name)):
            if _take(name, spelled, source, found):
                break
    return found


def _take(name: str, spelled: str, source: Mapping[str, Value], found: Found) -> bool:
    """Take a setting from one source; False when the source does not say it."""
    value = source.get(name, "")
    path = source.get(f"{name}_file", "") if name in SECRETS else ""
    if path:
        suffix = "_FILE" if spelled.isupper() else "_file"
        found.names[name] = spelled + suffix
        if value:
            found.problems.append(f"{spelled} and {spelled}{suffix} are both set; remove one")
        else:
            _take_secret_file(name, str(path), found)
        return True
    if not value and not (name == "scopes" and name in source):  # empty: none are sent
        return False
    found.names[name] = spelled
    found.values[name] = value
    return True


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


def _is_public(path: Path | None) -> bool:
    return path is not None and bool(path.stat().st_mode & stat.S_IROTH)


def _read_file(path: Path, allowed: list[str], found: Found) -> dict[str, Value]:
    try:
        root = yaml.compose(path.read_text("utf-8"), Loader=yaml.SafeLoader)
    except OSError as exc:
        found.problems.append(f"--config: the file cannot be read ({exc.strerror})")
        return {}
    except (yaml.YAMLError, ValueError) as exc:  # their texts quote the file
        mark = getattr(exc, "problem_mark", None)
        where = f"line {mark.line + 1} of the file" if mark is not None else "the file"
        found.problems.append(f"--config: {where} is not YAML in UTF-8")
        return {}
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        found.problems.append("--config: the file must hold settings, one `name: value` a line")
        return {}
    written: dict[str, Value] = {}
    for key, node in root.value:
        _take_member(str(key.value), node, allowed, written, found)
    return written


def _take_member(
    name: str, node: yaml.Node, allowed: list[str], written: dict[str, Value], found: Found
) -> None:
    if name not in allowed:
        found.problems.append(_unknown(name, allowed))
    elif name in written:
        found.problems.append(f"{name}: it is in the file twice; remove one")
    elif isinstance(node, yaml.ScalarNode):
        written[name] = "" if node.tag == "tag:yaml.org,2002:null" else node.value
    elif isinstance(node, yaml.SequenceNode) and _are_scalars(node.value):
        written[name] = [entry.value for entry in node.value]
    elif isinstance(node, yaml.MappingNode) and name in MAPPINGS:
        written[name] = _read_mapping(node, found)
    else:
        written[name] = STRUCTURE


def _read_mapping(node: yaml.MappingNode, found: Found) -> Value:
    members: dict[str, Value] = {}
    allowed = [str(key.value) for key, _ in node.value]
    for key, value in node.value:
        _take_member(str(key.value), value, allowed, members, found)
    read = {key: value for key, value in members.items() if not isinstance(value, dict)}
    return STRUCTURE if STRUCTURE in members.values() or read != members else read


def _are_scalars(nodes: list[yaml.Node]) -> bool:
    return all(isinstance(node, yaml.ScalarNode) for node in nodes)


def _unknown(name: str, allowed: list[str]) -> str:
    close = difflib.get_close_matches(name.lower(), allowed, n=1)
    advice = f"; did you mean {close[0]}?" if close else ""
    return f"{ascii(name[:64])[1:-1]}: there is no such setting{advice}"
