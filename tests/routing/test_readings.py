"""P10: however an upstream reads a path that was let through, it is the same route's."""

from __future__ import annotations

import itertools
from urllib.parse import unquote_to_bytes

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.authorization import Policy
from gateway.errors import RequestError
from gateway.request import read_head
from gateway.routing import Reach, Route, read_upstream
from gateway.routing.table import RouteTable

UPSTREAM = read_upstream("http://orders")
PREFIXES = ["/", "/a", "/b", "/a/a", "/a/b", "/b/a", "/b/b", "/a/a/b", "/a/b/a", "/b/a/b"]
SLASHES = st.sampled_from(["/", "/", "/", "%2F", "%2f", "//", "%2F%2f", "/%2F", ";/", ";x%2F"])
WORDS = st.sampled_from(
    ["a", "b", "%61", "%62", "a;v=1", "b;", "a%3Bv", "c", "", "%252F", "..", "%2e"]
)
PATHS = st.lists(st.tuples(SLASHES, WORDS), min_size=1, max_size=5).map(
    lambda parts: "/" + "".join(slash + word for slash, word in parts).removeprefix("/")
)
ROUTES = st.lists(
    st.tuples(
        st.lists(st.sampled_from(PREFIXES), min_size=1, max_size=2, unique=True),
        st.sampled_from([(), ("GET",), ("POST",)]),
        st.sampled_from([True, True, False]),
    ),
    min_size=1,
    max_size=5,
)


def table_of(drawn):
    """Return routes, named by their number."""
    return [
        Route(
            str(number),
            UPSTREAM,
            (),
            Policy(),
            Reach((), tuple(paths), frozenset(methods)),
            keeps_encoded_slashes=keeps,
        )
        for number, (paths, methods, keeps) in enumerate(drawn)
    ]


def without_parameters(segments):
    """Leave out what follows a semicolon (RFC 3986 §3.3)."""
    return [segment.partition(b";")[0] for segment in segments]


def resolved(segments):
    """Follow dot segments (RFC 3986 §5.2.4)."""
    kept = []
    for segment in segments:
        if segment == b"..":
            kept = kept[:-1]
        elif segment != b".":
            kept.append(segment)
    return kept


def readings(path):
    """Yield the segments of a path as servers read them, in all the orders that are about."""
    for decodes_slashes, parameters, joins, dots in itertools.product(
        (True, False), ("kept", "before", "after", "twice"), (True, False), (True, False)
    ):
        segments = path.split(b"/")
        if parameters in {"before", "twice"}:
            segments = without_parameters(segments)
        if decodes_slashes:
            segments = unquote_to_bytes(b"/".join(segments)).split(b"/")
        else:
            segments = [unquote_to_bytes(each) for each in segments]
        if parameters in {"after", "twice"}:
            segments = without_parameters(segments)
        if joins:
            segments = [each for each in segments if each]
        yield resolved(segments) if dots else segments
    yield path.split(b"/")


def first_of(routes, segments):
    """Return the first route with a prefix of these segments, found without any table."""
    named = [each for each in segments if each] if segments[:1] != [b""] else segments[1:]
    for route in routes:
        if route.reach.methods and "GET" not in route.reach.methods:
            continue
        for path in route.reach.paths:
            prefix = path.encode().strip(b"/").split(b"/") if path != "/" else []
            if named[: len(prefix)] == prefix:
                return route.name
    return None


def taken(routes, target):
    """Return the route that takes a request, None where it is refused."""
    try:
        head = read_head(
            method="GET",
            target=target,
            version=(1, 1),
            headers=((b"Host", b"gateway.test"),),
            peer="",
            max_header_bytes=9999,
        )
        return RouteTable(routes).match(head)
    except RequestError:
        return None


@settings(max_examples=2000, deadline=None)
@given(ROUTES, PATHS)
@example([(["/b"], (), True), (["/"], (), True)], "/;x%2Fa/b")
@example([(["/b"], (), True), (["/"], (), True)], "/%3Bx%2Fa/b")
def test_every_reading_is_of_one_route(drawn, path):
    """P10: a path is refused, or each way of reading it finds the route that has it."""
    routes, target = table_of(drawn), path.encode()
    found = taken(routes, target)
    if found is None:
        return
    assert b"%2f" not in target.lower() or found.keeps_encoded_slashes
    assert {found.name} == {first_of(routes, segments) for segments in readings(target)}


def test_what_is_taken_and_refused():
    """P10: with encoded slashes there is both, so that the comparison above compares something."""
    routes = table_of([(("/a/b",), (), True), (("/a",), (), True), (("/",), (), False)])
    targets = (b"/a/c%2Fb", b"/a/b/x%2Fy", b"/a/b%2Fc", b"/a%2Fc", b"/c%2Fa", b"/a/c%2F..%2Fb")

    found = [taken(routes, each) for each in targets]

    assert ["1", "0", None, None, None, None] == [each and each.name for each in found]
