"""Upstreams put together: where a route's requests go, and over which TLS."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.app.parts import made_of
from gateway.errors import ConfigurationError
from gateway.routing import read_upstream
from gateway.tls import CertificateError, client_context, show_certificate, system_context

if TYPE_CHECKING:
    import ssl
    from contextlib import AsyncExitStack

    from gateway.app.parts import Parts
    from gateway.routing import Upstream
    from gateway.settings import RoutePlan, Settings

SECURED_WITH = ("upstream_ca_file", "upstream_cert_file", "upstream_key_file")


async def obtain_upstream(plan: RoutePlan, parts: Parts) -> Upstream:
    """Return the upstream of a route; those with the same files share how they are spoken to."""
    settings = plan.settings
    upstream = read_upstream(settings.upstream_url)

    async def secure(_: AsyncExitStack) -> ssl.SSLContext:
        return await asyncio.to_thread(_secured, settings)

    tls = None
    if upstream.scheme == "https":
        tls = await parts.obtain(made_of(settings, SECURED_WITH, "upstream TLS"), secure)
    return replace(
        upstream,
        timeout=settings.upstream_timeout,
        connect_timeout=settings.upstream_connect_timeout,
        tls=tls,
        preserve_host=plan.preserve_host,
    )


def _secured(settings: Settings) -> ssl.SSLContext:
    ca_file, cert_file = settings.upstream_ca_file, settings.upstream_cert_file
    if ca_file is None and cert_file is None:
        return system_context()
    context = client_context(ca_file)
    if cert_file is not None:
        try:
            show_certificate(context, cert_file, settings.upstream_key_file)
        except CertificateError as exc:
            raise ConfigurationError(f"UPSTREAM_CERT_FILE: {exc}") from exc
    return context
