"""Routes and providers of the file: read with their lines, judged together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.routing import Reach
from gateway.settings import RoutePlan, Settings, load
from gateway.settings.model.connections import UpstreamsConnections
from gateway.settings.model.routes import ProviderSettings, RouteSettings
from tests.settings.environments import GOOD, written

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


def test_unused_provider(tmp_path: Path) -> None:
    """A provider that no route names is worth a warning."""
    text = "providers: {p: {issuer: 'https://p'}}\nroutes: [{name: a}]"

    assert load(written(tmp_path, text), dict(GOOD)).warnings == (
        "providers.p (line 1): no route uses it",
    )
