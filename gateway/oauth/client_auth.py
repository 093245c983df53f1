"""The client's registration and the token request it signs with (RFC 6749 §2.3.1, §3.2)."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args
from urllib.parse import quote_plus, urlencode

from gateway.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.oauth.grants import Form, Grant

AuthMethod: TypeAlias = Literal["client_secret_basic", "client_secret_post"]  # RFC 7591 §2
_METHODS: tuple[AuthMethod, ...] = get_args(AuthMethod)  # preferred first: RFC 6749 §2.3.1


@dataclass(frozen=True, slots=True)
class Client:
    """A registration at the provider and how it authenticates (RFC 6749 §2)."""

    client_id: str
    client_secret: str = field(repr=False)
    token_endpoint_auth_method: AuthMethod = "client_secret_basic"  # noqa: S105 - a method


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """Header fields and body of a POST to the token endpoint (RFC 6749 §3.2)."""

    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)


def write_token_request(
    client: Client, grant: Grant, extra: Sequence[tuple[str, str]] = ()
) -> TokenRequest:
    """Write the token request, form-encoded exactly once (RFC 6749 §3.2, Appendix B)."""
    form = (*grant.form(), *extra)
    if client.token_endpoint_auth_method == "client_secret_basic":  # noqa: S105 - a method
        return TokenRequest((*_HEADERS, ("Authorization", _basic(client))), _encode(form))
    return TokenRequest(_HEADERS, _encode((*form, *_post(client))))


def choose_auth_method(configured: str | None, supported: Sequence[str]) -> AuthMethod:
    """Choose what is configured, else what the provider supports, else Basic (RFC 8414 §2)."""
    for method in _METHODS:
        if configured == method or (not configured and method in supported):
            return method
    if configured:
        raise ConfigurationError(f"the client authentication is none of {', '.join(_METHODS)}")
    return "client_secret_basic"


_HEADERS = (
    ("Content-Type", "application/x-www-form-urlencoded"),
    ("Accept", "application/json"),
    ("Accept-Encoding", "identity"),  # an answer that inflates cannot be bounded by its length
)


def _basic(client: Client) -> str:
    """Form-encode the id and the secret before base64 (RFC 6749 §2.3.1)."""
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    return "Basic " + base64.b64encode(pair.encode("ascii")).decode("ascii")


def _post(client: Client) -> Form:
    """Write the client's parameters of RFC 6749 §2.3.1."""
    return (("client_id", client.client_id), ("client_secret", client.client_secret))


def _encode(form: Form) -> bytes:
    """Form-encode as UTF-8; no parameter may be sent twice (RFC 6749 §3.2)."""
    names = [name for name, _ in form]
    if len(set(names)) != len(names):
        raise ConfigurationError("a parameter of the token request is given twice")
    return urlencode(form).encode("ascii")
