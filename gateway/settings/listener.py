"""The certificates shown to callers and to upstreams, and what is wrong with them."""

from __future__ import annotations

import ssl
import sys
from typing import TYPE_CHECKING

from gateway.provider.client_files import is_public_key_file
from gateway.tls import CertificateError, ServerCertificate, show_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.settings.model import Settings
    from gateway.settings.validation import Conflict


def read_conflicts(settings: Settings) -> Iterator[Conflict]:
    """Yield what is wrong with the files of the certificate."""
    if settings.workers != 1 and sys.platform != "linux":
        yield ("workers",), "use 1: more than one process needs Linux"
    if settings.tls_cert_file is None:
        if settings.tls_key_file is not None:
            yield (
                ("tls_key_file", "tls_cert_file"),
                "it needs TLS_CERT_FILE: the certificate in PEM",
            )
        return
    try:
        ServerCertificate(settings.tls_cert_file, settings.tls_key_file)
    except CertificateError as exc:
        yield ("tls_cert_file", "tls_key_file"), str(exc)


def read_upstream_conflicts(settings: Settings) -> Iterator[Conflict]:
    """Yield what is wrong with the certificate that is shown to an upstream."""
    cert_file, key_file = settings.upstream_cert_file, settings.upstream_key_file
    if cert_file is None:
        if key_file is not None:
            yield (
                ("upstream_key_file", "upstream_cert_file"),
                "it needs UPSTREAM_CERT_FILE: the certificate in PEM",
            )
        return
    try:
        show_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), cert_file, key_file)
    except CertificateError as exc:
        yield ("upstream_cert_file", "upstream_key_file"), str(exc)


def read_warnings(settings: Settings) -> Iterator[Conflict]:
    """Yield what works and yet should be known."""
    for name in ("tls_cert_file", "tls_key_file", "upstream_cert_file", "upstream_key_file"):
        path = getattr(settings, name)
        if path is not None and is_public_key_file(path):
            yield (name,), "every user of this machine can read the file"
