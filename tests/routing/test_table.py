"""Which route takes a request: hosts, raw paths and methods, in the order of the routes."""

from __future__ import annotations

import pytest

from gateway.authorization import Policy
from gateway.errors import RequestError, RouteNotFoundError
from gateway.request import RequestHead
from gateway.routing import Reach, Route, read_upstream
from gateway.routing.table import RouteTable

UPSTREAM = read_upstream("http://orders")


def head(target, host=b"api.example", method="GET"):
    """Return the head of a request."""
    fields = {} if host is None else {b"host": (host,)}
    return RequestHead(method, target, (), fields, "192.0.2.1", 0, expects_continue=False)


def route(name, *paths, hosts=(), methods=(), strip_path=False, keeps=False):
    """Return a route that takes these requests."""
    reach = Reach(tuple(hosts), paths, frozenset(methods))
    return Route(
        name,
        UPSTREAM,
        (),
        Policy(),
        reach,
        strip_path=strip_path,
        keeps_encoded_slashes=keeps,
    )


def taken(routes, *requests):
    """Return the name of the route that takes each request, an error's status where none does."""
    table = RouteTable(routes)
    found = []
    for each in requests:
        try:
            found.append(table.match(each).name)
        except RequestError as error:
            found.append(error.status)
    return found


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        pytest.param(b"/orders", "orders", id="itself"),
        pytest.param(b"/orders/", "orders", id="slash"),
        pytest.param(b"/orders/1/lines?x=/public", "orders", id="below"),
        pytest.param(b"/orders?x", "orders", id="query"),
        pytest.param(b"/orders/public", "public", id="longer-prefix-first"),
        pytest.param(b"/orders/public/1", "public", id="below-the-longer-prefix"),
        pytest.param(b"/orders/publicly", "orders", id="not-below-it"),
        pytest.param(b"/orders2", 404, id="no-segment-border"),
        pytest.param(b"/Orders", 404, id="letter-case"),
        pytest.param(b"/order", 404, id="shorter"),
        pytest.param(b"/", 404, id="root"),
        pytest.param(b"/x/orders", 404, id="not-at-the-beginning"),
        pytest.param(b"/my%20docs/1", "docs", id="encoded-as-configured"),
        pytest.param(b"/orders/a%20b;v=1//c", "orders", id="odd-and-yet-one-route"),
    ],
)
def test_paths(target, expected):
    """P10, P11, P12: a prefix of the raw path that ends at a segment; the query takes no part."""
    routes = [
        route("public", "/orders/public"),
        route("orders", "/orders"),
        route("docs", "/my%20docs"),
    ]

    assert [expected] == taken(routes, head(target))


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(b"/%61dmin", id="encoded-letter"),
        pytest.param(b"/%61%64min/users", id="encoded-letter-below"),
        pytest.param(b"/admin;v=1", id="parameter"),
        pytest.param(b"/admin;v=1/users", id="parameter-below"),
        pytest.param(b"//admin", id="empty-segment"),
        pytest.param(b"/%61dmin;x//users", id="all-of-it"),
        pytest.param(b"/my docs".replace(b" ", b"%20").replace(b"y", b"%79"), id="configured"),
    ],
)
def test_two_readings(target):
    """P10: what decodes to a place of another route is refused, not given to the open one."""
    routes = [route("admin", "/admin"), route("docs", "/my%20docs"), route("open")]

    assert [400, "open"] == taken(routes, head(target), head(b"/a%20b;c//d"))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        pytest.param(b"api.example", "exact", id="exact"),
        pytest.param(b"API.Example:8443", "exact", id="case-and-port"),
        pytest.param(b"api.example.", "exact", id="final-dot"),
        pytest.param(b"www.example", "wildcard", id="wildcard"),
        pytest.param(b"a.b.example", "wildcard", id="wildcard-of-several-labels"),
        pytest.param(b"x.api.example", "narrow", id="narrower-wildcard"),
        pytest.param(b"example", "any", id="not-of-the-wildcard"),
        pytest.param(b"myapi.example.org", "any", id="other"),
        pytest.param(b"[::1]:80", "literal", id="address"),
        pytest.param(None, "any", id="no-host"),
    ],
)
def test_hosts(host, expected):
    """P14: hosts are compared whole, without case and port; a wildcard takes what is below it."""
    routes = [
        route("exact", hosts=["api.example"]),
        route("narrow", hosts=["*.api.example"]),
        route("wildcard", hosts=["*.example"]),
        route("literal", hosts=["[::1]"]),
        route("any"),
    ]

    assert [expected] == taken(routes, head(b"/", host))


