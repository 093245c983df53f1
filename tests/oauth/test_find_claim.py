from __future__ import annotations

import pytest

from gateway.oauth.claims import claim_values, find_claim

NESTED = {
    "scope": "a b",
    "https://x.example/roles": ["admin"],
    "realm_access": {"roles": ["user"]},
    "resource_access": {"my.client": {"roles": ["r"]}},
    "a": {"b": {"c": 1}},
    "a.b": {"c": 2},
    "n": None,
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("scope", "a b", id="a name"),
        pytest.param("https://x.example/roles", ["admin"], id="a name with dots"),
        pytest.param("realm_access.roles", ["user"], id="a path"),
        pytest.param("resource_access.my.client.roles", ["r"], id="a path through a dotted name"),
        pytest.param("a.b.c", 2, id="the longest literal name"),
        pytest.param("a.b", {"c": 2}, id="the literal name itself"),
        pytest.param("n", None, id="null"),
        pytest.param("scope.x", None, id="through a string"),
        pytest.param("realm_access.missing", None, id="missing at the end"),
        pytest.param("missing.roles", None, id="missing at the start"),
        pytest.param("", None, id="empty"),
        pytest.param("..", None, id="dots"),
    ],
)
def test_claim_is_found(path, expected):
    """A claim is found by its name or its dotted path."""
    assert expected == find_claim(NESTED, path)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("a b", {"a", "b"}, id="a string"),
        pytest.param(" a  b ", {"a", "b"}, id="spaces"),
        pytest.param("a\tb", {"a\tb"}, id="only the space separates"),
        pytest.param("", set(), id="empty"),
        pytest.param(["a b", "c"], {"a b", "c"}, id="a list is not split"),
        pytest.param(["a", 1, None, ["b"], ""], {"a"}, id="other members count for nothing"),
        pytest.param(("a",), {"a"}, id="a tuple"),
        pytest.param(None, set(), id="null"),
        pytest.param(True, set(), id="a boolean"),
        pytest.param({"a": 1}, set(), id="an object"),
    ],
)
def test_claim_values_are_told(value, expected):
    """The values of a claim are the words of a string or the strings of a list."""
    assert expected == claim_values(value)
