"""Which route a request takes: upstream, authenticators and policy of one part of the API."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway.errors import ConfigurationError, RouteNotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.authentication import Authenticator
    from gateway.authorization import Policy
    from gateway.request import RequestHead

_DEFAULT_PORTS = {"http": 80, "https": 443}
_PATH = re.compile(r"(/[!-~]*)?")


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where a route's requests go: an origin (RFC 6454) and a path prefix without final slash."""

    scheme: str
    host: str
    port: int
    path_prefix: bytes

    @property
    def host_field(self) -> bytes:
        """The value of the ``Host`` field sent there (RFC 9110 §7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = _DEFAULT_PORTS[self.scheme] == self.port
        return (host if default else f"{host}:{self.port}").encode("ascii")


@dataclass(frozen=True, slots=True)
class Route:
    """One part of the API; empty ``authenticators`` make it public."""

    name: str
    upstream: Upstream
    authenticators: tuple[Authenticator, ...]
    policy: Policy


def read_upstream(url: str) -> Upstream:
    """Return the upstream an ``http`` or ``https`` URL names; raise ``ConfigurationError``."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode("ascii")
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError as exc:
        raise ConfigurationError("the URL of an upstream holds no usable host and port") from exc
    if parts.scheme not in _DEFAULT_PORTS or not host:
        raise ConfigurationError("an upstream is an http:// or https:// URL with a host")
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigurationError("the URL of an upstream holds a scheme, a host, a port and a path")
    if not _PATH.fullmatch(parts.path) or {".", ".."} & set(parts.path.split("/")):
        raise ConfigurationError("the path of an upstream is plain: no spaces, no dot segments")
    return Upstream(parts.scheme, host, port, parts.path.rstrip("/").encode("ascii"))


def match(routes: Sequence[Route], head: RequestHead) -> Route:
    """Return the first route that takes ``head``; raise ``RouteNotFoundError`` for none."""
    del head  # a single upstream takes every request
    for route in routes:
        return route
    raise RouteNotFoundError("no route takes this request")
