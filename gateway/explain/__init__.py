"""``explain``: what would become of a request, by the code that serves it.

Rule: nothing is decided here. The routes, the pipeline and the writer of the upstream's head are
those of the gateway; only who the caller is is given instead of found out. No upstream is asked.
"""

from __future__ import annotations

import base64
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from gateway.app.exchange import basic_mode, credential_places
from gateway.app.parts import Parts
from gateway.app.routes import compose_routes
from gateway.app.store import open_store
from gateway.authentication.grant_choice import GRANT_OF_MODE, GrantChoice
from gateway.authorization import Policy
from gateway.errors import (
    AuthenticationError,
    AuthorizationError,
    ConfigurationError,
    GatewayError,
)
from gateway.explain.verdict import Caller, RuleVerdict, admit, judge, sent
from gateway.oauth.credentials import Credentials, Kind, Place
from gateway.oauth.metadata import issuers_of
from gateway.oauth.strict_json import StrictJSONError, read_object
from gateway.request import read_head
from gateway.routing.table import RouteTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from gateway.app.store import Store
    from gateway.request import RequestHead
    from gateway.routing import Route
    from gateway.settings import Loaded, Settings

__all__ = ["Explanation", "Question", "explain", "read_claims", "read_field"]

ID_DIGITS: Final = 16
_ACCESS_TOKENS: Final = frozenset({"bearer", "introspection"})  # that callers bring
_CHALLENGING: Final = (AuthenticationError, AuthorizationError)


@dataclass(frozen=True, slots=True)
class Question:
    """A request and who sends it; without claims it is not known what a token would say."""

    method: str
    url: str
    user: str = ""
    claims: Mapping[str, Any] | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What becomes of a request: ``status`` is that of the gateway's answer, None if it goes on.

    ``undecided`` is that rules ask for claims that nobody has told. ``cache_key_lacks`` is what
    is missing for the id, where callers bring pairs of credentials.
    """

    status: int | None
    error: str | None
    reason: str | None
    undecided: bool = False
    route: str | None = None
    upstream: str | None = None
    methods: tuple[str, ...] = ()
    grants: tuple[str, ...] = ()
    cache_key_id: str | None = None
    cache_key_lacks: tuple[str, ...] = ()
    rules: tuple[RuleVerdict, ...] = ()
    challenges: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def read_claims(file: Path) -> dict[str, Any]:
    """Return the claims in a JSON file."""
    try:
        return read_object(file.read_bytes())
    except OSError as exc:
        raise ConfigurationError(
            f"--claims: {file} cannot be read ({exc.strerror}); name a file with a JSON object"
        ) from exc
    except StrictJSONError as exc:
        raise ConfigurationError(
            f'--claims: {file} holds no JSON object ({exc}); write one like {{"scope": "read"}}'
        ) from exc


def read_field(text: str) -> tuple[str, str]:
    """Return a header field's name and value, written with a colon between them."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or not text.isprintable() or not text.isascii():
        raise ConfigurationError("a header is written NAME: VALUE, in ASCII")
    return name.strip(), value.strip()


async def explain(loaded: Loaded, question: Question) -> Explanation:
    """Return what the gateway of these settings would do with a request."""
    async with AsyncExitStack() as stack:
        store, parts = open_store(loaded.settings, stack), Parts()
        stack.push_async_callback(parts.close)
        composed = await compose_routes(loaded.routes, store, parts, lambda head: head.peer)
        return await _explain(question, loaded, composed.routes, store)


async def _explain(
    question: Question, loaded: Loaded, routes: Sequence[Route], store: Store
) -> Explanation:
    fields = _fields_of(question)
    try:
        head = _head_of(question, fields, loaded.settings)
        route = RouteTable(routes).match(head)
    except GatewayError as error:
        return Explanation(error.status, error.error, str(error))
    settings = next(each.settings for each in loaded.routes if each.name == route.name)
    if not question.user or not _in_header(settings):
        head = _head_of(question, fields[:-1] if question.user else fields, loaded.settings)
    caller = _caller_of(question, settings)
    outcome = await admit(routes, head, caller)
    failed = outcome if isinstance(outcome, GatewayError) else None
    url = urlsplit(question.url)
    lines = () if isinstance(outcome, GatewayError) else sent(head, outcome, url.scheme, url.netloc)
    arrived = [_line(name, value) for name, value in head.headers]
    open_ended = route.policy != Policy() or route.identity is not None
    return Explanation(
        None if failed is None else failed.status,
        None if failed is None else failed.error,
        _reason_of(failed),
        undecided=failed is None and caller is not None and caller.claims is None and open_ended,
        route=route.name,
        upstream=settings.upstream_url,
        methods=settings.auth_methods,
        grants=_grants_of(question, settings),
        cache_key_id=_key_id(question, settings, store),
        cache_key_lacks=_key_lacks(question, settings),
        rules=judge(route.policy, question.claims) if route.authenticators else (),
        challenges=failed.challenges if isinstance(failed, _CHALLENGING) else (),
        added=tuple(line for line in lines if line not in arrived),
        removed=tuple(line.partition(":")[0] for line in arrived if lines and line not in lines),
    )


