"""Routes and providers of the file: read with their lines, judged together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.routing import Reach
from gateway.settings import RoutePlan, Settings, load
from gateway.settings.model.connections import UpstreamsConnections
from gateway.settings.model.routes import ProviderSettings, RouteSettings
from tests.settings.environments import GOOD, problems, written

if TYPE_CHECKING:
    from pathlib import Path

CONTRACT = """
    issuer: https://sso.example/realms/example-realm
    client_id: gateway
    client_secret_file: SECRET
    upstream_url: http://httpbin:8080
    scopes_required: [base]
    idp_timeout: 4
    providers:
      partner: {issuer: "https://partner.example", client_id: gw, client_secret_file: SECRET}
    routes:
      - name: orders
        hosts: [API.example]
        paths: [/orders]
        methods: [GET, POST]
        upstream: http://orders:8080
        strip_path: false
        provider: partner
        auth_methods: [password]
        scopes_required: [orders.read]
      - name: health
        paths: [/status]
        upstream: http://orders:8080
        auth_methods: []
      - name: rest
        preserve_host: true
        strip_path: yes
        upstream_timeout: 7
"""


def plans(tmp_path: Path, text: str, environ: dict[str, str]) -> tuple[RoutePlan, ...]:
    """Return the routes of a file whose secrets are in another one."""
    secret = tmp_path / "secret"
    secret.write_text("CANARY-partner")
    secret.chmod(0o600)
    return load(written(tmp_path, text.replace("SECRET", str(secret))), environ).routes


def test_file_of_the_contract(tmp_path: Path) -> None:
    """Each route has the gateway's settings, those of its provider over them, its own on top."""
    orders, health, rest = plans(tmp_path, CONTRACT, {})

    assert orders.reach == Reach(("api.example",), ("/orders",), frozenset({"GET", "POST"}))
    assert (orders.provider, health.provider) == ("partner", "default")
    assert [each.public for each in (orders, health, rest)] == [False, True, False]
    assert [each.settings.issuer.partition("//")[2] for each in (orders, rest)] == [
        "partner.example",
        "sso.example/realms/example-realm",
    ]
    assert [each.settings.client_id for each in (orders, rest)] == ["gw", "gateway"]
    assert [each.settings.scopes_required for each in (orders, rest)] == [
        (frozenset({"orders.read"}),),
        (frozenset({"base"}),),
    ]
    assert [each.settings.upstream_url for each in (orders, rest)] == [
        "http://orders:8080",
        "http://httpbin:8080",
    ]
    assert [each.settings.idp_timeout for each in (orders, rest)] == [4, 4]
    assert (rest.settings.upstream_timeout, orders.settings.upstream_timeout) == (7, 60)
    assert (rest.preserve_host, rest.strip_path, orders.strip_path) == (True, True, False)


def test_no_routes(tmp_path: Path) -> None:
    """Without routes there is one, which takes everything to UPSTREAM_URL."""
    [only] = load(written(tmp_path, "routes: []"), dict(GOOD)).routes

    assert (only.name, only.reach, only.settings.upstream_url) == (
        "default",
        Reach(),
        GOOD["UPSTREAM_URL"],
    )


def test_environment_wins_over_the_file_and_a_route_over_both(tmp_path: Path) -> None:
    """The environment wins for the gateway; what a route or provider says of itself holds."""
    text = """
        idp_timeout: 1
        leeway: 1
        providers:
          p: {issuer: "https://p.example", client_id: c, client_secret: CANARY, idp_timeout: 3}
        routes: [{name: a, paths: [/a], provider: p, leeway: 2}, {name: b}]
    """
    first, second = plans(tmp_path, text, {**GOOD, "IDP_TIMEOUT": "9", "LEEWAY": "8"})

    assert [first.settings.idp_timeout, second.settings.idp_timeout] == [3, 9]
    assert [first.settings.leeway, second.settings.leeway] == [2, 8]


def test_every_setting_about_callers_tokens_and_times_may_be_a_routes() -> None:
    """Contract §5: what is about authentication, authorization, caching or timeouts."""
    places = RouteSettings.model_fields.keys() | ProviderSettings.model_fields.keys()
    process = {"cache_max_entries", "cache_secret", "redis_url", "revoke_on_purge"}
    process |= UpstreamsConnections.model_fields.keys()  # the pool is not a route's
    begins = ("auth_", "cache_", "client_", "idp_", "failed_", "scopes", "token_", "upstream_")
    ends = ("_required", "_claim", "_param_type", "_forbidden")
    named = {
        each for each in Settings.model_fields if each.startswith(begins) or each.endswith(ends)
    }

    assert named - process - {"upstream_url"} <= places


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


def test_unused_provider(tmp_path: Path) -> None:
    """A provider that no route names is worth a warning."""
    text = "providers: {p: {issuer: 'https://p'}}\nroutes: [{name: a}]"

    assert load(written(tmp_path, text), dict(GOOD)).warnings == (
        "providers.p (line 1): no route uses it",
    )
