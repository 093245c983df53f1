"""Which grants a pair of credentials is tried with: pure, and settled by configuration."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from gateway.oauth.credentials import Credentials, Kind

GrantType = Literal["password", "client_credentials"]
Mode = Literal["password", "client_credentials", "auto"]

# `auto` asks for a password grant first and, after `invalid_grant` only, once for the other.
GRANT_OF_MODE: dict[Mode, tuple[GrantType, ...]] = {
    "password": ("password",),
    "client_credentials": ("client_credentials",),
    "auto": ("password", "client_credentials"),
}


@dataclass(frozen=True, slots=True)
class GrantChoice:
    """What a Basic pair means: ``basic``, and ``client_ids`` that are always clients.

    Under ``auto`` an identifier that matches one of those glob patterns is client_credentials.
    """

    basic: Mode
    client_ids: tuple[str, ...] = ()

    def decide(self, credentials: Credentials) -> Mode:
        """Return the mode of ``credentials``: parameter names tell it, a Basic pair is chosen."""
        match credentials.kind:
            case Kind.PASSWORD:
                return "password"
            case Kind.CLIENT_CREDENTIALS:
                return "client_credentials"
            case Kind.BASIC:
                return self._decide_basic(credentials.identifier)

    def _decide_basic(self, identifier: str) -> Mode:
        if self.basic != "auto":
            return self.basic
        if any(fnmatchcase(identifier, pattern) for pattern in self.client_ids):
            return "client_credentials"
        return "auto"
