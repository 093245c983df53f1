"""Routes that never get a request, because earlier ones take them all."""

from __future__ import annotations

import pytest

from gateway.request import METHODS
from gateway.routing import Reach
from gateway.routing.places import find_shadows


def reach(*paths, hosts=(), methods=()):
    """Return which requests a route takes."""
    return Reach(tuple(hosts), paths, frozenset(methods))


@pytest.mark.parametrize(
    "reaches",
    [
        pytest.param([reach("/a/b"), reach("/a"), reach()], id="narrower-first"),
        pytest.param([reach("/a"), reach("/ab")], id="no-segment-border"),
        pytest.param([reach(hosts=["a.example"]), reach(hosts=["*.example"]), reach()], id="hosts"),
        pytest.param(
            [reach(hosts=["*.a.example"]), reach(hosts=["a.example"])], id="not-of-wildcard"
        ),
        pytest.param([reach("/a", methods=["GET"]), reach("/a")], id="other-methods-left"),
        pytest.param([reach("/a", hosts=["x"]), reach("/a", hosts=["y"])], id="other-hosts"),
        pytest.param([reach("/a/b"), reach("/a", hosts=["x"])], id="overlap"),
    ],
)
def test_all_reached(reaches):
    """Routes that overlap are fine as long as each has something of its own."""
    assert [] == list(find_shadows(reaches))


@pytest.mark.parametrize(
    ("reaches", "expected"),
    [
        pytest.param([reach(), reach("/a")], ("", "/a", (0,)), id="everything-first"),
        pytest.param([reach("/a"), reach("/a/b")], ("", "/a/b", (0,)), id="prefix-first"),
        pytest.param([reach("/a"), reach("/a")], ("", "/a", (0,)), id="same"),
        pytest.param([reach("/"), reach()], ("", "/", (0,)), id="root"),
        pytest.param(
            [reach(hosts=["*.example"]), reach(hosts=["x.example"])],
            ("x.example", "/", (0,)),
            id="wildcard-first",
        ),
        pytest.param(
            [reach("/a", methods=["GET", "POST"]), reach("/a/b", methods=["GET"])],
            ("", "/a/b", (0,)),
            id="methods",
        ),
        pytest.param(
            [
                reach("/a", methods=["GET"]),
                reach("/a", methods=["POST"]),
                reach("/a", methods=["GET", "POST"]),
            ],
            ("", "/a", (0, 1)),
            id="several-together",
        ),
        pytest.param(
            [reach("/a", methods=METHODS), reach("/a")], ("", "/a", (0,)), id="every-method"
        ),
        pytest.param(
            [reach("/a"), reach("/b", "/a/c")], ("", "/a/c", (0,)), id="one-path-of-several"
        ),
    ],
)
def test_never_reached(reaches, expected):
    """A place that earlier routes take with every method is told, with who takes it."""
    shadows = [(each.host, each.path, each.by) for each in find_shadows(reaches)]

    assert [expected] == shadows
