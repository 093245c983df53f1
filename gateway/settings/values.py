"""How a setting's text is read: lists, requirements, URLs, networks, files.

Rule: an error says what to write instead and does not quote what was written, because secrets end
up in the wrong setting.
"""

from __future__ import annotations

import re
import ssl
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import SecretStr

from gateway.errors import ConfigurationError
from gateway.routing import read_upstream
from gateway.token_cache.address import read_redis_url
from gateway.token_cache.sealing import MIN_SECRET_BYTES

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

Network = IPv4Network | IPv6Network

EXAMPLE_CACHE_SECRET: Final = "replace-this-with-openssl-rand-hex-32"  # noqa: S105 - refused
_LATER_METHODS: Final = (
    "authorization_code",
    "session",
    "userinfo",
)
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+").fullmatch  # RFC 6749 §3.3
_ORIGIN: Final = re.compile(  # RFC 6454 §6.2, RFC 3986 §3.2.2: as a browser writes it
    r"\*|[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?"
).fullmatch
_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!$-;=?-\[\]_a-z~%]+").fullmatch
_SCHEMES: Final = frozenset({"http", "https"})
_HOST: Final = re.compile(  # RFC 3986 §3.2.2, a name in lower case or a bracketed literal
    r"(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?"
).fullmatch
_OWN_FIELDS: Final = (
    frozenset(  # of a token request: RFC 6749 §2.3.1, §4.3.2, §4.4.2; RFC 7521 §4.2
        {
            "audience",
            "client_assertion",
            "client_assertion_type",
            "client_id",
            "client_secret",
            "grant_type",
            "password",
            "refresh_token",
            "scope",
            "username",
        }
    )
)


_PARAMETER: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}").fullmatch
_TAKEN: Final = frozenset({"access_token", "username", "password", "client_id", "client_secret"})


def split_list(value: Any) -> Any:
    """Return the entries of a comma-separated text; a list stays one."""
    if isinstance(value, str):
        value = value.split(",")
    if isinstance(value, list):
        return tuple(entry for entry in map(str.strip, value) if entry)
    return value


def read_scope(value: Any) -> Any:
    """Return the scopes, separated by spaces (RFC 6749 §3.3); commas separate them as well."""
    entries = split_list(value)
    if not isinstance(entries, tuple):
        return entries
    scopes = [scope for entry in entries for scope in entry.split()]
    if not all(map(_SCOPE, scopes)):
        raise ValueError("a scope is printable ASCII without quotes and backslashes")
    return " ".join(scopes)


def read_requirements(value: Any) -> Any:
    """Return the alternatives: a comma is OR, a space inside an entry is AND."""
    entries = split_list(value)
    if not isinstance(entries, tuple):
        return entries
    if not entries and value:
        raise ValueError("write at least one value, or leave the setting out")
    return tuple(frozenset(e.split()) if isinstance(e, str) else e for e in entries)


def read_scope_requirements(value: Any) -> Any:
    """Return the alternatives of scopes, which a challenge can name (RFC 6750 §3)."""
    alternatives = read_requirements(value)
    if isinstance(alternatives, tuple) and not all(
        isinstance(scope, str) and _SCOPE(scope) for one in alternatives for scope in one
    ):
        raise ValueError("a scope is printable ASCII without quotes and backslashes")
    return alternatives


def read_pairs(value: Any) -> Any:
    """Return the fields of ``name=value,...``; fields the gateway sends itself are refused."""
    entries = split_list(value)
    if not isinstance(entries, tuple) or not all(isinstance(entry, str) for entry in entries):
        return entries
    pairs = tuple(entry.partition("=")[::2] for entry in entries)
    if not all(name and "=" in entry for entry, (name, _) in zip(entries, pairs, strict=True)):
        raise ValueError("write it as name=value,name=value")
    names = [name for name, _ in pairs]
    if own := sorted(set(names) & _OWN_FIELDS):
        raise ValueError(f"the gateway sends {', '.join(own)} itself; remove it here")
    if len(set(names)) < len(names):
        raise ValueError("give each name once: a token request has no parameter twice")
    return pairs


def read_copied(value: Any) -> Any:
    """Return names of parameters; of those the gateway sends itself only ``scope`` is given up."""
    names = split_list(value)
    if isinstance(names, tuple) and (own := sorted(set(names) & (_OWN_FIELDS - {"scope"}))):
        raise ValueError(f"the gateway sends {', '.join(own)} itself; remove it here")
    return names


def read_networks(value: Any) -> tuple[Network, ...]:
    """Return the networks; a bare address is a network of one."""
    try:
        return tuple(ip_network(entry) for entry in split_list(value))
    except ValueError:
        raise ValueError(
            "write addresses or networks, e.g. 10.0.0.0/8,192.0.2.7,fd00::/8"
        ) from None


