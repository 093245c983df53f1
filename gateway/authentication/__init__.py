"""Who the caller is: what every way of showing it returns, and the contract they all keep."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from gateway.record import record

if TYPE_CHECKING:
    from gateway.identity import Told
    from gateway.oauth.claims import Claims
    from gateway.oauth.credentials import Challenge
    from gateway.oauth.id_token import IDToken
    from gateway.request import Body, RequestHead


class Source(StrEnum):
    """Where the principal of one request came from: the ``cache`` field of the access line."""

    MEMORY = "memory"
    REDIS = "redis"
    PROVIDER = "provider"
    TOKEN = "token"  # noqa: S105 - not a token: the caller's own was verified here


@dataclass(frozen=True, slots=True)
class Principal:
    """Verified claims and the access token that carried them (RFC 7519 §4.1).

    ``thumbprint`` names the key that verified the token (RFC 7638; empty where the provider was
    asked instead), ``grant`` how the token was obtained, ``user`` the caller as a keyed pseudonym,
    ``owners`` the pseudonyms a purge goes by; ``expires_at`` is in seconds. ``id_token`` is there
    where upstreams get one, ``told`` keeps what they are told about the principal.
    """

    claims: Claims = field(repr=False)
    access_token: str = field(repr=False)
    expires_at: float
    thumbprint: str
    grant: str
    user: str
    owners: tuple[bytes, ...] = field(default=(), repr=False)
    id_token: IDToken | None = field(default=None, repr=False)
    told: dict[object, Told] = field(default_factory=dict, init=False, repr=False, compare=False)


@record
class Authentication:
    """A principal, and the request without the credentials that showed it.

    ``body`` is the whole body where the credentials had to be looked for in it, else ``None``.
    """

    principal: Principal
    source: Source
    target: bytes = field(repr=False)
    body: bytes | None = field(repr=False)


class Authenticator(Protocol):
    """One way of showing who you are."""

    @property
    def challenge(self) -> Challenge:
        """What a 401 says about this way (RFC 9110 §11.3)."""
        ...

    async def authenticate(self, head: RequestHead, body: Body) -> Authentication | None:
        """Return who is calling, or ``None`` when the request carries no such credentials.

        Credentials that are there and wrong raise ``AuthenticationError`` or ``RequestError``.
        """
        ...
