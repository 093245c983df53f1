"""Which route a request takes: upstream, authenticators and policy of one part of the API.

Rule: routes are asked in their order, and the first one that takes a request has it. What one
reading of a path gives to one route and another reading to another is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl

    from gateway.authentication import Authenticator
    from gateway.authentication.preflight import OpenPreflights
    from gateway.authentication.token_exchange import TokenExchange
    from gateway.authorization import Policy
    from gateway.identity import Identity

_DEFAULT_PORTS = {"http": 80, "https": 443}
_PATH = re.compile(r"(/[!-~]*)?")


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where a route's requests go: an origin (RFC 6454) and a path prefix without final slash.

    Times are in seconds: until the head of a response, and for connecting. ``stripped`` is the
    begin of the caller's path that is not sent on; with ``preserve_host`` the caller's ``Host``
    is. A ``socket`` is a Unix socket to connect to in place of ``host`` and ``port``. ``tls`` is
    whom to believe there over https, and what to show.
    """

    scheme: str
    host: str
    port: int
    path_prefix: bytes
    timeout: float = 60.0
    connect_timeout: float = 5.0
    tls: ssl.SSLContext | None = None
    socket: str = ""
    stripped: bytes = b""
    preserve_host: bool = False
    host_field: bytes = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Set the value of the ``Host`` field sent there (RFC 9110 §7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = _DEFAULT_PORTS[self.scheme] == self.port
        written = (host if default else f"{host}:{self.port}").encode("ascii")
        object.__setattr__(self, "host_field", written)

    @property
    def way(self) -> tuple[object, ...]:
        """What a connection there depends on."""
        place = (self.scheme, self.host, self.port, self.socket)
        return (*place, self.connect_timeout, self.tls)


@dataclass(frozen=True, slots=True)
class Reach:
    """Which requests a route takes; what is empty makes no difference.

    ``hosts`` are lower-case names or ``*.`` and the end of one, ``paths`` raw prefixes that end at
    the border of a segment.
    """

    hosts: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    methods: frozenset[str] = frozenset()


EVERYTHING = Reach()


@dataclass(frozen=True, slots=True)
class Route:
    """One part of the API; empty ``authenticators`` make it public.

    With ``strip_path`` the prefix that matched is not sent on. A path with an encoded slash is
    taken with ``keeps_encoded_slashes`` only. ``preflights`` are let through,
    where there are any. ``token_exchange`` gives the token that is sent on, where it is not the
    caller's. ``reserved`` are the plain names of fields no caller may send, ``identity`` is what is
    said about callers.
    """

    name: str
    upstream: Upstream
    authenticators: tuple[Authenticator, ...]
    policy: Policy
    reach: Reach = EVERYTHING
    strip_path: bool = False
    keeps_encoded_slashes: bool = False
    preflights: OpenPreflights | None = None
    token_exchange: TokenExchange | None = None
    reserved: frozenset[bytes] = frozenset()
    identity: Identity | None = None


# nginx's spelling of a Unix socket and a path prefix.
_UNIX = re.compile(r"http://unix:(?P<socket>/[^:?#\0]*[^:?#/\0])(:(?P<prefix>/[!-~]*))?")


def read_upstream(url: str) -> Upstream:
    """Return the upstream a URL names; any other text raises ``ConfigurationError``.

    It is ``http`` or ``https`` with a host, or ``http://unix:`` with the absolute path of a Unix
    socket and perhaps another colon and a path prefix.
    """
    if url.startswith(("http://unix:/", "https://unix:/")):
        found = _UNIX.fullmatch(url)
        if found is None:
            raise ConfigurationError("write a Unix socket as http://unix:/path or with :/prefix")
        prefix = _read_prefix(found["prefix"] or "")
        return Upstream("http", "localhost", 80, prefix, socket=found["socket"])
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
    return Upstream(parts.scheme, host, port, _read_prefix(parts.path))


def _read_prefix(path: str) -> bytes:
    if not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise ConfigurationError("the path of an upstream is plain: no spaces, no dot segments")
    return path.rstrip("/").encode("ascii")
