"""The JSON Schema of the file, and the table of routes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from gateway import cli
from gateway.settings import describe_routes, file_schema, load, routes_table
from gateway.settings.routes import layout
from tests.settings.environments import written

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = file_schema()
PARTS = {
    "top": (SCHEMA, {"routes", "providers"}),
    "provider": (SCHEMA["properties"]["providers"]["additionalProperties"], set()),
    "route": (SCHEMA["properties"]["routes"]["items"], set()),
}
ROUTES = """
    issuer: https://sso.example/realms/example
    client_id: gateway
    client_secret: CANARY-client
    upstream_url: http://httpbin:8080
    routes:
      - {name: orders, hosts: [api.example], paths: [/orders], methods: [POST, GET],
         upstream: "http://orders:8080", scopes_required: [a]}
      - {name: open, auth_methods: []}
"""


@pytest.mark.parametrize("part", PARTS)
def test_schema_has_the_keys_that_are_read(part: str) -> None:
    """Each part of the schema allows exactly the keys that part of the file may have."""
    schema, more = PARTS[part]

    assert set(schema["properties"]) == {*getattr(layout(()), part).allowed, *more}
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("part", "key", "expected"),
    [
        pytest.param("top", "port", {"type": "integer", "minimum": 0, "maximum": 65535}, id="int"),
        pytest.param("top", "client_secret", {"type": "string"}, id="secret"),
        pytest.param("top", "hide_credentials", {"type": "boolean"}, id="boolean"),
        pytest.param("top", "cache_secret", {"type": "string"}, id="secrets"),
        pytest.param(
            "route",
            "hosts",
            {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]},
            id="list",
        ),
        pytest.param(
            "provider",
            "idp_timeout",
            {"type": "number", "exclusiveMinimum": 0, "maximum": 3600},
            id="float",
        ),
    ],
)
def test_values(part: str, key: str, expected: object) -> None:
    """A value looks in the schema as it does in the file; a list may be a text with commas."""
    said = dict(PARTS[part][0]["properties"][key])
    assert said.pop("description")
    assert said == expected


def test_check_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """`bearergate check --schema` prints it and needs no configuration."""
    assert cli.main(["check", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA


def test_table_of_routes(tmp_path: Path) -> None:
    """The table has a line for each route, in the order in which they are asked."""
    loaded = load(written(tmp_path, ROUTES), {})

    assert [line.split() for line in routes_table(loaded.routes).splitlines()] == [
        ["name", "hosts", "paths", "methods", "upstream", "provider", "callers", "rules"],
        [
            "orders", "api.example", "/orders", "GET,POST", "http://orders:8080", "default",
            "password,client_credentials", "scopes_required",
        ],
        ["open", "any", "any", "any", "http://httpbin:8080", "-", "public", "-"],
    ]  # fmt: skip


def test_routes_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`bearergate routes --json` prints the same as JSON, without secrets."""
    file = written(tmp_path, ROUTES)

    assert cli.main(["routes", "--json", "--config", str(file)]) == 0

    printed = capsys.readouterr().out
    assert json.loads(printed) == describe_routes(load(file, {}).routes)
    assert "CANARY" not in printed
