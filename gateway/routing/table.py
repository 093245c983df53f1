"""The routes of a gateway, compiled so that a thousand cost as much as a few.

Rule: what is matched is the raw path. Where its other readings (decoded, encoded slashes too,
without parameters, without empty segments) would take another route, nobody can tell which one the
upstream means.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from gateway.errors import RequestError, RouteNotFoundError
from gateway.routing import EVERYTHING
from gateway.routing.places import ancestors, host_of, parents

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.request import RequestHead
    from gateway.routing import Route, Upstream

    Place = tuple[int, bytes, Route]  # when its turn comes, a path prefix, who takes it

_PERCENT, _SEMICOLON = b"%;"  # as numbers: to look for one byte takes a third of the time so


class RouteTable:
    """Finds the route of a request; ``under_way`` counts those whose callers are being asked."""

    def __init__(self, routes: Sequence[Route]) -> None:
        whole = len(routes) == 1 and routes[0].reach == EVERYTHING
        self.under_way = 0
        self._only = routes[0] if whole else None
        self._places = _by_host(routes)
        self._hosts = {host: _Paths(self._merged(host)) for host in self._places}
        self._paths_of = lru_cache(maxsize=4096)(self._find_host)

    @property
    def upstreams(self) -> list[Upstream]:
        """Where requests may go."""
        return [route.upstream for places in self._places.values() for _, _, route in places]

    def match(self, head: RequestHead) -> Route:
        """Return the first route that takes ``head``; raise ``RouteNotFoundError`` for none.

        A path that another reading would give to another route raises ``RequestError``.
        """
        if self._only is not None:
            if _PERCENT in head.target:
                _require_kept_slashes(self._only, head.path)
            return self._only
        hosts = head.fields.get(b"host")
        paths = self._paths_of(hosts[0] if hosts else b"")
        path = head.path
        route = paths.find(path, head.method)
        if (_PERCENT in path or _SEMICOLON in path or b"//" in path) and (
            paths.find_read(_reading(path), head.method) is not route
        ):
            raise RequestError("the path can be read in two ways that take different routes")
        if _PERCENT in path:
            _require_kept_slashes(route, path)
        if route is None:
            raise RouteNotFoundError("no route takes this request")
        return route

    def _find_host(self, field: bytes) -> _Paths:
        """Return the paths of the narrowest host that takes this value of ``Host``."""
        host = host_of(field)
        for pattern in (host, *parents(host)):
            paths = self._hosts.get(pattern)
            if paths is not None:
                return paths
        return self._hosts[""]

    def _merged(self, host: str) -> list[Place]:
        """Return the places of every host pattern that takes ``host``, in their order."""
        patterns = {host, *parents(host), ""}
        places = [place for pattern in patterns for place in self._places.get(pattern, ())]
        return sorted(places, key=lambda place: place[0])


def _require_kept_slashes(route: Route | None, path: bytes) -> None:
    """Refuse an encoded slash where no route says that its upstream means one by it.

    Beside a parameter it is refused by all: what belongs to that has more than two readings.
    """
    lower = path.lower()
    if b"%2f" not in lower:
        return
    if route is None or not route.keeps_encoded_slashes:
        raise RequestError("the path holds an encoded slash")
    if b";" in lower or b"%3b" in lower:
        raise RequestError("the path holds an encoded slash beside a parameter")


class _Paths:
    """The path prefixes of one host, each with all that could take a path which begins with it."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._raw = _by_prefix(places)
        self._read = _by_prefix([(turn, _reading(path), route) for turn, path, route in places])
        self._depth = max((path.count(b"/") for path in (*self._raw, *self._read)), default=0)

    def find(self, path: bytes, method: str) -> Route | None:
        """Return who takes this raw path."""
        return self._find(self._raw, path, method)

    def find_read(self, path: bytes, method: str) -> Route | None:
        """Return who takes this path, where prefixes too are compared as they are read."""
        return self._find(self._read, path, method)

    def _find(
        self, prefixes: dict[bytes, tuple[Route, ...]], path: bytes, method: str
    ) -> Route | None:
        if path.count(b"/") > self._depth:  # no prefix is as long: a long path costs no more
            path = b"/".join(path.split(b"/", self._depth + 1)[:-1])
        takers = prefixes.get(path)
        while takers is None:
            end = path.rfind(b"/")
            if end < 0:
                return None
            path = path[:end]
            takers = prefixes.get(path)
        for route in takers:
            methods = route.reach.methods
            if not methods or method in methods:
                return route
        return None


def _by_host(routes: Iterable[Route]) -> dict[str, list[Place]]:
    """Return what each host pattern brings; the empty one, which takes every host, is there."""
    places: dict[str, list[Place]] = {"": []}
    turn = 0
    for route in routes:
        # The longer prefix of one route comes first, so that it is the one taken off.
        for path in sorted(route.reach.paths or ("/",), key=len, reverse=True):
            prefix = path.encode("ascii").rstrip(b"/")
            taker = _stripping(route, prefix) if route.strip_path else route
            turn += 1
            for host in route.reach.hosts or ("",):
                places.setdefault(host, []).append((turn, prefix, taker))
    return places


def _stripping(route: Route, prefix: bytes) -> Route:
    return replace(route, upstream=replace(route.upstream, stripped=prefix))


def _by_prefix(places: Iterable[Place]) -> dict[bytes, tuple[Route, ...]]:
    own: dict[bytes, list[Place]] = {}
    for place in places:
        own.setdefault(place[1], []).append(place)
    found = {}
    for prefix in own:
        takers = [place for above in ancestors(prefix) for place in own.get(above, ())]
        found[prefix] = tuple(route for _, _, route in sorted(takers, key=lambda place: place[0]))
    return found


def _reading(path: bytes) -> bytes:
    """Return the path as an upstream may read it: decoded, without parameters (RFC 3986 §3.3)."""
    segments = (segment.partition(b";")[0] for segment in unquote_to_bytes(path).split(b"/"))
    return b"".join(b"/" + segment for segment in segments if segment)
