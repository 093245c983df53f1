from __future__ import annotations

import pytest

from gateway.errors import ConfigurationError
from gateway.settings import SettingsError, load
from gateway.settings.values import EXAMPLE_CACHE_SECRET
from tests.settings.environments import GOOD, NEW, OLD, problems, said


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("ISSUER", "sso.example", id="issuer-no-scheme"),
        pytest.param("ISSUER", "ftp://sso.example", id="issuer-scheme"),
        pytest.param("ISSUER", "http://sso.example", id="issuer-http"),
        pytest.param("ISSUER", "http://localhost.example", id="issuer-http-like-loopback"),
        pytest.param("ISSUER", "https://", id="issuer-no-host"),
        pytest.param("ISSUER", "https://u:CANARY@sso.example", id="issuer-user-info"),
        pytest.param("ISSUER", "https://sso.example?CANARY", id="issuer-query"),
        pytest.param("ISSUER", "https://sso.example/#", id="issuer-fragment"),
        pytest.param("ISSUER", "https://sso.example:0", id="issuer-port-0"),
        pytest.param("ISSUER", "https://sso.example:CANARY", id="issuer-port"),
        pytest.param("ISSUER", "https://sso.example/ ", id="issuer-space"),
        pytest.param("ISSUER", "https://sso.example/\n", id="issuer-line-feed"),
        pytest.param("ISSUER", "https://ssö.example", id="issuer-not-ascii"),
        pytest.param("ISSUER", "https://sso.example\\@evil.example", id="issuer-backslash"),
        pytest.param("CLIENT_AUTH", "client_secret", id="client-auth-unknown"),
        pytest.param("UPSTREAM_URL", "httpbin:8080", id="upstream-no-scheme"),
        pytest.param("UPSTREAM_URL", "http://u:CANARY@httpbin", id="upstream-user-info"),
        pytest.param("UPSTREAM_URL", "http://httpbin?x", id="upstream-query"),
        pytest.param("PORT", "65536", id="port"),
        pytest.param("PORT", "-1", id="port-negative"),
        pytest.param("PORT", "tcp://10.0.0.1:80", id="port-of-a-service-link"),
        pytest.param("ADMIN_PORT", "8000", id="admin-port-is-the-proxy-port"),
        pytest.param("HOST", "a b", id="host"),
        pytest.param("AUTH_METHODS", ",", id="methods-none"),
        pytest.param("AUTH_METHODS", "passwort", id="methods-unknown"),
        pytest.param("AUTH_METHODS", "password,session", id="methods-later"),
        pytest.param("BASIC_GRANT", "bearer", id="basic-grant-unknown"),
        pytest.param("PASSWORD_PARAM_TYPE", "cookie", id="param-type"),
        pytest.param("SCOPES", 'a"b', id="scopes"),
        pytest.param("TOKEN_POST_ARGS", "a", id="post-args-no-value"),
        pytest.param("TOKEN_POST_ARGS", "=1", id="post-args-no-name"),
        pytest.param("TOKEN_POST_ARGS", "grant_type=CANARY", id="post-args-ours"),
        pytest.param("TOKEN_POST_ARGS", "a=CANARY,a=1", id="T2-post-args-name-twice"),
        pytest.param("ROLES_CLAIM", "a b", id="claim"),
        pytest.param("INTROSPECTION_ENDPOINT", "http://sso.example/i", id="D2-introspection-http"),
        pytest.param("USERINFO_ENDPOINT", "https://u:CANARY@sso.example", id="userinfo-user-info"),
        pytest.param("ROLES_REQUIRED", " , ", id="requirement-without-values"),
        pytest.param("SCOPES_REQUIRED", 'CANARY"', id="scopes-required"),
        pytest.param("SCOPES_REQUIRED", "lesen,schreibén", id="scopes-required-not-ascii"),
        pytest.param("CLAIMS_REQUIRED", ",", id="claims-none"),
        pytest.param("CLAIMS_REQUIRED", "=CANARY", id="claims-no-name"),
        pytest.param("CLAIMS_REQUIRED", "department=", id="claims-no-value"),
        pytest.param("CLAIMS_REQUIRED", "department=sales||hr", id="claims-empty-value"),
        pytest.param("CLAIMS_REQUIRED", "level=~", id="claims-empty-pattern"),
        pytest.param("CLAIMS_REQUIRED", "two words=CANARY", id="claims-name-with-space"),
        pytest.param("CLAIMS_FORBIDDEN", "a\x7f", id="claims-name-with-control"),
        pytest.param("LEEWAY", "121", id="leeway"),
        pytest.param("LEEWAY", "-1", id="leeway-negative"),
        pytest.param("LEEWAY", "nan", id="leeway-nan"),
        pytest.param("REDIS_URL", "http://CANARY@x", id="redis-scheme"),
        pytest.param("TOKEN_POST_ARGS_CLIENT", "otp,password", id="copied-own-field"),
        pytest.param("REDIS_URL", "redis+sentinel://CANARY@x", id="redis-sentinel"),
        pytest.param("REDIS_URL", "redis+cluster://CANARY@", id="redis-cluster"),
        pytest.param("REDIS_URL", "rediss://x?ssl_cert_reqs=none", id="redis-unverified"),
        pytest.param("CACHE_SECRET", "CANARY-short", id="A3-short"),
        pytest.param("CACHE_SECRET", f"{NEW},CANARY-short", id="A3-old-one-short"),
        pytest.param("CACHE_SECRET", f"{NEW},", id="A3-old-one-empty"),
        pytest.param("CACHE_SECRET", EXAMPLE_CACHE_SECRET, id="A3-example"),
        pytest.param("CACHE_SECRET", f"{NEW},{EXAMPLE_CACHE_SECRET}", id="A3-example-as-old"),
        pytest.param("CACHE_SECRET", f"{NEW},{NEW}", id="A3-same-twice"),
        pytest.param("CACHE_SECRET", f"{NEW},{OLD},{OLD}x", id="A3-three"),
        pytest.param("CACHE_TTL_NEG", "31", id="ttl-neg"),
        pytest.param("CACHE_TTL_MAX", "inf", id="ttl-max-inf"),
        pytest.param("CACHE_MAX_ENTRIES", "0", id="max-entries"),
        pytest.param("FAILED_LOGINS_MAX", "0", id="no-failed-login"),
        pytest.param("FAILED_LOGINS_MAX", "1001", id="too-many-failed-logins"),
        pytest.param("FAILED_LOGINS_WINDOW", "0", id="no-window"),
        pytest.param("FAILED_LOGINS_SPACING", "11", id="long-spacing"),
        pytest.param("IDP_TIMEOUT", "0", id="timeout-0"),
        pytest.param("IDP_MAX_CONCURRENCY", "0", id="concurrency-0"),
        pytest.param("MAX_BODY_BYTES", "1.5", id="body-fraction"),
        pytest.param("MAX_HEADER_BYTES", "10", id="header-too-small"),
        pytest.param("MAX_CONNECTIONS", "0", id="no-connection"),
        pytest.param("MAX_CONNECTIONS_PER_ADDRESS", "-1", id="connections-negative"),
        pytest.param("KEEPALIVE_TIMEOUT", "0", id="no-keep-alive"),
        pytest.param("REQUEST_HEAD_TIMEOUT", "0", id="no-time-for-a-head"),
        pytest.param("REQUEST_MIN_RATE", "-1", id="rate-negative"),
        pytest.param("REQUEST_TIMEOUT", "inf", id="request-timeout-inf"),
        pytest.param("HIDE_CREDENTIALS", "maybe", id="bool"),
        pytest.param("IDP_CA_FILE", "/nonexistent/CANARY", id="ca-file-missing"),
        pytest.param("IDP_ENDPOINT_HOSTS", "https://CANARY.example", id="D3-host-with-scheme"),
        pytest.param("IDP_ENDPOINT_HOSTS", "a.example,b.example/CANARY", id="D3-host-with-path"),
        pytest.param("IDP_ENDPOINT_HOSTS", "user@a.example", id="D3-host-with-user"),
        pytest.param("IDP_ENDPOINT_HOSTS", "*.example", id="D3-host-pattern"),
        pytest.param("UPSTREAM_CA_FILE", __file__, id="ca-file-without-certificates"),
        pytest.param("TRUSTED_PROXIES", "10.0.0.1/8", id="network-host-bits"),
        pytest.param("TRUSTED_PROXIES", "CANARY", id="network"),
        pytest.param("WEBSOCKETS", "maybe", id="P21-websockets"),
        pytest.param("WEBSOCKET_ORIGINS", "app.example", id="P21-origin-without-scheme"),
        pytest.param("WEBSOCKET_ORIGINS", "https://app.example/", id="P21-origin-with-path"),
        pytest.param("WEBSOCKET_ORIGINS", "https://*.example", id="P21-origin-pattern"),
        pytest.param("WEBSOCKET_MAX_PER_USER", "0", id="R8-no-websocket"),
        pytest.param("WEBSOCKET_IDLE_TIMEOUT", "-1", id="P21-websocket-idle"),
        pytest.param("LOG_LEVEL", "loud", id="level"),
        pytest.param("LOG_FORMAT", "xml", id="format"),
    ],
)
def test_wrong_value(name: str, text: str) -> None:
    """A wrong value is one problem, named as it was written, and not quoted."""
    [problem] = problems({**GOOD, "CACHE_SECRET": NEW, name: text})
    assert problem.startswith(f"{name}: ")
    assert "should" not in problem, "Pydantic's own words: say in validation.py what helps"


