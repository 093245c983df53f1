"""What is settled once, before anything is served: sockets, own key, certificate.

Rule: what is wrong here ends the process with one message, however many workers there will be.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import http_parser

from gateway.app.listening import Sockets, bind
from gateway.errors import ConfigurationError
from gateway.provider.own_client import OwnClient, open_own_client
from gateway.tls import CertificateError, ServerCertificate

if TYPE_CHECKING:
    from gateway.settings import Settings


@dataclass(frozen=True, slots=True)
class Footing:
    """The gateway's sockets, one set of the proxy port for each worker, its key and certificate."""

    own: OwnClient
    certificate: ServerCertificate | None
    proxy: tuple[Sockets, ...]
    admin: Sockets

    def close(self) -> None:
        """Close the sockets."""
        for sockets in (*self.proxy, self.admin):
            for each in sockets:
                each.close()


def prepare(settings: Settings, workers: int = 1) -> Footing:
    """Return what the settings ask for; what cannot be had raises ``ConfigurationError``."""
    _require_c_parser()
    own = _own_client(settings)
    certificate = _certificate(settings)
    with ExitStack() as stack:
        proxy = bind("PORT", settings.host, settings.port, copies=workers)
        for sockets in proxy:
            for each in sockets:
                stack.callback(each.close)
        (admin,) = bind("ADMIN_PORT", settings.admin_host, settings.admin_port)
        stack.pop_all()
    return Footing(own, certificate, proxy, admin)


def _certificate(settings: Settings) -> ServerCertificate | None:
    if settings.tls_cert_file is None:
        return None
    try:
        return ServerCertificate(settings.tls_cert_file, settings.tls_key_file)
    except CertificateError as exc:
        raise ConfigurationError(f"TLS_CERT_FILE: {exc}") from exc


def _own_client(settings: Settings) -> OwnClient:
    return open_own_client(
        settings.client_id,
        settings.client_secret.get_secret_value(),
        settings.client_auth,
        alg=settings.client_alg,
        audience=settings.client_assertion_audience,
        key_file=settings.client_key_file,
        cert_file=settings.client_cert_file,
    )


def _require_c_parser() -> None:
    """Refuse aiohttp's pure-Python parser: it had request smuggling bugs the C one never had."""
    if http_parser.HttpRequestParser.__module__ != "aiohttp._http_parser":
        raise ConfigurationError(
            "aiohttp's C parser is missing: unset AIOHTTP_NO_EXTENSIONS and install aiohttp "
            "from a wheel"
        )