def test_methods():
    """P12: a method is compared exactly, and one that no route names takes the next route."""
    routes = [route("read", "/a", methods=["GET", "HEAD"]), route("write", "/a", methods=["POST"])]
    requests = [head(b"/a", method=method) for method in ("GET", "HEAD", "POST", "DELETE")]

    assert ["read", "read", "write", 404] == taken(routes, *requests)


def test_first_match():
    """Of several routes that take a request the first has it, whatever it names."""
    routes = [
        route("posts", methods=["POST"]),
        route("a", "/a"),
        route("host", hosts=["api.example"]),
        route("rest"),
    ]
    requests = [head(b"/a", method="POST"), head(b"/a"), head(b"/b"), head(b"/b", b"other")]

    assert ["posts", "a", "host", "rest"] == taken(routes, *requests)


def test_no_route():
    """P12: without a route there is none."""
    with pytest.raises(RouteNotFoundError):
        RouteTable([]).match(head(b"/"))


def test_stripping_tells_which_prefix():
    """strip_path: the route that is returned knows the prefix of its own that matched."""
    table = RouteTable([route("api", "/v1", "/v1/beta", strip_path=True), route("rest")])
    stripped = [
        table.match(head(target)).upstream.stripped
        for target in (b"/v1/x", b"/v1/beta/x", b"/v1", b"/x")
    ]

    assert [b"/v1", b"/v1/beta", b"/v1", b""] == stripped


def test_a_thousand_routes():
    """Each of a thousand routes takes its own requests, with long paths too."""
    routes = [route(str(n), f"/p{n}/a", hosts=[f"h{n % 30}.example"]) for n in range(1000)]
    requests = [
        head(b"/p%d/a%b" % (n, b"/x" * 500), b"h%d.example" % (n % 30)) for n in range(1000)
    ]

    assert [str(n) for n in range(1000)] == taken(routes, *requests)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        pytest.param(b"/projects/group%2Fname", "projects", id="below-the-prefix"),
        pytest.param(b"/projects/group%2fname/issues?x=%2F", "projects", id="lower-case"),
        pytest.param(b"/projects/a%2Fb%2Fc", "projects", id="several"),
        pytest.param(b"/projects/%2F", "projects", id="alone"),
        pytest.param(b"/projects/open%2Fx", 400, id="P10-decoded-it-is-another-route"),
        pytest.param(b"/projects/%6Fpen%2Fx", 400, id="P10-decoded-altogether"),
        pytest.param(b"/projects/%2Fopen", 400, id="P10-without-the-empty-segment"),
        pytest.param(b"/projects/open;%2Fx", 400, id="P10-without-the-parameter"),
        pytest.param(b"/projects/;x%2Fa", 400, id="P10-is-it-of-the-parameter"),
        pytest.param(b"/projects/a%2Fb;x", 400, id="P10-any-parameter"),
        pytest.param(b"/projects/a%2Fb%3Bx", 400, id="P10-any-encoded-parameter"),
        pytest.param(b"/projects%2Fgroup", 400, id="P10-no-border-of-a-segment"),
        pytest.param(b"/%2Fprojects/a", 400, id="P10-before-the-prefix"),
        pytest.param(b"/other/a%2Fb", 400, id="P10-another-route-refuses"),
        pytest.param(b"/nowhere/a%2Fb", 400, id="P10-no-route"),
        pytest.param(b"/other?x=%2F", "other", id="P11-the-query-takes-no-part"),
        pytest.param(b"/projects/a%252Fb", "projects", id="encoded-twice-is-no-slash"),
    ],
)
def test_encoded_slashes(target, expected):
    """P10, P11: ``%2F`` is kept where a route says so, and never makes a path another route's."""
    routes = [
        route("open", "/projects/open"),
        route("projects", "/projects", keeps=True),
        route("other", "/other"),
    ]

    assert [expected] == taken(routes, head(target))


@pytest.mark.parametrize("keeps", [True, False])
def test_encoded_slashes_of_the_only_route(keeps):
    """P10: a gateway with one route for everything keeps or refuses ``%2F`` as that says."""
    targets = (b"/a%2Fb", b"/a%2fb?x", b"/a?x=%2F", b"/a%20b")

    found = taken([route("all", keeps=keeps)], *map(head, targets))

    assert [*(["all"] * 2 if keeps else [400] * 2), "all", "all"] == found


def test_stripping_with_encoded_slashes():
    """P10: a prefix is taken off where it ends at a slash, and what follows stays as it is."""
    table = RouteTable([route("api", "/v1", strip_path=True, keeps=True), route("rest")])

    found = table.match(head(b"/v1/a%2Fb"))

    assert (b"/v1", "api") == (found.upstream.stripped, found.name)
    assert [400] == taken([route("api", "/v1", strip_path=True, keeps=True)], head(b"/v1%2Fa"))
