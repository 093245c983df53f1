from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from pydantic import ValidationError

from gateway.settings import Settings, load
from tests.settings.environments import GOOD, NEW, REDIS, said

if TYPE_CHECKING:
    from pathlib import Path

QUERY = "credentials in a query end up in logs and histories; prefer header or body"


def test_defaults() -> None:
    """What the contract gives as defaults is what is used when nothing is said."""
    settings = said({})
    assert settings.model_dump(exclude={"client_secret", "cache_secret", "log_format"}) == {
        "issuer": "https://sso.example/realms/example",
        "client_id": "gateway",
        "client_auth": None,
        "client_alg": None,
        "client_key_file": None,
        "client_cert_file": None,
        "client_assertion_audience": "issuer",
        "insecure_allow_http_issuer": False,
        "idp_ca_file": None,
        "idp_endpoint_hosts": (),
        "idp_timeout": 5,
        "idp_connect_timeout": 2,
        "idp_max_concurrency": 64,
        "idp_max_queue": 512,
        "idp_tell_caller_address": False,
        "auth_methods": ("password", "client_credentials"),
        "basic_grant": "auto",
        "client_credentials_ids": (),
        "password_param_type": ("header",),
        "client_credentials_param_type": ("header",),
        "hide_credentials": True,
        "scopes": "openid",
        "client_credentials_scopes": "",
        "audience": "",
        "token_post_args": (),
        "token_post_args_client": (),
        "token_exchange": False,
        "token_exchange_audience": "",
        "token_exchange_scopes": "",
        "token_exchange_resource": "",
        "token_exchange_requested_token_type": "access_token",
        "revoke_on_purge": False,
        "audience_required": (),
        "scopes_required": (),
        "roles_required": (),
        "groups_required": (),
        "introspection_endpoint": "",
        "userinfo_endpoint": "",
        "search_user_info": False,
        "run_on_preflight": True,
        "bearer_token_as_password": False,
        "refresh_token_param_name": "",
        "refresh_token_param_type": ("header",),
        "refresh_token_kept": 1_209_600,
        "bearer_token_param_type": ("header",),
        "insecure_accept_any_audience": False,
        "claims_required": (),
        "claims_forbidden": (),
        "audience_claim": "aud",
        "scopes_claim": "scope",
        "roles_claim": "realm_access.roles",
        "groups_claim": "groups",
        "leeway": 30,
        "upstream_headers": (),
        "downstream_headers": (),
        "upstream_access_token_header": "authorization:bearer",
        "authenticated_headers": False,
        "upstream_id_token_header": "",
        "upstream_introspection_header": "",
        "upstream_user_info_header": "",
        "credential_claim": "sub",
        "authenticated_groups_claim": "",
        "consumer_claims": (),
        "consumer_by": ("username", "custom_id"),
        "consumer_optional": False,
        "anonymous": "",
        "consumers": (),
        "redis_url": Settings().redis_url,
        "cache_ttl_max": 300,
        "cache_ttl_neg": 5,
        "cache_margin": 10,
        "cache_max_entries": 10_000,
        "failed_logins_max": 5,
        "failed_logins_window": 60.0,
        "failed_logins_spacing": 1.1,
        "upstream_url": "http://httpbin:8080",
        "encoded_slashes": "refuse",
        "upstream_ca_file": None,
        "upstream_cert_file": None,
        "upstream_key_file": None,
        "upstream_timeout": 60,
        "upstream_connect_timeout": 5,
        "websockets": True,
        "websocket_origins": (),
        "websocket_end_with_token": True,
        "websocket_idle_timeout": 300,
        "websocket_max_per_user": 100,
        "host": "0.0.0.0",
        "port": 8000,
        "admin_host": "127.0.0.1",
        "admin_port": 8001,
        "max_body_bytes": 0,
        "max_header_bytes": 32_768,
        "workers": 1,
        "tls_cert_file": None,
        "tls_key_file": None,
        "trusted_proxies": (),
        "shutdown_grace": 30,
        "upstream_max_connections": 1024,
        "upstream_idle_timeout": 4,
        "upstream_connection_lifetime": 300,
        "max_connections": 10_000,
        "max_connections_per_address": 0,
        "keepalive_timeout": 75,
        "request_head_timeout": 10,
        "request_min_rate": 1024,
        "request_timeout": 0,
        "log_level": "info",
    }
    assert not settings.redis_url


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        pytest.param("AUTH_METHODS", " password , ", ("password",), id="list"),
        pytest.param("SCOPES", "openid,profile email", "openid profile email", id="scopes"),
        pytest.param("SCOPES", "", "", id="no-scopes"),
        pytest.param("CLIENT_CREDENTIALS_SCOPES", "a,b", "a b", id="client-scopes"),
        pytest.param("CLIENT_AUTH", "client_secret_post", "client_secret_post", id="client-auth"),
        pytest.param(
            "ROLES_REQUIRED",
            "admin, reader writer ,",
            (frozenset({"admin"}), frozenset({"reader", "writer"})),
            id="or-and",
        ),
        pytest.param(
            "TOKEN_POST_ARGS", "a=1,b=x=y,c=", (("a", "1"), ("b", "x=y"), ("c", "")), id="pairs"
        ),
        pytest.param(
            "TRUSTED_PROXIES",
            "10.0.0.0/8,::1",
            (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1/128")),
            id="networks",
        ),
        pytest.param("PASSWORD_PARAM_TYPE", "header,body", ("header", "body"), id="places"),
        pytest.param("HIDE_CREDENTIALS", "false", False, id="bool"),
        pytest.param("LOG_LEVEL", "WARNING", "warning", id="level-in-capitals"),
        pytest.param("LOG_FORMAT", "Text", "text", id="format-in-capitals"),
        pytest.param("LEEWAY", "120", 120, id="leeway-at-most"),
        pytest.param("CACHE_TTL_NEG", "30", 30, id="ttl-neg-at-most"),
        pytest.param("CACHE_TTL_NEG", "0", 0, id="ttl-neg-off"),
        pytest.param("PORT", "0", 0, id="any-port"),
        pytest.param("PORT", "", 8000, id="empty-is-unset"),
        pytest.param("IDP_TIMEOUT", "0.5", 0.5, id="half-a-second"),
        pytest.param("ISSUER", "http://localhost:8080/realms/x", "http://localhost:8080/realms/x"),
        pytest.param("ISSUER", "http://127.0.0.1:1", "http://127.0.0.1:1", id="issuer-v4"),
        pytest.param("ISSUER", "http://[::1]:1", "http://[::1]:1", id="issuer-v6"),
        pytest.param("ISSUER", "http://sso.localhost", "http://sso.localhost", id="issuer-sub"),
        pytest.param(
            "ISSUER",
            "https://a.example/.well-known/openid-configuration",
            "https://a.example/.well-known/openid-configuration",
            id="issuer-discovery",
        ),
        pytest.param("UPSTREAM_URL", "https://[::1]:8/a%2Fb", "https://[::1]:8/a%2Fb"),
    ],
)
def test_value(name: str, text: str, value: Any) -> None:
    """A setting's text in the environment means this value."""
    assert getattr(said({name: text}), name.lower()) == value


