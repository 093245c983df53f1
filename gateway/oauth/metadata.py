"""The provider's metadata, its discovery document (OpenID Connect Discovery §3, §4; RFC 8414).

Rule: the document speaks for the configured issuer and no other, byte for byte (RFC 8414 §3.3).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from gateway.errors import ProviderError
from gateway.oauth.strict_json import StrictJSONError, read_object

MAX_BODY_BYTES = 262_144

_OPENID = "/.well-known/openid-configuration"  # OpenID Connect Discovery §4
_OAUTH = "/.well-known/oauth-authorization-server"  # RFC 8414 §3
_AUTH_METHODS = "token_endpoint_auth_methods_supported"
_OPTIONAL = ("introspection_endpoint", "revocation_endpoint", "end_session_endpoint")
_URL = re.compile(r"[\x21-\x5b\x5d-\x7e]+")  # printable ASCII without the backslash


@dataclass(frozen=True, slots=True)
class ProviderMetadata:
    """The members of RFC 8414 §2 the gateway uses; an absent list is empty."""

    issuer: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ()
    grant_types_supported: tuple[str, ...] = ()
    introspection_endpoint: str | None = None
    revocation_endpoint: str | None = None
    end_session_endpoint: str | None = None


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


def read_metadata(body: bytes, setting: str, *, insecure_allow_http: bool) -> ProviderMetadata:
    """Read the discovery document of the issuer ``setting`` names (OpenID Discovery §4.2, §4.3)."""
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
    return ProviderMetadata(
        issuer=issuer,
        token_endpoint=require("token_endpoint", members.get("token_endpoint")),
        jwks_uri=require("jwks_uri", members.get("jwks_uri")),
        token_endpoint_auth_methods_supported=_names(members, _AUTH_METHODS),
        grant_types_supported=_names(members, "grant_types_supported"),
        **{
            name: require(name, members[name])
            for name in _OPTIONAL
            if members.get(name) is not None
        },
    )


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


def _is_loopback(host: str) -> bool:
    """Tell whether ``host`` is this machine (RFC 6761 §6.3, RFC 1122 §3.2.1.3)."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _names(members: dict[str, Any], name: str) -> tuple[str, ...]:
    """Read an optional list of strings."""
    values = members.get(name, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ProviderError(f"the provider's {name} is not a list of strings")
    return tuple(values)
