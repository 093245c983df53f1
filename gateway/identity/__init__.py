"""What the upstream, and the caller, are told about who is calling: header fields from claims.

Rule: a caller is told about in full or refused. What is said is written once for a principal and
kept with it, so that a cached request only joins bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from gateway.identity.names import plain_name
from gateway.identity.values import write_claim, write_document, write_words
from gateway.oauth.claims import find_claim

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gateway.identity.consumers import Consumer, Matching
    from gateway.oauth.claims import Claims
    from gateway.oauth.id_token import IDToken

HeaderClaims = tuple[tuple[str, str], ...]

# Of how many plans a principal keeps what they say, and up to how many bytes of each.
_MAX_KEPT = 4
_MAX_KEPT_BYTES = 8192


@dataclass(frozen=True, slots=True)
class Told:
    """Header fields about one caller, each with its end of line: to the upstream, to the caller."""

    upstream: bytes = field(default=b"", repr=False)
    downstream: bytes = field(default=b"", repr=False)


class Principal(Protocol):
    """Somebody to tell about."""

    @property
    def claims(self) -> Claims:
        """What is known."""
        ...

    @property
    def access_token(self) -> str:
        """The token that says it."""
        ...

    @property
    def id_token(self) -> IDToken | None:
        """The ID token that came with it, verified."""
        ...

    @property
    def grant(self) -> str:
        """How the token was obtained."""
        ...

    @property
    def told(self) -> dict[object, Told]:
        """What is said already, by whose settings."""
        ...


@dataclass(frozen=True, slots=True)
class TokenField:
    """Where the access token goes: a field name, with or without ``Bearer`` before it."""

    name: str
    bearer: bool


@dataclass(frozen=True, slots=True, eq=False)
class Identity:
    """What one set of settings says about callers.

    ``token`` is where the access token goes. ``scopes`` is the claim path of X-Authenticated-Scope
    and says that this kind is sent at all; ``id_token`` is the field of the ID token,
    ``introspected`` and ``user_info`` are those of the provider's answers. ``answered`` are the
    plain names of ``downstream``.
    """

    upstream: HeaderClaims = ()
    downstream: HeaderClaims = ()
    token: TokenField | None = None
    id_token: str = ""
    introspected: str = ""
    user_info: str = ""
    scopes: str = ""
    credential: str = "sub"
    groups: str = ""
    consumers: Matching | None = None
    anonymous: Told | None = None
    answered: frozenset[bytes] = frozenset()

    def tell(self, principal: Principal) -> Told:
        """Return what is said about a principal; one that cannot be told raises an error."""
        told = principal.told.get(self)
        if told is None:
            told = self._write(principal)
            if len(told.upstream) + len(told.downstream) <= _MAX_KEPT_BYTES:
                if len(principal.told) >= _MAX_KEPT:
                    principal.told.clear()
                principal.told[self] = told
        return told

    def _write(self, principal: Principal) -> Told:
        return Told(
            _lines(self._upstream_fields(principal)),
            _lines(_claims(self.downstream, principal)),
        )

    def _upstream_fields(self, principal: Principal) -> Iterator[tuple[str, str | None]]:
        yield from _claims(self.upstream, principal)
        if self.token is not None:
            name, token = self.token.name, principal.access_token
            yield name, f"Bearer {token}" if self.token.bearer else token
        if self.id_token and principal.id_token is not None:
            yield self.id_token, principal.id_token.text
        yield from self._answers(principal.claims)
        claims = principal.claims.raw
        if self.consumers is not None:
            found = self.consumers.find(claims)
            if found is not None:
                yield from consumer_fields(found)
        if self.groups:
            yield _claim("X-Authenticated-Groups", self.groups, principal)
        if self.scopes:
            yield _claim("X-Credential-Identifier", self.credential, principal)
            yield "X-Authenticated-Scope", _scope(find_claim(claims, self.scopes))
            if principal.grant != "client_credentials":  # a client is nobody's user
                yield "X-Authenticated-UserId", write_claim("sub", principal.claims.sub)

    def _answers(self, claims: Claims) -> Iterator[tuple[str, str | None]]:
        for name, said in (
            (self.introspected, claims.introspected),
            (self.user_info, claims.user_info),
        ):
            if name and said is not None:
                yield name, write_document(name, said)


def consumer_fields(consumer: Consumer) -> Iterator[tuple[str, str | None]]:
    """Yield what is told about a consumer."""
    yield "X-Consumer-ID", write_claim("id", consumer.id)
    yield "X-Consumer-Username", write_claim("username", consumer.username)
    yield "X-Consumer-Custom-ID", write_claim("custom_id", consumer.custom_id)
    yield "X-Consumer-Groups", write_claim("groups", consumer.groups)


def told_of_anonymous(consumer: Consumer) -> Told:
    """Return what is said about callers without credentials."""
    return Told(_lines((*consumer_fields(consumer), ("X-Anonymous-Consumer", "true"))))


def plain_names(names: Iterable[str]) -> frozenset[bytes]:
    """Return these field names in the spelling that stands for all."""
    return frozenset(plain_name(name.encode()) for name in names)


def _claims(fields: HeaderClaims, principal: Principal) -> Iterator[tuple[str, str | None]]:
    return (_claim(name, path, principal) for name, path in fields)


def _claim(name: str, path: str, principal: Principal) -> tuple[str, str | None]:
    return name, write_claim(name, find_claim(principal.claims.raw, path))


def _scope(value: object) -> str | None:
    words = value.split() if isinstance(value, str) else value
    if not isinstance(words, list):
        return None
    return write_words("X-Authenticated-Scope", [each for each in words if isinstance(each, str)])


def _lines(fields: Iterable[tuple[str, str | None]]) -> bytes:
    return b"".join(
        f"{name}: {value}\r\n".encode("ascii") for name, value in fields if value is not None
    )
