"""The client's registration and how it authenticates (RFC 6749 §2.3, RFC 7523 §2.2, RFC 8705 §2).

Rule: a request carries exactly one way of authenticating the client (RFC 6749 §2.3).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args
from urllib.parse import quote_plus, urlencode

from gateway.errors import ConfigurationError
from gateway.oauth.assertion import is_long_enough, write_assertion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.oauth.client_key import ClientKey
    from gateway.oauth.grants import Form, Grant
    from gateway.oauth.metadata import Endpoint, ProviderMetadata

AuthMethod: TypeAlias = Literal[  # RFC 7591 §2, OpenID Connect Core §9, RFC 8705 §2
    "client_secret_basic",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
    "none",
]
AssertionAudience: TypeAlias = Literal["issuer", "token_endpoint"]

AUTH_METHODS: tuple[AuthMethod, ...] = get_args(AuthMethod)
TLS_METHODS: frozenset[AuthMethod] = frozenset({"tls_client_auth", "self_signed_tls_client_auth"})
# What a client with a secret can do, preferred first: RFC 6749 §2.3.1.
SECRET_METHODS: tuple[AuthMethod, ...] = ("client_secret_basic", "client_secret_post")


@dataclass(frozen=True, slots=True)
class Client:
    """A registration at the provider and how it authenticates (RFC 6749 §2).

    Without a method it is one that the provider's metadata names and for which the client has
    what it takes.
    """

    client_id: str
    client_secret: str = field(repr=False)
    token_endpoint_auth_method: AuthMethod | None = "client_secret_basic"  # noqa: S105 - a method
    key: ClientKey | None = None
    secret_alg: str | None = None
    assertion_audience: AssertionAudience = "issuer"

    @property
    def able(self) -> tuple[AuthMethod, ...]:
        """The methods it can be given by metadata alone, preferred first."""
        methods = list(SECRET_METHODS if self.client_secret else ())
        if self.key is not None:
            methods.append("private_key_jwt")
        if self.secret_alg is not None and is_long_enough(self.client_secret, self.secret_alg):
            methods.append("client_secret_jwt")
        return tuple(methods)

    def of_caller(self, client_id: str, client_secret: str) -> Client:
        """Return the caller's pair as a client, which has a secret and nothing else."""
        method = self.token_endpoint_auth_method
        return Client(client_id, client_secret, method if method in SECRET_METHODS else None)


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """Where a POST of the client goes, with its header fields and body (RFC 6749 §3.2)."""

    url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)


def write_token_request(
    client: Client,
    grant: Grant,
    extra: Sequence[tuple[str, str]] = (),
    *,
    metadata: ProviderMetadata,
    now: float,
) -> TokenRequest:
    """Write the token request, form-encoded exactly once (RFC 6749 §3.2, Appendix B)."""
    form = (*grant.form(), *extra)
    return write_client_request(client, "token_endpoint", form, metadata=metadata, now=now)


def write_client_request(
    client: Client, endpoint: Endpoint, form: Form, *, metadata: ProviderMetadata, now: float
) -> TokenRequest:
    """Write a request in which the client authenticates, to any endpoint that asks it to.

    An endpoint the provider does not have raises ``ProviderError``.
    """
    method = choose_auth_method(
        client.token_endpoint_auth_method,
        metadata.token_endpoint_auth_methods_supported,
        client.able,
    )
    url = metadata.find_endpoint(endpoint, mtls=method in TLS_METHODS)
    if method == "client_secret_basic":
        return TokenRequest(url, (*_HEADERS, ("Authorization", _basic(client))), _encode(form))
    audience = getattr(metadata, client.assertion_audience)
    parameters = _parameters(client, method, audience, now)
    return TokenRequest(url, _HEADERS, _encode((*form, *parameters)))


def choose_auth_method(
    configured: str | None, supported: Sequence[str], able: Sequence[AuthMethod] = SECRET_METHODS
) -> AuthMethod:
    """Choose what is configured, else the first the provider supports (RFC 8414 §2)."""
    if configured:
        if configured not in AUTH_METHODS:
            raise ConfigurationError(
                f"the client authentication is none of {', '.join(AUTH_METHODS)}"
            )
        return configured
    common = (method for method in able if method in supported)
    return next(common, able[0] if able else "client_secret_basic")


_HEADERS = (
    ("Content-Type", "application/x-www-form-urlencoded"),
    ("Accept", "application/json"),
    ("Accept-Encoding", "identity"),  # an answer that inflates cannot be bounded by its length
)


def _basic(client: Client) -> str:
    """Form-encode the id and the secret before base64 (RFC 6749 §2.3.1)."""
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    return "Basic " + base64.b64encode(pair.encode("ascii")).decode("ascii")


def _parameters(client: Client, method: AuthMethod, audience: str, now: float) -> Form:
    """Write the parameters that name the client, and prove it where the connection does not."""
    match method:
        case "client_secret_post":  # RFC 6749 §2.3.1
            return (("client_id", client.client_id), ("client_secret", client.client_secret))
        case "client_secret_jwt" if client.secret_alg is not None:  # OpenID Connect Core §9
            secret = client.client_secret.encode()
            signed = partial(write_assertion, alg=client.secret_alg, key=secret)
        case "private_key_jwt" if client.key is not None:
            key = client.key
            signed = partial(write_assertion, alg=key.alg, key=key.private_key, kid=key.kid)
        case "client_secret_jwt" | "private_key_jwt":
            raise ConfigurationError(f"{method} needs a key or algorithm that is not there")
        case _:  # none: RFC 6749 §3.2.1; the TLS methods: RFC 8705 §2
            return (("client_id", client.client_id),)
    return signed(client.client_id, audience, now=now)


def _encode(form: Form) -> bytes:
    """Form-encode as UTF-8; no parameter may be sent twice (RFC 6749 §3.2)."""
    names = [name for name, _ in form]
    if len(set(names)) != len(names):
        raise ConfigurationError("a parameter of the token request is given twice")
    return urlencode(form).encode("ascii")
