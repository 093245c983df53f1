"""What settings say together: problems and warnings no single value shows."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway.identity.names import is_managed
from gateway.settings import identity, listener, registration
from gateway.settings.values import is_loopback

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from gateway.settings.model import Settings
    from gateway.settings.validation import Conflict

_TOKEN_METHODS = frozenset({"bearer", "introspection"})
_EXCHANGED_FOR = (
    "token_exchange_audience",
    "token_exchange_scopes",
    "token_exchange_resource",
)
_PARAM_TYPES = (
    "password_param_type",
    "client_credentials_param_type",
    "bearer_token_param_type",
    "refresh_token_param_type",
)


def read_conflicts(settings: Settings) -> Iterator[Conflict]:
    """Yield what is missing and what contradicts itself for a route, with the settings involved."""
    public = not settings.auth_methods
    if not (settings.issuer or public):
        yield ("issuer",), "it is required: the issuer identifier of the provider"
    if not settings.upstream_url:
        yield ("upstream_url",), "it is required: where requests go"
    yield from listener.read_upstream_conflicts(settings)
    if public:
        return
    yield from _missing(settings)
    if _is_plain(settings.issuer) and not settings.insecure_allow_http_issuer:
        yield (
            ("issuer", "insecure_allow_http_issuer"),
            "use https, or INSECURE_ALLOW_HTTP_ISSUER=true for a test",
        )
    if settings.basic_grant not in {"auto", *settings.auth_methods}:
        yield (
            ("basic_grant", "auth_methods"),
            f"{settings.basic_grant} is not among AUTH_METHODS; add it there or use auto",
        )
    yield from _judge_tokens(settings)
    yield from _judge_refresh_tokens(settings)
    yield from _judge_exchange(settings)
    yield from identity.read_conflicts(settings)
    if settings.failed_logins_spacing > settings.failed_logins_window:
        yield (
            ("failed_logins_spacing", "failed_logins_window"),
            "use at most FAILED_LOGINS_WINDOW: a refused login is forgotten after it",
        )


def read_shared_conflicts(settings: Settings) -> Iterator[Conflict]:
    """Yield what contradicts itself for the whole gateway, with the settings involved."""
    if settings.redis_url and "cache_secret" not in settings.model_fields_set:
        yield (
            ("cache_secret", "redis_url"),
            "it is required with REDIS_URL: use `openssl rand -hex 32`, the same for every gateway",
        )
    if settings.port and settings.port == settings.admin_port:
        yield ("admin_port", "port"), "use another port than PORT"
    yield from listener.read_conflicts(settings)


def read_warnings(settings: Settings) -> Iterator[Conflict]:
    """Yield what runs and yet should be known of a route, with the settings involved."""
    if not settings.auth_methods:
        return
    if settings.insecure_accept_any_audience and _TOKEN_METHODS & set(settings.auth_methods):
        yield (
            ("insecure_accept_any_audience",),
            "tokens that callers hold for other APIs of the provider are good here",
        )
    for name in _PARAM_TYPES:
        if "query" in getattr(settings, name):
            yield (
                (name,),
                "credentials in a query end up in logs and histories; prefer header or body",
            )
    if _is_plain(settings.issuer):
        yield ("issuer",), "passwords travel to the provider unencrypted"
    if "refresh_token" in settings.auth_methods and not settings.redis_url:
        yield (
            ("auth_methods", "redis_url"),
            "what a provider gives for a caller's refresh token is lost with the process",
        )
    for name in () if settings.token_exchange else _EXCHANGED_FOR:
        if getattr(settings, name):
            yield (name, "token_exchange"), "it is not used where TOKEN_EXCHANGE is false"
    yield from identity.read_warnings(settings)
    yield from registration.read_warnings(settings)
    if not settings.hide_credentials:
        yield (
            ("hide_credentials",),
            "the upstream receives the callers' passwords of query and body",
        )


def read_shared_warnings(settings: Settings) -> Iterator[Conflict]:
    """Yield what runs and yet should be known of the whole gateway, with the settings involved."""
    yield from listener.read_warnings(settings)


def _judge_tokens(settings: Settings) -> Iterator[Conflict]:
    methods = _TOKEN_METHODS & set(settings.auth_methods)
    if methods and not (settings.audience_required or settings.insecure_accept_any_audience):
        text = f"it is required for the method {min(methods)}"
        yield (
            ("audience_required", "auth_methods", "insecure_accept_any_audience"),
            f"{text}; or take tokens made for any API with INSECURE_ACCEPT_ANY_AUDIENCE=true",
        )
    if settings.bearer_token_as_password and not methods:
        yield (
            ("bearer_token_as_password", "auth_methods"),
            "add bearer to AUTH_METHODS, or remove it",
        )


def _judge_refresh_tokens(settings: Settings) -> Iterator[Conflict]:
    if "refresh_token" not in settings.auth_methods:
        return
    name = settings.refresh_token_param_name
    if not name:
        yield (
            ("refresh_token_param_name", "auth_methods"),
            "it is required for the method refresh_token; e.g. X-Refresh-Token",
        )
    if "header" in settings.refresh_token_param_type and ("_" in name or is_managed(name)):
        yield (
            ("refresh_token_param_name", "refresh_token_param_type"),
            "no header field may have this name; use one like X-Refresh-Token, or no header",
        )
    if settings.workers != 1 and not settings.redis_url:
        yield (
            ("workers", "auth_methods", "redis_url"),
            "use 1 or set REDIS_URL: alone, two workers would spend the same refresh token",
        )


def _judge_exchange(settings: Settings) -> Iterator[Conflict]:
    if settings.token_exchange and not any(getattr(settings, name) for name in _EXCHANGED_FOR):
        yield (
            ("token_exchange", *_EXCHANGED_FOR),
            "say for what, with TOKEN_EXCHANGE_AUDIENCE, _SCOPES or _RESOURCE",
        )


def _missing(settings: Settings) -> Iterator[Conflict]:
    for method in registration.METHODS:
        if method in settings.auth_methods and not settings.client_id:
            yield (
                ("client_id", "auth_methods"),
                f"it is required for the method {method}; or remove that from AUTH_METHODS",
            )
            break
    else:
        if settings.token_exchange and not settings.client_id:
            yield ("client_id", "token_exchange"), "it is required for TOKEN_EXCHANGE"
    yield from registration.read_conflicts(settings)


def _is_plain(issuer: str) -> bool:
    parts = urlsplit(issuer)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def spelled(
    conflicts: Iterator[Conflict], names: Mapping[str, str], failed: Collection[str]
) -> list[str]:
    """Return one line each, leaving out those that involve a setting already found wrong."""
    return [
        f"{_place(involved, names)}: {text}"
        for involved, text in conflicts
        if not set(involved) & set(failed)
    ]


def _place(involved: tuple[str, ...], names: Mapping[str, str]) -> str:
    """Return what a problem is about; if nobody says it, also the line of the file behind it."""
    first, *others = involved
    if first in names:
        return names[first]
    lines = (names[each] for each in others if names.get(each, "").endswith(")"))
    behind = next(lines, None)
    return f"{first.upper()} (see {behind})" if behind else first.upper()
