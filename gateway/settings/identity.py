"""How what is told about callers is written: header fields with their claims, and consumers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from gateway.errors import AuthorizationError
from gateway.identity import consumer_fields
from gateway.identity.consumers import Consumer
from gateway.identity.names import is_managed, plain_name
from gateway.settings.values import split_list

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.settings.model import Settings
    from gateway.settings.validation import Conflict

NO_TOKEN: Final = "none"  # noqa: S105 - not a token: the value for none
IN_AUTHORIZATION: Final = "authorization:bearer"
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)*").fullmatch
_MAX_NAME: Final = 64
_FIELDS: Final = (
    "upstream_access_token_header",
    "upstream_id_token_header",
    "upstream_introspection_header",
    "upstream_user_info_header",
)
_WITH_ID_TOKEN: Final = frozenset({"password", "client_credentials", "refresh_token"})
_KEYS: Final = frozenset({"username", "custom_id", "id", "groups"})


def read_header_claims(value: Any) -> Any:
    """Return the fields and their claim paths: ``name=path,...`` or a mapping."""
    if isinstance(value, dict):
        pairs = tuple(value.items())
    else:
        entries = split_list(value)
        if not isinstance(entries, tuple) or not all(isinstance(one, str) for one in entries):
            return entries
        pairs = tuple(entry.partition("=")[::2] for entry in entries)
    if not all(isinstance(path, str) and path.strip() for _, path in pairs):
        raise ValueError("write it as Name=claim, with the name or dotted path of one claim")
    read = tuple((read_field_name(name.strip()), path.strip()) for name, path in pairs)
    if len({name.lower() for name, _ in read}) < len(read):
        raise ValueError("give each field name once")
    return read


def read_field_name(name: str) -> str:
    """Return the name of a field that an operator may fill."""
    if not _NAME(name) or len(name) > _MAX_NAME:
        raise ValueError(
            "write field names of letters and digits, with dashes between, like X-User"
        )
    if is_managed(name):
        raise ValueError(f"{name} means something to HTTP or to the gateway; use another name")
    return name


def read_optional_name(name: str) -> str:
    """Return the name of a field, or nothing."""
    return read_field_name(name) if name else name


def read_token_header(value: str) -> str:
    """Return where the access token goes."""
    name, colon, form = value.partition(":")
    if value.lower() in {NO_TOKEN, IN_AUTHORIZATION}:
        return value.lower()
    if colon and form.lower() != "bearer":
        raise ValueError("write it as name or name:bearer, or none")
    if name.lower() == "authorization":
        raise ValueError("in Authorization a token has its scheme; write authorization:bearer")
    read_field_name(name)
    return f"{name}:bearer" if colon else name


def read_consumers(value: Any) -> Any:
    """Return the consumers of the file."""
    if not isinstance(value, list | tuple):
        raise ValueError("list them in the file, each with username, custom_id, id, groups")  # noqa: TRY004 - pydantic tells these
    consumers = tuple(_read_consumer(number, each) for number, each in enumerate(value, 1))
    for name in ("username", "custom_id", "id"):
        texts = [getattr(each, name) for each in consumers if getattr(each, name)]
        if len(set(texts)) < len(texts):
            raise ValueError(f"two consumers have the same {name}; remove one")
    return consumers


def _read_consumer(number: int, said: Any) -> Consumer:
    if isinstance(said, Consumer):
        return said
    if not isinstance(said, dict) or said.keys() - _KEYS:
        raise ValueError(f"consumer {number}: write username, custom_id, id and groups only")
    groups = split_list(said.get("groups", ()))
    texts = {name: said.get(name, "") for name in ("username", "custom_id", "id")}
    if not all(isinstance(each, str) for each in (*texts.values(), *groups)):
        raise ValueError(f"consumer {number}: write one text for each key, and groups as a list")
    if not (texts["username"] or texts["custom_id"]):
        raise ValueError(f"consumer {number}: give it a username or a custom_id")
    consumer = Consumer(**texts, groups=tuple(groups))
    try:
        tuple(consumer_fields(consumer))
    except AuthorizationError as exc:
        raise ValueError(f"consumer {number}: {exc.cause}") from None
    return consumer


def read_conflicts(settings: Settings) -> Iterator[Conflict]:
    """Yield what contradicts itself, with the settings involved."""
    names = {plain_name(name.encode()): "upstream_headers" for name, _ in settings.upstream_headers}
    for setting in _FIELDS:
        name = plain_name(getattr(settings, setting).partition(":")[0].encode())
        if name in names:
            other = names[name]
            yield (setting, other), f"{other.upper()} has this field too; use another name"
        elif name:
            names[name] = setting
    if settings.upstream_user_info_header and not settings.search_user_info:
        yield (
            ("upstream_user_info_header", "search_user_info"),
            "it needs SEARCH_USER_INFO=true: nobody else is asked",
        )
    if settings.consumer_claims and not settings.consumers:
        yield (
            ("consumer_claims", "consumers"),
            "there are no consumers in the file; list them there",
        )
    if settings.anonymous and find_anonymous(settings) is None:
        yield (
            ("anonymous", "consumers"),
            "no consumer in the file has this username or id; list it there",
        )


def read_warnings(settings: Settings) -> Iterator[Conflict]:
    """Yield what runs and says less than one may expect, with the settings involved."""
    if not settings.upstream_id_token_header:
        return
    methods = _WITH_ID_TOKEN & set(settings.auth_methods)
    if not methods:
        yield (
            ("upstream_id_token_header", "auth_methods"),
            "it stays empty: only password, client_credentials and refresh_token bring an ID token",
        )
    elif (
        methods != {"refresh_token"}
        and "openid" not in f"{settings.scopes} {settings.client_credentials_scopes}".split()
    ):
        yield (
            ("upstream_id_token_header", "scopes"),
            "providers send an ID token for the scope openid only; add it to SCOPES",
        )


def find_anonymous(settings: Settings) -> Consumer | None:
    """Return the consumer that callers without credentials are."""
    for name in ("username", "id"):
        for each in settings.consumers:
            if settings.anonymous and getattr(each, name) == settings.anonymous:
                return each
    return None


def configured_names(settings: Settings) -> Iterator[str]:
    """Yield the fields that settings fill, or that hold a caller's refresh token."""
    yield from (name for name, _ in settings.upstream_headers)
    yield from filter(None, (getattr(settings, name) for name in _FIELDS[1:]))
    token = settings.upstream_access_token_header
    if token not in {NO_TOKEN, IN_AUTHORIZATION}:
        yield token.partition(":")[0]
    if "refresh_token" in settings.auth_methods and "header" in settings.refresh_token_param_type:
        yield settings.refresh_token_param_name