@pytest.mark.parametrize(
    ("name", "text", "fix"),
    [
        pytest.param("WEBSOCKETS", "maybe", "write true or false", id="switch"),
        pytest.param("LEEWAY", "ten", "write a number", id="number"),
        pytest.param("PORT", "8080.5", "write a whole number", id="whole-number"),
        pytest.param("PORT", "65536", "it must be less than or equal to 65535", id="bound"),
        pytest.param("LOG_FORMAT", "xml", "it must be 'json' or 'text'", id="one-of"),
        pytest.param("HOST", "a b", "write it without spaces and control", id="spaces"),
        pytest.param("AUTH_METHODS", ",", "write at least one value", id="none"),
        pytest.param("PASSWORD_PARAM_TYPE", ",", "write at least one value", id="no-place"),
        pytest.param(
            "PASSWORD_PARAM_TYPE",
            "body,body,body,body",
            "it must have at most 3 items",
            id="too-many",
        ),
        pytest.param("ISSUER", "sso.example", "write it as https://host\n", id="issuer"),
        pytest.param("USERINFO_ENDPOINT", "sso.example", "write it as https://host\n", id="D3"),
        pytest.param(
            "UPSTREAM_URL", "app:8080", "write it as http://host or https://host\n", id="upstream"
        ),
        pytest.param("LOG_LEVEL", "\ud800", "write it in UTF-8", id="not-utf-8"),
    ],
)
def test_wrong_value_has_a_fix(name: str, text: str, fix: str) -> None:
    """A problem says what to write."""
    [problem] = problems({**GOOD, name: text})
    assert f"{problem}\n".startswith(f"{name}: {fix}")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("TLS_CERT_FILE", ""),
        ("ROUTES", "not a setting of the environment"),
    ],
)
def test_setting_that_asks_for_nothing(name: str, text: str) -> None:
    """A setting that is empty, or none of the environment, asks for nothing."""
    assert said({name: text}).port == 8000


