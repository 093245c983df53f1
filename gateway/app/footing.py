"""What is settled once, before anything is served: sockets, own key, certificate.

Rule: what is wrong here ends the process with one message, however many workers there will be.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import http_parser

from gateway.app.listening import Sockets, bind
from gateway.app.providers import read_own_client
from gateway.errors import ConfigurationError
from gateway.tls import CertificateError, ServerCertificate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.settings import RoutePlan, Settings


@dataclass(frozen=True, slots=True)
class Footing:
    """The gateway's sockets, one set of the proxy port for each worker, and its certificate."""

    certificate: ServerCertificate | None
    proxy: tuple[Sockets, ...]
    admin: Sockets

    @property
    def ports(self) -> tuple[int, int]:
        """The numbers of the proxy port and the admin port."""
        return self.proxy[0][0].getsockname()[1], self.admin[0].getsockname()[1]

    def close(self) -> None:
        """Close the sockets."""
        for sockets in (*self.proxy, self.admin):
            for each in sockets:
                each.close()


def count_workers(settings: Settings) -> int:
    """Return how many processes are to share the port."""
    return settings.workers or len(os.sched_getaffinity(0))


def prepare(settings: Settings, plans: Iterable[RoutePlan], workers: int = 1) -> Footing:
    """Return what the settings ask for; what cannot be had raises ``ConfigurationError``."""
    _require_c_parser()
    for plan in plans:
        if not plan.public:
            read_own_client(plan.settings)
    certificate = _certificate(settings)
    with ExitStack() as stack:
        proxy = bind("PORT", settings.host, settings.port, copies=workers)
        for sockets in proxy:
            for each in sockets:
                stack.callback(each.close)
        (admin,) = bind("ADMIN_PORT", settings.admin_host, settings.admin_port)
        stack.pop_all()
    return Footing(certificate, proxy, admin)


def _certificate(settings: Settings) -> ServerCertificate | None:
    if settings.tls_cert_file is None:
        return None
    try:
        return ServerCertificate(settings.tls_cert_file, settings.tls_key_file)
    except CertificateError as exc:
        raise ConfigurationError(f"TLS_CERT_FILE: {exc}") from exc


def _require_c_parser() -> None:
    """Refuse aiohttp's pure-Python parser: it had request smuggling bugs the C one never had."""
    if http_parser.HttpRequestParser.__module__ != "aiohttp._http_parser":
        raise ConfigurationError(
            "aiohttp's C parser is missing: unset AIOHTTP_NO_EXTENSIONS and install aiohttp "
            "from a wheel"
        )
