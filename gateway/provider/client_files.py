"""The files of the gateway's own client authentication: its private key and its certificate.

Rule: a key file is never overwritten. One that is missing is written whole or not at all, so that
of several gateways starting at once each reads the same key.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.errors import ConfigurationError
from gateway.oauth.client_key import (
    ClientKey,
    generate_client_key,
    read_certificate_jwk,
    read_client_key,
)
from gateway.oauth.jwk import UnusableKeyError
from gateway.tls import CertificateError, show_certificate

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from gateway.oauth.client_key import Members

_log = logging.getLogger(__name__)

MAX_KEY_FILE = 65_536  # bytes
_PRIVATE_KEY = b"PRIVATE KEY-----"  # RFC 7468 §10, §11, and the older labels


class ClientFileError(ValueError):
    """A file cannot be used; the text says why and how to mend it, and quotes none of it."""


def default_key_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where a generated key is kept (XDG Base Directory Specification, state)."""
    state = Path(environ.get("XDG_STATE_HOME", ""))
    if not state.is_absolute():
        state = Path(environ.get("HOME", "")) / ".local" / "state"
    if not state.is_absolute():
        raise ClientFileError("there is no home directory: name the file to be used")
    return state / "bearergate" / "client_key.pem"


def find_key_file(path: Path | None, alg: str | None) -> ClientKey | None:
    """Return the key in the file, ``None`` where there is no such file yet."""
    path, shown = _place(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_KEY_FILE)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise ClientFileError(f"{shown} cannot be read ({exc.strerror})") from exc
    try:
        return read_client_key(data, alg)
    except UnusableKeyError as exc:
        raise ClientFileError(f"{shown} is not usable: {exc}") from exc


def needs_key(method: str | None, key_file: Path | None, cert_file: Path | None) -> bool:
    """Tell whether the client may sign with a key: it is told to, or there is one to sign with.

    Beside a certificate a key file holds the certificate's key, unless the method is named.
    """
    if method is None:
        return key_file is not None and cert_file is None
    return method == "private_key_jwt"


def is_public_key_file(path: Path) -> bool:
    """Tell whether every user of this machine can read the file, and there is a key in it."""
    try:
        public, data = bool(path.stat().st_mode & stat.S_IROTH), path.read_bytes()
    except OSError:
        return False
    return public and (_PRIVATE_KEY in data or b"CERTIFICATE-----" not in data)


def keep_client_key(path: Path | None, alg: str | None) -> ClientKey:
    """Return the key in the file; one that is missing is generated there, once.

    What is wrong raises ``ConfigurationError``.
    """
    try:
        key = find_key_file(path, alg)
        if key is None:
            return _generate(path, alg)
    except ClientFileError as exc:
        raise ConfigurationError(f"CLIENT_KEY_FILE: {exc}") from exc
    _log.info("the client key has kid %s and signs with %s", key.kid, key.alg)
    return key


def load_certificate(context: ssl.SSLContext, cert_file: Path, key_file: Path | None) -> None:
    """Let connections show the certificate; its key is in its own file or in ``key_file``."""
    try:
        complete = _PRIVATE_KEY in cert_file.read_bytes()
        show_certificate(context, cert_file, None if complete else key_file)
    except CertificateError as exc:
        raise ClientFileError(str(exc)) from exc
    except OSError as exc:
        raise ClientFileError(f"the file cannot be read ({exc.strerror})") from exc


def read_certificate(cert_file: Path) -> Members:
    """Return the key of the certificate as a JWK with ``x5c`` (RFC 8705 §2.2.2)."""
    try:
        return read_certificate_jwk(cert_file.read_bytes())
    except UnusableKeyError as exc:
        raise ConfigurationError(f"CLIENT_CERT_FILE: {exc}") from exc
    except OSError as exc:
        raise ConfigurationError(f"CLIENT_CERT_FILE: it cannot be read ({exc.strerror})") from exc


def _generate(path: Path | None, alg: str | None) -> ClientKey:
    path, shown = _place(path)
    key = generate_client_key(alg)
    try:
        written = _write_new(path, key.pem())
    except OSError as exc:
        raise ClientFileError(
            f"{shown} does not exist and cannot be written ({exc.strerror}); "
            "name a file in a directory that can be"
        ) from exc
    if not written:  # by another gateway, a moment ago
        found = find_key_file(path, alg)
        if found is None:
            raise ClientFileError(f"{shown} was removed while it was read; start again")
        return found
    _log.info("a client key with kid %s was generated and is kept in %s", key.kid, path)
    return key


def _write_new(path: Path, data: bytes) -> bool:
    """Write a file only its owner reads, whole or not at all; ``False`` when there is one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # fails where a rename would replace
    except FileExistsError:
        return False
    finally:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
    return True


def _place(path: Path | None) -> tuple[Path, str]:
    """Return where a file is, and how to speak of it to who did or did not configure it."""
    if path is not None:
        return path, "the file"
    default = default_key_file()
    return default, str(default)
