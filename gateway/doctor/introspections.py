"""Probe of introspection: whether the provider tells the gateway's client about tokens (RFC 7662).

What it tells about an opaque token is judged by the rules, as the gateway does it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.doctor.findings import failure, fine
from gateway.errors import ConfigurationError, ProviderError
from gateway.oauth.claims import Expectation, read_introspected
from gateway.oauth.jws import InvalidTokenError, is_compact_jws

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from typing import Any

    from gateway.doctor.findings import Finding
    from gateway.doctor.patient import Patient

# What no provider takes for a token: whether the client may ask shows all the same.
_NO_TOKEN: Final = "doctor"  # noqa: S105 - that is the point


async def probe_introspection(patient: Patient) -> AsyncIterator[Finding]:
    """Yield whether the provider can be asked about tokens, where the gateway would ask it."""
    if patient.metadata is None or patient.refused or not patient.settings.client_id:
        return
    opaque = [
        grant
        for grant, token_set in patient.tokens.items()
        if not is_compact_jws(token_set.access_token)
    ]
    for grant in opaque:
        yield await _ask(patient, grant)
    methods = patient.settings.auth_methods
    if not opaque and "introspection" in methods:
        # With bearer the JWTs are verified here, and some providers are asked about others only.
        yield await _ask(patient, "" if "bearer" in methods else next(iter(patient.tokens), ""))


async def _ask(patient: Patient, grant: str) -> Finding:
    token = patient.tokens[grant].access_token if grant else _NO_TOKEN
    try:
        answer = await patient.introspect(token)
    except (ConfigurationError, ProviderError) as exc:
        return failure(
            str(exc),
            "Let the client ask (RFC 7662 §2.1), set INTROSPECTION_ENDPOINT if the metadata names "
            "none, or have the provider give JWT access tokens.",
        )
    if not grant:
        return fine("the client may ask about tokens")
    if answer is None:
        return failure(
            f"the provider calls the access token of {grant}, which it just gave, not active",
            f"Add an audience mapper for {patient.settings.client_id}: Keycloak tells a client "
            "about tokens whose aud names it. Else look whether INTROSPECTION_ENDPOINT is of the "
            "same realm as ISSUER.",
        )
    return _read(patient, grant, answer)


def _read(patient: Patient, grant: str, answer: Mapping[str, Any]) -> Finding:
    assert patient.metadata is not None  # noqa: S101 - the caller found it
    settings = patient.settings
    expectation = Expectation(patient.metadata.issuer, settings.client_id, leeway=settings.leeway)
    try:
        claims = read_introspected(answer, expectation, patient.asked.now())
    except InvalidTokenError as exc:
        return failure(
            f"what the provider tells about the access token of {grant} is refused: {exc}",
            "Compare the introspection answer with ISSUER, CLIENT_ID and the clocks.",
        )
    patient.claims.setdefault(grant, claims.raw)
    return fine(f"the provider tells about the access token of {grant}")
