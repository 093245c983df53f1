"""What covers what: hosts and their wildcards, paths and their prefixes, and routes never reached.

Rule: a route that an earlier one keeps every request from is a mistake, and most likely a hole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.request import METHODS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gateway.routing import Reach


@dataclass(frozen=True, slots=True)
class Shadow:
    """A place of the route at ``index`` that the routes at ``by`` never leave a request for."""

    index: int
    host: str
    path: str
    by: tuple[int, ...]


def host_of(field: bytes) -> str:
    """Return the host in a ``Host`` field: lower case, without port and final dot."""
    host, colon, port = field.rpartition(b":")
    if not colon or port.endswith(b"]"):
        host = field
    return host.decode("latin-1").lower().removesuffix(".")


def parents(host: str) -> Iterator[str]:
    """Yield the wildcards that take a host or a wildcard of it, the narrowest first."""
    _, dot, rest = host.removeprefix("*.").partition(".")
    while dot:
        yield f"*.{rest}"
        _, dot, rest = rest.partition(".")


def ancestors(prefix: bytes) -> Iterator[bytes]:
    """Yield a prefix without final slash and every shorter one, the empty one last."""
    yield prefix
    while prefix:
        prefix = prefix[: prefix.rfind(b"/")]
        yield prefix


def find_shadows(reaches: Sequence[Reach]) -> Iterator[Shadow]:
    """Yield the places that earlier routes take whole, in the order of the routes."""
    before: dict[tuple[str, bytes], list[int]] = {}
    for index, reach in enumerate(reaches):
        places = [(h, p) for h in reach.hosts or ("",) for p in reach.paths or ("/",)]
        for host, path in places:
            by = _taken_by(reaches, before, host, path)
            taken = {method for each in by for method in reaches[each].methods or METHODS}
            if by and taken >= (reach.methods or METHODS):
                yield Shadow(index, host, path, tuple(by))
        for host, path in places:
            before.setdefault((host, _prefix(path)), []).append(index)


def _taken_by(
    reaches: Sequence[Reach], before: dict[tuple[str, bytes], list[int]], host: str, path: str
) -> list[int]:
    """Return the earlier routes that take this place with some method, up to one with all."""
    patterns = dict.fromkeys((host, *parents(host), ""))
    takers = sorted(
        {
            index
            for pattern in patterns
            for prefix in ancestors(_prefix(path))
            for index in before.get((pattern, prefix), ())
        }
    )
    whole = [index for index in takers if not reaches[index].methods]
    return whole[:1] or takers


def _prefix(path: str) -> bytes:
    return path.encode("ascii").rstrip(b"/")
