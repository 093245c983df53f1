"""What the listener needs: its certificate, and what is wrong with it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from gateway.provider.client_files import is_public_key_file
from gateway.tls import CertificateError, ServerCertificate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.settings.model import Settings

    Conflict = tuple[tuple[str, ...], str]


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


def read_warnings(settings: Settings) -> Iterator[Conflict]:
    """Yield what works and yet should be known."""
    for name in ("tls_cert_file", "tls_key_file"):
        path = getattr(settings, name)
        if path is not None and is_public_key_file(path):
            yield (name,), "every user of this machine can read the file"
