"""The provider's metadata, its discovery document (OpenID Connect Discovery §3, §4; RFC 8414).

Rule: the document speaks for the configured issuer and no other, byte for byte (RFC 8414 §3.3),
and it sends no credentials to a host the operator has not named.
"""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args
from urllib.parse import SplitResult, urlsplit

from gateway.errors import ProviderError
from gateway.oauth.strict_json import StrictJSONError, read_object

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

# Where the client authenticates: RFC 6749 §3.2, RFC 7662 §2.1, RFC 7009 §2.1.
Endpoint: TypeAlias = Literal["token_endpoint", "introspection_endpoint", "revocation_endpoint"]

MAX_BODY_BYTES = 262_144

_OPENID = "/.well-known/openid-configuration"  # OpenID Connect Discovery §4
_OAUTH = "/.well-known/oauth-authorization-server"  # RFC 8414 §3
_AUTH_METHODS = "token_endpoint_auth_methods_supported"
_OPTIONAL = ("introspection_endpoint", "revocation_endpoint", "end_session_endpoint")
_USERINFO = "userinfo_endpoint"
_DEFAULT_PORTS = {"https": 443, "http": 80}  # RFC 9110 §4.2
_ENDPOINTS: tuple[Endpoint, ...] = get_args(Endpoint)
_URL = re.compile(r"[\x21-\x5b\x5d-\x7e]+")  # printable ASCII without the backslash


@dataclass(frozen=True, slots=True)
class ProviderMetadata:
    """The members of RFC 8414 §2 the gateway uses; an absent list is empty.

    ``left_out`` names optional endpoints that are on hosts nobody has named.
    """

    issuer: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ()
    grant_types_supported: tuple[str, ...] = ()
    introspection_endpoint: str | None = None
    userinfo_endpoint: str | None = None
    revocation_endpoint: str | None = None
    end_session_endpoint: str | None = None
    left_out: tuple[str, ...] = ()
    mtls_endpoint_aliases: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def find_endpoint(self, name: Endpoint, *, mtls: bool = False) -> str:
        """Return where an endpoint is, for TLS client authentication its alias (RFC 8705 §5)."""
        url: str | None = getattr(self, name)
        if mtls:
            if _alias(name) in self.left_out:
                raise ProviderError(
                    f"the provider's {_alias(name)} is not on the issuer's host; "
                    "if that is right, list its host in IDP_ENDPOINT_HOSTS"
                )
            url = self.mtls_endpoint_aliases.get(name, url)
        if url is None:
            raise ProviderError(f"the provider has no {name}")
        return url


def issuers_of(setting: str) -> tuple[str, ...]:
    """Tell which issuers a setting names: itself, or those whose discovery URL it is.

    A final slash of the issuer does not show in its discovery URL (OpenID Discovery §4.1).
    """
    issuer = setting.removesuffix(_OPENID).replace(_OAUTH, "", 1)
    return (issuer,) if issuer == setting else (issuer, f"{issuer}/")


def discovery_url(issuer: str) -> str:
    """Tell where the metadata is (OpenID Connect Discovery §4.1); a discovery URL is its own."""
    if issuer.endswith(_OPENID) or _OAUTH in issuer:
        return issuer
    return issuer.removesuffix("/") + _OPENID


def read_metadata(
    body: bytes,
    setting: str,
    *,
    insecure_allow_http: bool,
    endpoint_hosts: Collection[str] = (),
) -> ProviderMetadata:
    """Read the discovery document of the issuer ``setting`` names (OpenID Discovery §4.2, §4.3).

    ``endpoint_hosts`` are the hosts beside the issuer's own that may have endpoints.
    """
    issuers = issuers_of(setting)
    require = partial(_require_url, issuer=issuers[0], insecure_allow_http=insecure_allow_http)
    require("issuer", issuers[0])
    members = _read_members(body)
    issuer = members.get("issuer")
    if not isinstance(issuer, str) or issuer not in issuers:
        raise ProviderError(
            "the issuer in the discovery document differs from the configured ISSUER"
            f" {issuers[0]!r}; they must be equal byte for byte"
        )
    placed = partial(is_placed, issuer=issuer, endpoint_hosts=endpoint_hosts)
    optional = _read_optional(members, require)
    aliases = _read_aliases(members, require)
    found = {**optional, **{_alias(name): url for name, url in aliases.items()}}
    return ProviderMetadata(
        issuer=issuer,
        token_endpoint=_require_placed("token_endpoint", members, require, placed),
        jwks_uri=_require_placed("jwks_uri", members, require, placed),
        token_endpoint_auth_methods_supported=_names(members, _AUTH_METHODS),
        grant_types_supported=_names(members, "grant_types_supported"),
        left_out=tuple(name for name, url in found.items() if not placed(url)),
        mtls_endpoint_aliases=MappingProxyType(
            {name: url for name, url in aliases.items() if placed(url)}
        ),
        **{name: url for name, url in optional.items() if placed(url)},
    )