def test_ca_file(tmp_path: Path) -> None:
    """A file with trust anchors is accepted."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    assert said({"IDP_CA_FILE": str(tmp_path / "ca.pem")}).idp_ca_file == tmp_path / "ca.pem"


def test_settings_made_by_hand() -> None:
    """Settings may be made from values as well as from text, and read no environment."""
    networks = (ipaddress.ip_network("10.0.0.0/8"),)
    settings = Settings(
        issuer="https://sso.example",
        scopes="a b",
        auth_methods=("password",),
        roles_required=(frozenset({"a"}),),
        token_post_args=(("a", "1"),),
        trusted_proxies=networks,
        cache_secret=Settings(cache_secret=NEW).cache_secret,  # type: ignore[arg-type] - the text form
        log_level="debug",
    )
    assert settings.trusted_proxies == networks
    assert settings.token_post_args == (("a", "1"),)


def test_settings_read_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings made by hand take nothing from the process's environment."""
    monkeypatch.setenv("PORT", "1")
    assert Settings().port == 8000


def test_frozen() -> None:
    """Settings do not change, and there are none but those of the contract."""
    settings = said({})
    with pytest.raises(ValidationError):
        settings.port = 1
    with pytest.raises(ValidationError):
        Settings(upstram_url="x")


@pytest.mark.parametrize("name", ["scopes", "token_post_args", "roles_required", "auth_methods"])
def test_value_of_another_type(name: str) -> None:
    """Settings made by hand from a value that is neither text nor a list are refused."""
    with pytest.raises(ValidationError):
        Settings(**{name: 7})


def test_repr_shows_no_secret() -> None:
    """L2: neither repr nor str nor JSON of the settings shows a secret."""
    settings = said(REDIS)
    assert "CANARY" not in repr(settings) + str(settings) + settings.model_dump_json()


@pytest.mark.parametrize(
    ("environ", "warning"),
    [
        pytest.param({}, (), id="none"),
        pytest.param(
            {"PASSWORD_PARAM_TYPE": "query"},
            (f"PASSWORD_PARAM_TYPE: {QUERY}",),
            id="C1-password-in-query",
        ),
        pytest.param(
            {"CLIENT_CREDENTIALS_PARAM_TYPE": "header,query"},
            (f"CLIENT_CREDENTIALS_PARAM_TYPE: {QUERY}",),
            id="C1-client-secret-in-query",
        ),
        pytest.param(
            {"ISSUER": "http://sso.example", "INSECURE_ALLOW_HTTP_ISSUER": "true"},
            ("ISSUER: passwords travel to the provider unencrypted",),
            id="D2-http-issuer",
        ),
        pytest.param(
            {"HIDE_CREDENTIALS": "false"},
            ("HIDE_CREDENTIALS: the upstream receives the callers' passwords of query and body",),
            id="credentials-not-hidden",
        ),
        pytest.param(
            {"AUDIENCE_REQURED": "CANARY"},
            ("AUDIENCE_REQURED: there is no such setting; did you mean AUDIENCE_REQUIRED?",),
            id="misspelt",
        ),
        pytest.param(
            {"HOSTNAME": "x", "audience_requred": "x", "AUDIENCE_REQURE": "", "UPSTREAM_PORT": "1"},
            (),
            id="variables-of-others",
        ),
    ],
)
def test_warnings(environ: dict[str, str], warning: tuple[str, ...]) -> None:
    """What runs and yet should be known is a warning."""
    assert load(None, {**GOOD, **environ}).warnings == warning


def test_endpoint_hosts() -> None:
    """D3: hosts are read in any case, with or without a port, IPv6 in brackets."""
    settings = said({"IDP_ENDPOINT_HOSTS": "OAuth2.googleapis.com, keys.example:8443,[FD00::1]:1"})
    expected = ("oauth2.googleapis.com", "keys.example:8443", "[fd00::1]:1")
    assert expected == settings.idp_endpoint_hosts


def test_websocket_origins() -> None:
    """P21: origins are read in any case, as a browser writes them, or a star."""
    settings = said({"WEBSOCKET_ORIGINS": "https://App.example, http://[::1]:8080,*"})
    assert ("https://app.example", "http://[::1]:8080", "*") == settings.websocket_origins
