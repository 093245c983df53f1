"""What the gateway's registration needs for its way of authenticating, and what it lacks.

Rule: files are read and judged here, and never written: ``check`` changes nothing.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from gateway.oauth.assertion import MIN_SECRET_BYTES, is_long_enough
from gateway.oauth.client_auth import SECRET_METHODS, TLS_METHODS
from gateway.provider.client_files import (
    ClientFileError,
    find_key_file,
    is_public_key_file,
    load_certificate,
    needs_key,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gateway.settings.model import Settings
    from gateway.settings.validation import Conflict

# What the gateway does in its own name.
METHODS = ("password", "introspection", "refresh_token")
_SECRET_METHODS = frozenset({*SECRET_METHODS, "client_secret_jwt"})


def read_conflicts(settings: Settings) -> Iterator[Conflict]:
    """Yield what the registration lacks, and what is wrong with its files."""
    for method in METHODS:
        if method in settings.auth_methods:
            yield from _judge_method(settings, f"the method {method}")
            break
    else:
        if settings.token_exchange:
            yield from _judge_method(settings, "TOKEN_EXCHANGE")
    if settings.client_cert_file is not None:
        yield from _judge_certificate(settings.client_cert_file, settings.client_key_file)


def read_warnings(settings: Settings) -> Iterator[Conflict]:
    """Yield what works and yet should be known."""
    for name in ("client_key_file", "client_cert_file"):
        path = getattr(settings, name)
        if path is not None and is_public_key_file(path):
            yield (name,), "every user of this machine can read the file"
    method = settings.client_auth
    if settings.client_secret and method is not None and method not in _SECRET_METHODS:
        yield ("client_secret", "client_auth"), f"it is not used: CLIENT_AUTH is {method}"


def _judge_method(settings: Settings, used_by: str) -> Iterator[Conflict]:
    method = settings.client_auth
    signs = needs_key(method, settings.client_key_file, settings.client_cert_file)
    if not settings.client_secret and (method in _SECRET_METHODS or not (method or signs)):
        yield (
            ("client_secret", "client_auth", "auth_methods"),
            f"it is required for {used_by}, unless CLIENT_AUTH does without",
        )
    if method == "client_secret_jwt":
        yield from _judge_secret(settings)
    if signs:
        yield from _judge_key(settings)
    if method in TLS_METHODS:
        yield from _judge_tls(settings)


def _judge_secret(settings: Settings) -> Iterator[Conflict]:
    alg, secret = settings.client_alg or "HS256", settings.client_secret.get_secret_value()
    if alg not in MIN_SECRET_BYTES:
        yield (
            ("client_alg", "client_auth"),
            "client_secret_jwt signs with HS256, HS384 or HS512; choose one, or unset it",
        )
    elif secret and not is_long_enough(secret, alg):  # RFC 7518 §3.2
        yield (
            ("client_secret", "client_alg", "client_auth"),
            f"{alg} needs a secret of {MIN_SECRET_BYTES[alg]} bytes or more; get a longer one",
        )


def _judge_key(settings: Settings) -> Iterator[Conflict]:
    alg = settings.client_alg
    if alg in MIN_SECRET_BYTES:
        yield (
            ("client_alg", "client_auth"),
            f"private_key_jwt does not sign with {alg}; use e.g. RS256 or ES256, or unset it",
        )
        return
    try:
        key = find_key_file(settings.client_key_file, alg)
    except ClientFileError as exc:
        yield ("client_key_file", "client_alg"), str(exc)
        return
    if key is None and settings.client_auth is None:
        yield (
            ("client_key_file", "client_auth"),
            "there is no such file; only with CLIENT_AUTH=private_key_jwt is a key generated",
        )


def _judge_tls(settings: Settings) -> Iterator[Conflict]:
    if settings.client_cert_file is None:
        yield (
            ("client_cert_file", "client_auth"),
            f"it is required with CLIENT_AUTH={settings.client_auth}: the certificate in PEM",
        )
    if settings.issuer.startswith("http:"):
        yield (
            ("issuer", "client_auth"),
            f"it must be https with CLIENT_AUTH={settings.client_auth}",
        )


def _judge_certificate(cert_file: Path, key_file: Path | None) -> Iterator[Conflict]:
    try:
        load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), cert_file, key_file)
    except ClientFileError as exc:
        yield ("client_cert_file", "client_key_file"), str(exc)