def read_hosts(value: Any) -> Any:
    """Return the hosts, each with or without a port, in lower case."""
    entries = split_list(value)
    if not isinstance(entries, tuple) or not all(isinstance(entry, str) for entry in entries):
        return entries
    hosts = tuple(entry.lower() for entry in entries)
    if not all(map(_HOST, hosts)):
        raise ValueError("write hosts without scheme and path, e.g. oauth2.example,[fd00::1]:8443")
    return hosts


def read_origins(value: Any) -> Any:
    """Return the origins (RFC 6454 §6.2), or ``*``, in lower case."""
    entries = split_list(value)
    if not isinstance(entries, tuple) or not all(isinstance(entry, str) for entry in entries):
        return entries
    origins = tuple(entry.lower() for entry in entries)
    if not all(map(_ORIGIN, origins)):
        raise ValueError("write origins as a browser does, e.g. https://app.example, or *")
    return origins


def read_parameter_name(value: str) -> str:
    """Return the name of a parameter with a token, or nothing."""
    if value and not _PARAMETER(value):
        raise ValueError("write a name of at most 64 letters, digits, dashes and underscores")
    if value in _TAKEN:
        raise ValueError(f"{value} means another kind of credentials; use another name")
    return value


def read_methods(value: Any) -> Any:
    """Return the authentication methods; those of a later version are told from misspelt ones."""
    return _not_yet(split_list(value), _LATER_METHODS)


def read_cache_secret(value: Any) -> Any:
    """Return one secret, or the new and the old one during a rotation."""
    texts = value.split(",") if isinstance(value, str) else [_revealed(part) for part in value]
    if len(texts) not in {1, 2}:
        raise ValueError("give one secret, or two as new,old while rotating; none holds a comma")
    if any(len(text.encode()) < MIN_SECRET_BYTES for text in texts):
        raise ValueError(
            f"each secret needs at least {MIN_SECRET_BYTES} bytes: use `openssl rand -hex 32`"
        )
    if EXAMPLE_CACHE_SECRET in texts:
        raise ValueError("that is the documented example: use `openssl rand -hex 32`")
    if len(set(texts)) < len(texts):
        raise ValueError("the new and the old secret are the same; give one")
    return tuple(map(SecretStr, texts))


def read_url(value: str, wanted: str) -> SplitResult:
    """Return the parts of an HTTP URL with a host and without user info, query and fragment.

    ``wanted`` is what to write in place of something else.
    """
    if not value.isascii() or not value.isprintable() or " " in value or "\\" in value:
        raise ValueError("write it as a URL in ASCII, percent-encoded where needed")
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("it is not a readable URL") from None  # the original quotes it
    if parts.scheme not in _SCHEMES or not host or port == 0:
        raise ValueError(f"write it as {wanted}")
    if "@" in parts.netloc:
        raise ValueError("remove the user and password before the host")
    if "?" in value or "#" in value:
        raise ValueError("remove what begins with '?' or '#'")
    return parts


def read_issuer(value: str) -> str:
    """Return the issuer identifier or discovery URL (OpenID Connect Discovery 1.0 §4)."""
    read_url(value, "https://host")
    return value


def read_endpoint(value: str) -> str:
    """Return the URL of an endpoint of the provider; plain http is for loopback."""
    parts = read_url(value, "https://host")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValueError("use https")
    return value


def read_resource(value: str) -> str:
    """Return an absolute URI without a fragment, or nothing (RFC 8707 §2)."""
    if value and not _ABSOLUTE(value):
        raise ValueError("write an absolute URI without '#', e.g. https://orders.example/")
    return value


def read_upstream_url(value: str) -> str:
    """Return the URL of the upstream, which may be a Unix socket."""
    if "://unix:/" not in value:
        read_url(value, "http://host or https://host")
    try:
        read_upstream(value)
    except ConfigurationError as exc:
        raise ValueError(str(exc)) from None
    return value


def read_redis(value: SecretStr) -> SecretStr:
    """Return the Redis URL, known to name a server this version can talk to."""
    read_redis_url(value.get_secret_value())
    return value


def read_ca_file(value: Path) -> Path:
    """Return the path of a file that holds trust anchors, known to be loadable."""
    try:
        ssl.create_default_context(cafile=value)
    except ssl.SSLError:
        raise ValueError("the file holds no PEM certificates") from None
    except OSError as exc:
        raise ValueError(f"the file cannot be read ({exc.strerror})") from exc
    return value


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine's own (RFC 6761 §6.3)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _not_yet(entries: Any, later: Collection[str]) -> Any:
    if not isinstance(entries, tuple):
        return entries
    if found := [entry for entry in entries if entry in later]:
        raise ValueError(f"{', '.join(found)} is not supported by this version of bearergate")
    return entries


def _revealed(part: SecretStr | str) -> str:
    return part.get_secret_value() if isinstance(part, SecretStr) else part