def test_every_problem_at_once() -> None:
    """All problems are told together, one line each, also those several settings make."""
    told = problems({"PORT": "x", "LEEWAY": "500", "WORKERS": "many", "BASIC_GRANT": "auto"})
    assert [line.split(":")[0].split(" ")[0] for line in told] == [
        "LEEWAY",
        "PORT",
        "WORKERS",
        "ISSUER",
        "UPSTREAM_URL",
        "CLIENT_ID",
        "CLIENT_SECRET",
    ]


def test_problem_of_a_problem() -> None:
    """What follows from a wrong value alone is not told as well."""
    assert len(problems({**GOOD, "AUTH_METHODS": "passwort", "BASIC_GRANT": "password"})) == 1
    assert len(problems({**GOOD, "REDIS_URL": "x"})) == 1


@pytest.mark.parametrize("missing", ["ISSUER", "UPSTREAM_URL", "CLIENT_ID", "CLIENT_SECRET"])
def test_required(missing: str) -> None:
    """Each of these is required while the password method is on."""
    [problem] = problems({name: text for name, text in GOOD.items() if name != missing})
    assert problem.startswith(f"{missing}: it is required")


def test_client_credentials_alone() -> None:
    """Without the password method the gateway needs no registration of its own."""
    environ = {name: GOOD[name] for name in ("ISSUER", "UPSTREAM_URL")}
    settings = load(None, {**environ, "AUTH_METHODS": "client_credentials"}).settings
    assert settings.client_id == ""


def test_grant_that_is_off() -> None:
    """BASIC_GRANT names a method that is on."""
    [problem] = problems({**GOOD, "AUTH_METHODS": "password", "BASIC_GRANT": "client_credentials"})
    assert problem.startswith("BASIC_GRANT: client_credentials is not among AUTH_METHODS")


def test_spacing_longer_than_the_window() -> None:
    """A refused login has to be remembered for as long as the next one waits for it."""
    [problem] = problems({**GOOD, "FAILED_LOGINS_WINDOW": "1"})
    assert problem.startswith("FAILED_LOGINS_SPACING: use at most FAILED_LOGINS_WINDOW")


def test_redis_without_a_secret() -> None:
    """A3: with Redis the cache secret is required."""
    [problem] = problems({**GOOD, "REDIS_URL": "redis://redis.example"})
    assert problem.startswith("CACHE_SECRET: it is required with REDIS_URL")


def test_error_is_a_configuration_error() -> None:
    """A settings error is a configuration error whose text is its problems, one a line."""
    error = SettingsError(("one", "two"))
    assert isinstance(error, ConfigurationError)
    assert str(error) == "one\ntwo"