def _reason_of(failed: GatewayError | None) -> str | None:
    """Return why, as the access line of such a request says it."""
    if isinstance(failed, AuthorizationError):
        return failed.cause
    return None if failed is None else str(failed)


def _line(name: bytes, value: bytes) -> str:
    return f"{name.decode('latin-1')}: {value.decode('latin-1')}"


def _fields_of(question: Question) -> list[tuple[str, str]]:
    """Return the header fields of the request, a Basic pair last where there is a user."""
    url = urlsplit(question.url)
    if url.scheme not in {"http", "https"} or not url.netloc or not question.url.isascii():
        raise ConfigurationError("URL must be http://HOST/PATH or https://HOST/PATH, in ASCII")
    fields = [("Host", url.netloc), *question.headers]
    if question.user:
        pair = base64.b64encode(f"{question.user}:not-known".encode()).decode()
        fields.append(("Authorization", f"Basic {pair}"))
    return fields


def _head_of(
    question: Question, fields: Sequence[tuple[str, str]], settings: Settings
) -> RequestHead:
    url = urlsplit(question.url)
    query = f"?{url.query}" if url.query else ""
    return read_head(
        method=question.method,
        target=f"{url.path or '/'}{query}".encode("ascii"),
        version=(1, 1),
        headers=tuple((name.encode("ascii"), value.encode("ascii")) for name, value in fields),
        peer="",
        max_header_bytes=settings.max_header_bytes,
    )


def _caller_of(question: Question, settings: Settings) -> Caller | None:
    """Return who is calling; a name is nobody where no pair of credentials is taken."""
    grants = _grants_of(question, settings)
    if question.claims is None and not grants:
        return None
    own = "bearer" if _ACCESS_TOKENS & set(settings.auth_methods) else "refresh_token"
    grant = grants[0] if grants else own
    asked = {
        "password": settings.scopes,
        "client_credentials": settings.client_credentials_scopes,
        "refresh_token": str((question.claims or {}).get("scope")),  # asked for at the login
    }
    return Caller(
        question.user,
        question.claims,
        issuers_of(settings.issuer)[0],
        grant,
        id_token="openid" in asked.get(grant, "").split(),
    )


def _in_header(settings: Settings) -> bool:
    return any("header" in places for places in credential_places(settings).values())


def _grants_of(question: Question, settings: Settings) -> tuple[str, ...]:
    """Return the grants a pair of this name is tried with, in their order."""
    if not question.user:
        return ()
    if not _in_header(settings):  # the parameters' names tell which one
        return tuple(credential_places(settings))
    choice = GrantChoice(basic_mode(settings), settings.client_credentials_ids)
    pair = Credentials(question.user, "", Place.HEADER, Kind.BASIC)
    return GRANT_OF_MODE[choice.decide(pair)]


def _key_id(question: Question, settings: Settings, store: Store) -> str | None:
    """Return the begin of the keyed digest a purge finds a user's entries by."""
    if not credential_places(settings) or _key_lacks(question, settings):
        return None
    return store.keys.owners(issuers_of(settings.issuer)[0], question.user)[0].hex()[:ID_DIGITS]


def _key_lacks(question: Question, settings: Settings) -> tuple[str, ...]:
    """Return what is missing for that id: a secret made up for this process tells nothing."""
    given = {
        "--user": bool(question.user),
        "CACHE_SECRET": "cache_secret" in settings.model_fields_set,
    }
    return tuple(name for name in given if credential_places(settings) and not given[name])
