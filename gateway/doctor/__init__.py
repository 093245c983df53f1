"""``doctor``: asks the provider and Redis what the first requests would otherwise find out.

Rule: it makes no more than a few logins, each once, and no secret is in what it finds.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gateway.app.parts import made_of
from gateway.app.providers import CALLED_WITH, open_transport, read_own_client
from gateway.doctor.discovery import probe_keys, probe_metadata
from gateway.doctor.exchanges import probe_token_exchange
from gateway.doctor.findings import Finding, Severity
from gateway.doctor.guessing import probe_guessing
from gateway.doctor.id_tokens import probe_id_tokens
from gateway.doctor.introspections import probe_introspection
from gateway.doctor.logins import (
    probe_client_credentials,
    probe_password,
    probe_refresh_token,
)
from gateway.doctor.patient import Asked, Patient
from gateway.doctor.redis import probe_redis
from gateway.doctor.rules import probe_rules
from gateway.doctor.tokens import probe_tokens
from gateway.doctor.user_info import probe_user_info
from gateway.settings.model.authentication import TokenExchangeRequest
from gateway.settings.model.authorization import Rules

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable, Sequence

    from gateway.settings import Loaded, RoutePlan

__all__ = ["Asked", "Finding", "Severity", "examine", "has_failed"]

_OF_PROVIDER = (
    probe_metadata,
    probe_keys,
    probe_password,
    probe_client_credentials,
    probe_refresh_token,
    probe_tokens,
    probe_introspection,
    probe_guessing,
)
_OF_ROUTE = (probe_user_info, probe_rules, probe_id_tokens, probe_token_exchange)

_LOGS_IN_WITH = (
    *CALLED_WITH,
    "auth_methods",
    "scopes",
    "client_credentials_scopes",
    "audience",
    "token_post_args",
    "cache_margin",
    "leeway",
)
_JUDGED_WITH = (
    *Rules.model_fields,
    *TokenExchangeRequest.model_fields,
    "search_user_info",
    "upstream_id_token_header",
)


async def examine(loaded: Loaded, asked: Asked | None = None) -> AsyncIterator[tuple[str, Finding]]:
    """Yield each finding with what it is about, a provider, a route or Redis.

    Routes that log in in the same way share one login.
    """
    asked = asked or Asked(time.time)
    groups: dict[Hashable, dict[Hashable, RoutePlan]] = {}
    for plan in loaded.routes:
        if not plan.public:
            group = groups.setdefault(made_of(plan.settings, _LOGS_IN_WITH), {})
            group.setdefault(made_of(plan.settings, _JUDGED_WITH), plan)
    for group in groups.values():
        async for about, finding in _examine_provider(tuple(group.values()), asked):
            yield about, finding
    async for finding in probe_redis(loaded.settings.redis_url.get_secret_value()):
        yield "redis", finding


def has_failed(findings: Sequence[tuple[str, Finding]]) -> bool:
    """Tell whether callers would notice any of these."""
    return any(each.severity is Severity.FAILURE for _, each in findings)


async def _examine_provider(
    plans: Sequence[RoutePlan], asked: Asked
) -> AsyncIterator[tuple[str, Finding]]:
    settings, name = plans[0].settings, plans[0].provider
    client = read_own_client(settings).client
    async with open_transport(settings) as transport:
        patient = Patient(settings, transport, client, asked)
        for probe in _OF_PROVIDER:
            async for finding in probe(patient):
                yield name, finding
        for plan in plans:
            about = name if len(plans) == 1 else f"{name} ({plan.name})"
            judged = patient.judged_by(plan.settings)
            for probe in _OF_ROUTE:
                async for finding in probe(judged):
                    yield about, finding