def is_placed(url: str, issuer: str, endpoint_hosts: Collection[str]) -> bool:
    """Tell whether an endpoint is on the issuer's host, or on one that is listed.

    An entry without a port stands for the default port and the issuer's. An IP literal may be
    listed beside an issuer that is one itself, on no public network.
    """
    home, there = urlsplit(issuer), urlsplit(url)
    host = there.hostname or ""
    same = host == home.hostname
    if _is_address(host) and not same and not _is_private(home.hostname or ""):
        return False
    written = f"[{host}]" if ":" in host else host
    usual = _port(there) in {_port(home), _DEFAULT_PORTS[there.scheme]}
    listed = usual and (same or written in endpoint_hosts)
    return listed or f"{written}:{_port(there)}" in endpoint_hosts


def _require_placed(
    name: str,
    members: dict[str, Any],
    require: Callable[[str, object], str],
    placed: Callable[[str], bool],
) -> str:
    """Require an endpoint on a host the operator has named."""
    url = require(name, members.get(name))
    if not placed(url):
        raise ProviderError(
            f"the provider's {name} is on {urlsplit(url).netloc}, which is not the issuer's host; "
            "if that is right, list it in IDP_ENDPOINT_HOSTS"
        )
    return url


def _read_optional(
    members: dict[str, Any], require: Callable[[str, object], str]
) -> dict[str, str]:
    optional = {
        name: require(name, members[name]) for name in _OPTIONAL if members.get(name) is not None
    }
    with suppress(ProviderError):  # few ask it: one that cannot be used is none
        optional[_USERINFO] = require(_USERINFO, members.get(_USERINFO))
    return optional


def _read_members(body: bytes) -> dict[str, Any]:
    if len(body) > MAX_BODY_BYTES:
        raise ProviderError(f"the discovery document is larger than {MAX_BODY_BYTES} bytes")
    try:
        return read_object(body)
    except StrictJSONError as exc:
        raise ProviderError(f"the discovery document is refused: {exc}") from exc


def _require_url(name: str, value: object, *, issuer: str, insecure_allow_http: bool) -> str:
    """Require an absolute https URL without user information or fragment (RFC 8414 §2)."""
    if not isinstance(value, str) or not _URL.fullmatch(value):
        raise ProviderError(f"the provider's {name} is missing or not a URL")
    try:
        url = urlsplit(value)
        complete = bool(url.hostname) and url.port != 0
    except ValueError as exc:
        raise ProviderError(f"the provider's {name} is not a URL") from exc
    if not complete or "@" in url.netloc or "#" in value:
        raise ProviderError(f"the provider's {name} is not a plain URL")
    if url.scheme == "https":
        return value
    # Plain http is for development, and never a step down from an https issuer.
    permitted = insecure_allow_http or _is_loopback(url.hostname or "")
    if url.scheme != "http" or not issuer.startswith("http://") or not permitted:
        raise ProviderError(f"the provider's {name} must be an https URL")
    return value


def _port(url: SplitResult) -> int:
    return url.port or _DEFAULT_PORTS[url.scheme]


def _is_address(host: str) -> bool:
    """Tell whether ``host`` is an IP literal, in any of the spellings a resolver would take."""
    return ":" in host or host.rsplit(".", 1)[-1][:1].isdigit()


def _is_private(host: str) -> bool:
    """Tell whether ``host`` is visibly on no public network: localhost, or such an IP literal."""
    try:
        return _is_loopback(host) or not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    """Tell whether ``host`` is this machine (RFC 6761 §6.3, RFC 1122 §3.2.1.3)."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read_aliases(members: dict[str, Any], require: Callable[[str, object], str]) -> dict[str, str]:
    """Read the endpoints for clients that show a certificate (RFC 8705 §5); others are left."""
    aliases = members.get("mtls_endpoint_aliases", {})
    if not isinstance(aliases, dict):
        raise ProviderError("the provider's mtls_endpoint_aliases is not an object")
    return {name: require(_alias(name), aliases[name]) for name in _ENDPOINTS if name in aliases}


def _alias(name: str) -> str:
    return f"mtls_endpoint_aliases.{name}"


def _names(members: dict[str, Any], name: str) -> tuple[str, ...]:
    """Read an optional list of strings."""
    values = members.get(name, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ProviderError(f"the provider's {name} is not a list of strings")
    return tuple(values)
