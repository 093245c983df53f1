from __future__ import annotations

import pytest

from gateway.settings import Settings, settings_table

# Every setting of the contract.
CONTRACT = [
    "UPSTREAM_HEADERS",
    "DOWNSTREAM_HEADERS",
    "UPSTREAM_ACCESS_TOKEN_HEADER",
    "UPSTREAM_ID_TOKEN_HEADER",
    "UPSTREAM_INTROSPECTION_HEADER",
    "UPSTREAM_USER_INFO_HEADER",
    "AUTHENTICATED_HEADERS",
    "CREDENTIAL_CLAIM",
    "AUTHENTICATED_GROUPS_CLAIM",
    "CONSUMER_CLAIMS",
    "CONSUMER_BY",
    "CONSUMER_OPTIONAL",
    "ANONYMOUS",
    "CONSUMERS",
    "ISSUER",
    "CLIENT_ID",
    "CLIENT_SECRET",
    "CLIENT_AUTH",
    "CLIENT_KEY_FILE",
    "CLIENT_ALG",
    "CLIENT_CERT_FILE",
    "CLIENT_ASSERTION_AUDIENCE",
    "UPSTREAM_URL",
    "HOST",
    "PORT",
    "ADMIN_HOST",
    "ADMIN_PORT",
    "AUTH_METHODS",
    "BASIC_GRANT",
    "CLIENT_CREDENTIALS_IDS",
    "PASSWORD_PARAM_TYPE",
    "CLIENT_CREDENTIALS_PARAM_TYPE",
    "SCOPES",
    "CLIENT_CREDENTIALS_SCOPES",
    "AUDIENCE",
    "TOKEN_POST_ARGS",
    "TOKEN_POST_ARGS_CLIENT",
    "TOKEN_EXCHANGE",
    "TOKEN_EXCHANGE_AUDIENCE",
    "TOKEN_EXCHANGE_SCOPES",
    "TOKEN_EXCHANGE_RESOURCE",
    "TOKEN_EXCHANGE_REQUESTED_TOKEN_TYPE",
    "AUDIENCE_REQUIRED",
    "SCOPES_REQUIRED",
    "ROLES_REQUIRED",
    "GROUPS_REQUIRED",
    "SCOPES_CLAIM",
    "AUDIENCE_CLAIM",
    "ROLES_CLAIM",
    "INTROSPECTION_ENDPOINT",
    "USERINFO_ENDPOINT",
    "SEARCH_USER_INFO",
    "RUN_ON_PREFLIGHT",
    "BEARER_TOKEN_AS_PASSWORD",
    "REFRESH_TOKEN_PARAM_NAME",
    "REFRESH_TOKEN_PARAM_TYPE",
    "REFRESH_TOKEN_KEPT",
    "BEARER_TOKEN_PARAM_TYPE",
    "INSECURE_ACCEPT_ANY_AUDIENCE",
    "CLAIMS_FORBIDDEN",
    "CLAIMS_REQUIRED",
    "GROUPS_CLAIM",
    "LEEWAY",
    "REDIS_URL",
    "CACHE_SECRET",
    "CACHE_TTL_MAX",
    "CACHE_TTL_NEG",
    "CACHE_MARGIN",
    "CACHE_MAX_ENTRIES",
    "FAILED_LOGINS_MAX",
    "FAILED_LOGINS_WINDOW",
    "FAILED_LOGINS_SPACING",
    "REVOKE_ON_PURGE",
    "HIDE_CREDENTIALS",
    "IDP_TIMEOUT",
    "IDP_CONNECT_TIMEOUT",
    "IDP_ENDPOINT_HOSTS",
    "IDP_MAX_CONCURRENCY",
    "IDP_MAX_QUEUE",
    "IDP_TELL_CALLER_ADDRESS",
    "UPSTREAM_TIMEOUT",
    "UPSTREAM_CONNECT_TIMEOUT",
    "MAX_BODY_BYTES",
    "MAX_HEADER_BYTES",
    "UPSTREAM_MAX_CONNECTIONS",
    "UPSTREAM_IDLE_TIMEOUT",
    "UPSTREAM_CONNECTION_LIFETIME",
    "MAX_CONNECTIONS",
    "MAX_CONNECTIONS_PER_ADDRESS",
    "KEEPALIVE_TIMEOUT",
    "REQUEST_HEAD_TIMEOUT",
    "REQUEST_MIN_RATE",
    "REQUEST_TIMEOUT",
    "WEBSOCKETS",
    "WEBSOCKET_ORIGINS",
    "WEBSOCKET_END_WITH_TOKEN",
    "WEBSOCKET_IDLE_TIMEOUT",
    "WEBSOCKET_MAX_PER_USER",
    "TLS_CERT_FILE",
    "TLS_KEY_FILE",
    "IDP_CA_FILE",
    "UPSTREAM_CA_FILE",
    "UPSTREAM_CERT_FILE",
    "UPSTREAM_KEY_FILE",
    "TRUSTED_PROXIES",
    "SHUTDOWN_GRACE",
    "WORKERS",
    "LOG_LEVEL",
    "LOG_FORMAT",
    "INSECURE_ALLOW_HTTP_ISSUER",
]


def test_table() -> None:
    """The table has a row for every setting of the contract and for no other."""
    rows = [line.split("`")[1] for line in settings_table().splitlines()[2:]]
    assert sorted(rows) == sorted(CONTRACT)


@pytest.mark.parametrize(
    "row",
    [
        "| `ISSUER` | required | ",
        "| `CLIENT_SECRET` | empty | ",
        "| `CACHE_SECRET` | random | ",
        "| `HIDE_CREDENTIALS` | `true` | ",
        "| `LEEWAY` | `30` | ",
        "| `AUTH_METHODS` | `password,client_credentials` | ",
        "| `IDP_CA_FILE` | empty | ",
        "| `PORT` | `8000` | ",
    ],
)
def test_rows(row: str) -> None:
    """A row tells the default as an operator would write it, and a meaning after it."""
    assert row in settings_table()


def test_every_setting_is_described() -> None:
    """Each setting is explained in sentences on one line of the table."""
    texts = [field.description or "" for field in Settings.model_fields.values()]
    assert all(text.endswith(".") and "|" not in text and "\n" not in text for text in texts)
