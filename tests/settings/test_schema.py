"""The JSON Schema of the file, and the table of routes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml
from jsonschema import Draft202012Validator

from gateway import cli
from gateway.settings import describe_routes, file_schema, load, routes_table
from gateway.settings.routes import layout
from tests.settings.environments import GOOD, problems, written
from tests.settings.test_documents import EXAMPLES

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

    assert set(schema["properties"]) == {*getattr(layout(), part).allowed, *more}
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


def test_it_is_a_schema() -> None:
    """Another's validator takes it for a schema of the draft that it names."""
    assert SCHEMA["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    Draft202012Validator.check_schema(SCHEMA)


def found_in(text: str) -> list[str]:
    """Return the keys that another's validator finds wrong, as paths."""
    found = Draft202012Validator(SCHEMA).iter_errors(yaml.safe_load(text))
    return [".".join(map(str, each.absolute_path)) for each in found]


GOOD_VALUES = """
scopes: [openid, profile]
client_credentials_scopes: orders.read
auth_methods: password,client_credentials
claims_required: {level: [1, 2], admin: true, department: sales}
claims_forbidden: [locked]
upstream_headers: {X-User: preferred_username}
audience_required: [api]
idp_timeout: 2.5
client_secret_file: FILE
consumers: [{username: john, groups: [gold]}, {custom_id: a, groups: "x,y"}]
providers: {partner: {issuer: "https://p.example", client_id: a, client_secret: b}}
routes:
- {name: a, hosts: [a.example], paths: /a, methods: "GET,POST", provider: partner}
- {name: b, auth_methods: [], upstream_timeout: 5}
"""


@pytest.mark.parametrize("text", [*EXAMPLES, pytest.param(GOOD_VALUES, id="values")])
def test_good_files(text: str) -> None:
    """What the gateway runs the schema takes: every example there is, and each way of writing."""
    assert [] == found_in(text)


def test_the_good_values_run(tmp_path: Path) -> None:
    """Those ways of writing are ones that the gateway takes."""
    text = GOOD_VALUES.replace("FILE", str(written(tmp_path, "CANARY", "secret")))
    environ = {name: value for name, value in GOOD.items() if name != "CLIENT_SECRET"}

    assert 2 == len(load(written(tmp_path, text), environ).routes)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        pytest.param("isuer: https://a.example", "", id="unknown-key"),
        pytest.param("port: 70000", "port", id="too-large"),
        pytest.param("port: http", "port", id="no-number"),
        pytest.param("hide_credentials: maybe", "hide_credentials", id="no-boolean"),
        pytest.param("auth_methods: [passwrd]", "auth_methods", id="no-such-method"),
        pytest.param("log_format: xml", "log_format", id="no-such-format"),
        pytest.param("scopes: {a: b}", "scopes", id="a-mapping-for-a-list"),
        pytest.param("consumers: [{user: a}]", "consumers.0", id="unknown-key-of-a-consumer"),
        pytest.param("providers: {p: a}", "providers.p", id="provider-is-no-mapping"),
        pytest.param("providers: {p: {isuer: a}}", "providers.p", id="unknown-key-of-a-provider"),
        pytest.param("routes: {name: a}", "routes", id="routes-are-no-list"),
        pytest.param("routes: [{paths: [/a]}]", "routes.0", id="route-without-a-name"),
        pytest.param("routes: [{name: a, path: /a}]", "routes.0", id="unknown-key-of-a-route"),
        pytest.param("routes: [{name: a, port: 1}]", "routes.0", id="key-of-the-gateway"),
        pytest.param(
            "routes: [{name: a, upstream_timeout: 0}]", "routes.0.upstream_timeout", id="too-small"
        ),
    ],
)
def test_broken_files(tmp_path: Path, text: str, place: str) -> None:
    """What the schema refuses, at its place, the gateway does not run either."""
    assert [place] == found_in(text)
    assert problems({**GOOD}, written(tmp_path, text))
