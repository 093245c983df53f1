"""Where Redis is: the URLs an operator may write, read.

::

    redis://[user:password@]host[:6379][/database]
    rediss://…                                     the same over TLS
    unix://[user:password@]/path/to/socket[?db=database]
    redis+sentinel://[user:password@]host[:26379][,host…]/master-name[/database]
    redis+cluster://[user:password@]host[:6379][,host…]

Options after ``?``: ``db`` (the first three), ``ssl_ca_certs``, ``ssl_certfile`` and
``ssl_keyfile`` wherever there is TLS, ``tls=true`` for TLS with Sentinel or Cluster, and
``sentinel_username`` and ``sentinel_password`` when the sentinels themselves want credentials.

Rule: no option switches certificate verification off or a timeout up, and no error quotes the URL.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

Kind = Literal["single", "sentinel", "cluster"]

_TLS = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
_OPTIONS: Final[Mapping[str, frozenset[str]]] = {
    "redis": frozenset({"db"}),
    "rediss": _TLS | {"db"},
    "unix": frozenset({"db", "username", "password"}),
    "redis+sentinel": _TLS | {"tls", "sentinel_username", "sentinel_password"},
    "redis+cluster": _TLS | {"tls"},
}
_KINDS: Final[Mapping[str, Kind]] = {"redis+sentinel": "sentinel", "redis+cluster": "cluster"}
_PORTS: Final[Mapping[str, int]] = {"redis+sentinel": 26379}
_MASTER_AND_DATABASE: Final = 2


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where Redis is and how to speak to it; ``nodes`` is empty for a socket file."""

    kind: Kind
    nodes: tuple[tuple[str, int], ...]
    master: str = ""  # Sentinel's name of the primary
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    sentinel_options: Mapping[str, Any] = field(default_factory=dict, repr=False)


def read_redis_url(url: str) -> RedisAddress:
    """Return what a Redis URL names; a ValueError says what is wrong without quoting it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("it is not a readable URL") from None  # the original quotes the URL
    allowed = _OPTIONS.get(parts.scheme)
    if allowed is None:
        raise ValueError(
            "it must begin with redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://"
        )
    given = _read_options(parts, allowed)
    credentials, _, hosts = parts.netloc.rpartition("@")
    options = {**_read_credentials(credentials), **_read_tls(parts.scheme, given)}
    if parts.scheme == "unix":
        return _read_socket(parts, hosts, given, options)
    kind = _KINDS.get(parts.scheme, "single")
    nodes = tuple(_read_host(host, _PORTS.get(parts.scheme, 6379)) for host in hosts.split(","))
    if kind == "single" and len(nodes) > 1:
        raise ValueError("it must name one host; several are for redis+sentinel or redis+cluster")
    if kind == "sentinel":
        return _read_sentinel(parts, nodes, given, options)
    database = _read_database(parts.path.strip("/") or given.get("db", "0"))
    if kind == "cluster" and database:
        raise ValueError("its path must be empty: a cluster has one database")
    return RedisAddress(kind, nodes, options={**options, "db": database})


def _read_options(parts: SplitResult, allowed: frozenset[str]) -> dict[str, str]:
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    given = dict(pairs)
    if parts.fragment or len(given) != len(pairs) or not given.keys() <= allowed:
        raise ValueError(f"the only options after its '?' may be {', '.join(sorted(allowed))}")
    return given


def _read_credentials(written: str) -> dict[str, str]:
    """Return user and password of the ACL (Redis 6), percent-decoded; a password may be alone."""
    username, _, password = written.partition(":")
    named = {"username": unquote(username), "password": unquote(password)}
    return {name: value for name, value in named.items() if value}


def _read_tls(scheme: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Return the connection's class and files; verification is redis-py's default, which is on."""
    if given.get("tls", "true") not in {"true", "false"}:
        raise ValueError("its option tls must be true or false")
    files = {name: given[name] for name in sorted(given.keys() & _TLS)}
    if scheme != "rediss" and given.get("tls") != "true":
        if files:
            raise ValueError("its options for certificates need tls=true")
        return {}
    for name, path in files.items():
        if not Path(path).is_file():
            raise ValueError(f"its option {name} must name a file that exists")
    return {"connection_class": SSLConnection, **files}


def _read_socket(
    parts: SplitResult, hosts: str, given: Mapping[str, str], options: dict[str, Any]
) -> RedisAddress:
    if hosts or not parts.path:
        raise ValueError("it must name a socket file: unix:///path/to/socket")
    named = {name: given[name] for name in ("username", "password") if given.get(name)}
    return RedisAddress(
        "single",
        (),
        options={
            **options,
            **named,
            "connection_class": UnixDomainSocketConnection,
            "path": unquote(parts.path),
            "db": _read_database(given.get("db", "0")),
        },
    )


def _read_sentinel(
    parts: SplitResult,
    nodes: tuple[tuple[str, int], ...],
    given: Mapping[str, str],
    options: dict[str, Any],
) -> RedisAddress:
    master, *database = parts.path.strip("/").split("/")
    if not master or len(database) >= _MASTER_AND_DATABASE:
        raise ValueError("its path must be the name the sentinels have for the primary: /mymaster")
    own = {
        name: given[f"sentinel_{name}"]
        for name in ("username", "password")
        if given.get(f"sentinel_{name}")
    }
    tls = {name: value for name, value in options.items() if name.startswith(("ssl", "conn"))}
    return RedisAddress(
        "sentinel",
        nodes,
        master=unquote(master),
        options={**options, "db": _read_database(database[0] if database else "0")},
        sentinel_options={**tls, **own},
    )


def _read_host(written: str, default: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{written}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("it must name hosts, each with a port from 1 to 65535") from None
    if not host or port == 0:
        raise ValueError("it must name a host, and a port other than 0")
    return host, default if port is None else port


def _read_database(written: str) -> int:
    if not written.isdecimal():
        raise ValueError("its database must be a number")
    return int(written)
