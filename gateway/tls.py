"""The certificates the gateway shows and believes, and which TLS it speaks (RFC 8446, RFC 9325).

Rule: a certificate that is not usable never replaces one that is.
"""

from __future__ import annotations

import logging
import ssl
from functools import cache
from typing import TYPE_CHECKING, Final

from gateway.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)

# Forward secrecy and AEAD only (RFC 9325 §4.2); TLS 1.3 has nothing else.
TLS12_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
_ENCRYPTED: Final = (b"BEGIN ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED")
_PRIVATE_KEY: Final = b"PRIVATE KEY-----"  # RFC 7468 §10, §11, and the older labels


class CertificateError(ConfigurationError):
    """Certificate and key cannot be used; the text says why, and quotes none of them."""


class ServerCertificate:
    """A certificate chain with its key, kept up to date: ``context`` shows the newest good one.

    ``key_file`` may be ``None`` when the key is in ``cert_file``. Files that cannot be used raise
    ``CertificateError``.
    """

    def __init__(self, cert_file: Path, key_file: Path | None) -> None:
        self._cert_file = cert_file
        self._key_file = key_file
        self._newest = self.context = _read(cert_file, key_file)
        # Sessions are resumed by the first context, so a new certificate does not end them.
        self.context.sni_callback = self._show_newest

    def reload(self) -> None:
        """Show from now on what the files hold; if it is not usable, go on as before and raise."""
        self._newest = _read(self._cert_file, self._key_file)

    def _show_newest(self, handshake: ssl.SSLObject, _name: str | None, _: ssl.SSLContext) -> None:
        handshake.context = self._newest


class _Handshake(ssl.SSLObject):
    """A connection whose failed handshake has a line in the log; the event loop writes none."""

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as exc:
            _log.debug("a TLS handshake failed: %s", exc.reason)
            raise


def _read(cert_file: Path, key_file: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(TLS12_CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.sslobject_class = _Handshake
    show_certificate(context, cert_file, key_file)
    return context


@cache
def system_context() -> ssl.SSLContext:
    """Return how servers are spoken to that the system trusts; the same one for everybody.

    To read the system's trust anchors takes tens of milliseconds, and they weigh a megabyte.
    """
    return client_context(None)


def client_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return how servers are spoken to, made anew; ``None`` trusts what the system trusts.

    A file without certificates raises ``CertificateError``.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as exc:
        raise CertificateError(f"{ca_file} holds no usable CA certificates") from exc
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def show_certificate(context: ssl.SSLContext, cert_file: Path, key_file: Path | None) -> None:
    """Have ``context`` show this certificate; files that are not usable raise an error.

    ``key_file`` may be ``None`` when the key is in ``cert_file``. Raises ``CertificateError``.
    """
    try:
        _require_plain_key(cert_file, key_file)
        context.load_cert_chain(cert_file, key_file, password=lambda: "")
    except ssl.SSLError as exc:
        raise CertificateError(
            "certificate and key do not belong together"
            if exc.reason == "KEY_VALUES_MISMATCH"
            else "certificate or key is not in PEM, or too weak"
        ) from exc
    except OSError as exc:
        raise CertificateError(f"a file cannot be read ({exc.strerror})") from exc


def _require_plain_key(cert_file: Path, key_file: Path | None) -> None:
    """Refuse what OpenSSL would answer with a question on the terminal, or a riddle."""
    data = (key_file or cert_file).read_bytes()
    if any(mark in data for mark in _ENCRYPTED):
        raise CertificateError(
            "the private key is encrypted; store it without a passphrase, readable by its owner"
        )
    if _PRIVATE_KEY not in data:
        raise CertificateError(
            "the key file holds no private key in PEM"
            if key_file is not None
            else "the file holds no private key; add it there, or set the KEY_FILE beside it"
        )
