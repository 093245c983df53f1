"""Routes files that are refused, and what is said about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.settings.environments import GOOD, problems, written

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "routes:\n- name: a\n  pathss: [/a]",
            ["routes.a.pathss (line 3): there is no such setting; did you mean paths?"],
            id="misspelt-key",
        ),
        pytest.param(
            "routes:\n- name: a\n  redis_url: CANARY",
            ["routes.a.redis_url (line 3): it is for the whole gateway; write it above the routes"],
            id="of-the-gateway",
        ),
        pytest.param(
            "routes:\n- name: a\n  client_secret: CANARY",
            [
                (
                    "routes.a.client_secret (line 3): it is for a provider; write it under "
                    "providers "
                    "and name that one here"
                )
            ],
            id="of-a-provider",
        ),
        pytest.param(
            "paths: [/a]",
            ["paths (line 1): it is for a route; write it under routes"],
            id="of-a-route",
        ),
        pytest.param(
            "routes:\n- name: a\n  upstream_url: http://a",
            ["routes.a.upstream_url (line 3): of a route it is called upstream"],
            id="upstream-url",
        ),
        pytest.param(
            "routes:\n- name: a\n  leeway: CANARY\n  idp_timeout: 0\n- name: b\n  leeway: 500",
            [
                "routes.a.idp_timeout (line 4): it must be greater than 0",
                "routes.a.leeway (line 3): write a number",
                "routes.b.leeway (line 6): it must be less than or equal to 120",
                (
                    "routes.b.name (line 5): / is never reached, because routes.a comes first and "
                    "takes it; put the more specific route first"
                ),
            ],
            id="several-wrong-values",
        ),
        pytest.param(
            "routes:\n- paths: [/a]",
            ["routes[1].name (line 2): it is required, to tell the route from others"],
            id="no-name",
        ),
        pytest.param(
            "routes:\n- name: a b",
            ["routes.a b.name (line 2): write a name of at most 64 letters, digits, dots, dashes"],
            id="name",
        ),
        pytest.param(
            "routes:\n- name: a\n  paths: [/a]\n- name: a\n",
            ["routes.a.name (line 4): another route has this name; choose another one"],
            id="name-twice",
        ),
        pytest.param(
            "routes:\n- name: a\n  name: b",
            ["routes.a.name (line 3): it is in the file twice; remove one"],
            id="key-twice",
        ),
        pytest.param(
            "routes:\n- name: a\n  hosts: [https://a]",
            [
                (
                    "routes.a.hosts (line 3): write hosts without scheme, port and path, e.g. "
                    "api.example,*.example"
                )
            ],
            id="host",
        ),
        pytest.param(
            "routes:\n- name: a\n  paths: [/a/]",
            [
                (
                    "routes.a.paths (line 3): write paths like /orders: from the slash on, without "
                    "one at the end"
                )
            ],
            id="path-with-final-slash",
        ),
        pytest.param(
            "routes:\n- name: a\n  paths: [/a/../b]",
            [
                (
                    "routes.a.paths (line 3): write plain paths, without dot segments, // "
                    "and any of "
                    "\\ ? # ; %2F"
                )
            ],
            id="path-with-dots",
        ),
        *[
            pytest.param(
                f"routes:\n- name: a\n  {key}: {value}",
                [f"routes.a.{key} (line 3): write it without NUL and surrogates like \\uD800"],
                id=f"no-text-{key}",
            )
            for key, value in {
                "upstream_cert_file": r'"\uD800"',
                "upstream_key_file": r'"/run/\0.pem"',
                "upstream": r'"http://unix:/\uDFFF"',
                "groups_required": r'[staff, "\uD800"]',
                "claims_required": r'{"\uD800": [sales]}',
            }.items()
        ],
        pytest.param(
            'routes:\n- name: "\\uD800"',
            [r"routes.\ud800.name (line 2): write it without NUL and surrogates like \uD800"],
            id="no-text-name",
        ),
        pytest.param(
            "routes:\n- name: a\n  methods: [get]",
            [
                (
                    "routes.a.methods (line 3): write methods in capitals, e.g. GET,POST, and no "
                    "CONNECT or TRACE"
                )
            ],
            id="method",
        ),
        pytest.param(
            "routes:\n- name: a\n  auth_methods:",
            ["routes.a.auth_methods (line 3): write a value, [] for none, or remove it"],
            id="nothing-is-not-public",
        ),
        pytest.param(
            "routes:\n- name: a\n  provider: partnr\nproviders:\n  partner: {issuer: https://p}",
            [
                "routes.a.provider (line 3): there is no such provider; did you mean partner?",
            ],
            id="provider",
        ),
        pytest.param(
            "providers:\n  p:\n    issuer: https://p\nroutes:\n- name: a\n  provider: p",
            [
                (
                    "providers.p.client_id (line 2): it is required for the method password; or "
                    "remove that from AUTH_METHODS"
                ),
                (
                    "providers.p.client_secret (line 2): it is required for the method password, "
                    "unless CLIENT_AUTH does without"
                ),
            ],
            id="registration",
        ),
        pytest.param(
            "providers:\n  default: {issuer: https://p}",
            [
                (
                    "providers.default (line 2): this is the name of the provider of "
                    "ISSUER; choose "
                    "another one"
                )
            ],
            id="name-of-the-default-provider",
        ),
        pytest.param(
            "routes:\n- name: all\n- name: a\n  paths: [/a]\n",
            [
                (
                    "routes.a.paths (line 4): /a is never reached, because routes.all "
                    "comes first and "
                    "takes it; put the more specific route first"
                )
            ],
            id="shadowed",
        ),
        pytest.param(
            "routes:\n- name: w\n  hosts: ['*.x']\n- name: a\n  hosts: [a.x]\n",
            [
                (
                    "routes.a.hosts (line 5): a.x/ is never reached, because routes.w "
                    "comes first and "
                    "takes it; put the more specific route first"
                )
            ],
            id="shadowed-host",
        ),
        pytest.param(
            "routes:\n- name: a\n  path: [/a]\n- name: b\n  paths: [/b]\n",
            ["routes.a.path (line 3): there is no such setting; did you mean paths?"],
            id="a-misspelt-place-takes-nothing-from-others",
        ),
        pytest.param(
            "routes:\n- name: all\n- name: b\n  host: [b.x]\n",
            ["routes.b.host (line 4): of a route it is called hosts"],
            id="a-misspelt-place-is-not-shadowed",
        ),
        pytest.param(
            "routes:\n- name: a\n  prefix: /a\n- name: b\n",
            ["routes.a.prefix (line 3): there is no such setting"],
            id="a-key-that-may-be-a-place",
        ),
        pytest.param(
            "routes:\n- name: a\n  paths: [a]\n- name: b\n",
            [
                (
                    "routes.a.paths (line 3): write paths like /orders: from the slash on, without "
                    "one at the end"
                )
            ],
            id="a-wrong-place-takes-nothing-from-others",
        ),
        pytest.param(
            "routes:\n- name: a\n  scope_required: [a]\n- name: b\n",
            [
                (
                    "routes.a.scope_required (line 3): there is no such setting; did you mean "
                    "scopes_required?"
                ),
                (
                    "routes.b.name (line 4): / is never reached, because routes.a comes first and "
                    "takes it; put the more specific route first"
                ),
            ],
            id="another-misspelt-key-hides-no-shadow",
        ),
        pytest.param(
            "routes:\n- name: a\n  auth_methods: [bearer]\n",
            [
                (
                    "AUDIENCE_REQUIRED (see routes.a.auth_methods (line 3)): it is required for "
                    "the method bearer; or take tokens made for any API with "
                    "INSECURE_ACCEPT_ANY_AUDIENCE=true"
                )
            ],
            id="what-asks-for-a-setting-that-nobody-says",
        ),
        pytest.param(
            "routes: {name: a}",
            ["routes (line 1): write a list, each route after a dash"],
            id="no-list",
        ),
        pytest.param(
            "routes: [a]", ["routes[1] (line 1): write the settings of a route"], id="no-mapping"
        ),
        pytest.param(
            "providers: [a]",
            ["providers (line 1): write a name and below it the settings of each"],
            id="providers-no-mapping",
        ),
        pytest.param(
            "providers: {p: CANARY}",
            ["providers.p (line 1): write its settings below the name"],
            id="provider-no-mapping",
        ),
        pytest.param(
            "routes: []\nroutes: []",
            ["routes (line 2): it is in the file twice; remove one"],
            id="routes-twice",
        ),
        pytest.param(
            "routes:\n- name: a\n  paths: {a: b}",
            ["routes.a.paths (line 3): write one value or a list of values"],
            id="mapping-for-a-list",
        ),
        pytest.param(
            "routes:\n- name: a\n  basic_grant: password\n  auth_methods: [client_credentials]",
            [
                (
                    "routes.a.basic_grant (line 3): password is not among AUTH_METHODS; "
                    "add it there "
                    "or use auto"
                )
            ],
            id="conflict-within-a-route",
        ),
    ],
)
def test_wrong_routes(tmp_path: Path, text: str, expected: list[str]) -> None:
    """Each problem of routes and providers names its key and its line, all of them at once."""
    assert list(problems(dict(GOOD), written(tmp_path, text))) == expected


def test_route_without_upstream(tmp_path: Path) -> None:
    """A route without an upstream needs UPSTREAM_URL."""
    environ = {name: value for name, value in GOOD.items() if name != "UPSTREAM_URL"}

    assert problems(environ, written(tmp_path, "routes:\n- name: a")) == (
        "routes.a.upstream (line 2): it is required: where requests go",
    )
