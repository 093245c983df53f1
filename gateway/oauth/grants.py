"""Grants and the form parameters that ask for them (RFC 6749 §4.3, §4.4, §6; RFC 8693 §2.1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

Form: TypeAlias = tuple[tuple[str, str], ...]

ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - RFC 8693 §3
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"


@dataclass(frozen=True, slots=True)
class PasswordGrant:
    """A resource owner's user name and password (RFC 6749 §4.3)."""

    username: str
    password: str = field(repr=False)
    scope: str = ""

    def form(self) -> Form:
        """Write the parameters of RFC 6749 §4.3.2."""
        return (
            ("grant_type", "password"),
            ("username", self.username),
            ("password", self.password),
            *_scope(self.scope),
        )


@dataclass(frozen=True, slots=True)
class ClientCredentialsGrant:
    """The client's own authentication, used as the grant (RFC 6749 §4.4)."""

    scope: str = ""

    def form(self) -> Form:
        """Write the parameters of RFC 6749 §4.4.2."""
        return (("grant_type", "client_credentials"), *_scope(self.scope))


@dataclass(frozen=True, slots=True)
class RefreshTokenGrant:
    """A refresh token the provider issued before (RFC 6749 §6); the scope stays as it was."""

    refresh_token: str = field(repr=False)

    def form(self) -> Form:
        """Write the parameters of RFC 6749 §6."""
        return (("grant_type", "refresh_token"), ("refresh_token", self.refresh_token))


@dataclass(frozen=True, slots=True)
class TokenExchangeGrant:
    """An access token somebody has, for one that says something else (RFC 8693 §2.1)."""

    subject_token: str = field(repr=False)
    audience: str = ""
    scope: str = ""
    resource: str = ""
    requested_token_type: str = ACCESS_TOKEN_TYPE

    def form(self) -> Form:
        """Write the parameters of RFC 8693 §2.1."""
        return (
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", self.subject_token),
            ("subject_token_type", ACCESS_TOKEN_TYPE),
            ("requested_token_type", self.requested_token_type),
            *((("audience", self.audience),) if self.audience else ()),
            *_scope(self.scope),
            *((("resource", self.resource),) if self.resource else ()),
        )


@dataclass(frozen=True, slots=True)
class Revocation:
    """A refresh token that is not needed any more (RFC 7009)."""

    refresh_token: str = field(repr=False)

    def form(self) -> Form:
        """Write the parameters of RFC 7009 §2.1."""
        return (("token", self.refresh_token), ("token_type_hint", "refresh_token"))


Grant: TypeAlias = PasswordGrant | ClientCredentialsGrant | RefreshTokenGrant | TokenExchangeGrant


def _scope(scope: str) -> Form:
    """Leave an empty scope out: a parameter without a value counts as omitted (RFC 6749 §3.2)."""
    return (("scope", scope),) if scope else ()
