"""``doctor``: asks the provider and Redis what the first requests would otherwise find out.

Rule: it makes no more than a few logins, each once, and no secret is in what it finds.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gateway.app.parts import made_of
from gateway.app.providers import CALLED_WITH, open_transport, read_own_client
from gateway.doctor.discovery import probe_keys, probe_metadata
from gateway.doctor.findings import Finding, Severity
from gateway.doctor.guessing import probe_guessing
from gateway.doctor.logins import probe_client_credentials, probe_password
from gateway.doctor.patient import Asked, Patient
from gateway.doctor.redis import probe_redis
from gateway.doctor.tokens import probe_tokens

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from gateway.settings import Loaded, Settings

__all__ = ["Asked", "Finding", "Severity", "examine", "has_failed"]

_PROBES = (
    probe_metadata,
    probe_keys,
    probe_password,
    probe_client_credentials,
    probe_tokens,
    probe_guessing,
)


async def examine(loaded: Loaded, asked: Asked | None = None) -> AsyncIterator[tuple[str, Finding]]:
    """Yield each finding with what it is about, a provider or Redis."""
    asked = asked or Asked(time.time)
    seen = set()
    for plan in loaded.routes:
        # Routes that ask the same provider for the same, and for tokens that say the same.
        key = (made_of(plan.settings, CALLED_WITH), made_of(plan.settings, _JUDGED_WITH))
        if plan.public or key in seen:
            continue
        seen.add(key)
        async for finding in _examine_provider(plan.settings, asked):
            yield plan.provider, finding
    async for finding in probe_redis(loaded.settings.redis_url.get_secret_value()):
        yield "redis", finding


def has_failed(findings: Sequence[tuple[str, Finding]]) -> bool:
    """Tell whether callers would notice any of these."""
    return any(each.severity is Severity.FAILURE for _, each in findings)


async def _examine_provider(settings: Settings, asked: Asked) -> AsyncIterator[Finding]:
    client = read_own_client(settings).client
    async with open_transport(settings) as transport:
        patient = Patient(settings, transport, client, asked)
        for probe in _PROBES:
            async for finding in probe(patient):
                yield finding


_JUDGED_WITH = (
    "auth_methods",
    "scopes",
    "client_credentials_scopes",
    "audience",
    "token_post_args",
    "audience_required",
    "audience_claim",
    "scopes_required",
    "roles_required",
    "groups_required",
    "cache_margin",
    "leeway",
)
