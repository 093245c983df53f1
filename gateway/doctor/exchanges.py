"""Probe of token exchange: whether the provider gives the client what TOKEN_EXCHANGE_* ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.app.token_exchange import REQUESTED_TYPES
from gateway.doctor.findings import failure, fine, warning
from gateway.errors import ConfigurationError, ProviderError
from gateway.oauth.claims import claim_values
from gateway.oauth.grants import TokenExchangeGrant
from gateway.oauth.jws import ASYMMETRIC_ALGORITHMS, InvalidTokenError, verify_signature
from gateway.oauth.strict_json import StrictJSONError, read_object
from gateway.oauth.tokens import TokenErrorResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from gateway.doctor.findings import Finding
    from gateway.doctor.patient import Patient
    from gateway.oauth.tokens import TokenSet

_NOT_ALLOWED: Final = (
    "the client {client} may not exchange tokens",
    (
        "Switch on Keycloak's Clients > {client} > Settings > Standard token exchange (other "
        "providers: allow the client the grant token-exchange), or set TOKEN_EXCHANGE=false."
    ),
)
# `doctor` alone reads descriptions: here they choose a hint for a person and nothing else.
_HINTS: Final[Mapping[str, tuple[str, str]]] = {
    "not enabled": _NOT_ALLOWED,
    "audience not found": (
        "the provider has no client {audience}, which TOKEN_EXCHANGE_AUDIENCE names",
        "Make a client of that name for the upstream, or correct TOKEN_EXCHANGE_AUDIENCE.",
    ),
    "client disabled": (
        "the client {audience}, which TOKEN_EXCHANGE_AUDIENCE names, is disabled",
        "Switch on Keycloak's Clients > {audience} > Enabled.",
    ),
    "audience not available": (
        "the provider gives this caller no token for {audience}",
        (
            "Give the callers a role of the client {audience} (Keycloak: Users > Role mapping), or "
            "the client {client} an audience mapper for it."
        ),
    ),
    "requested_token_type": (
        "the provider does not give what TOKEN_EXCHANGE_REQUESTED_TOKEN_TYPE asks for",
        "Set TOKEN_EXCHANGE_REQUESTED_TOKEN_TYPE=access_token.",
    ),
    "not within the token audience": (
        "tokens of this caller are not for the client {client}",
        "Add an audience mapper for {client} to the client that the tokens are from.",
    ),
}
_ERRORS: Final[Mapping[str, tuple[str, str]]] = {
    "unsupported_grant_type": (
        "the provider has no token exchange",
        "Set TOKEN_EXCHANGE=false, or switch it on at the provider.",
    ),
    "unauthorized_client": _NOT_ALLOWED,
    "invalid_target": (
        "the provider has nothing that TOKEN_EXCHANGE_AUDIENCE or _RESOURCE names",
        "Correct them, or make it known to the provider.",
    ),
    "invalid_scope": (
        "the client {client} may not have TOKEN_EXCHANGE_SCOPES",
        "Correct them, or let the client have them (Keycloak: Clients > {client} > Client scopes).",
    ),
}
# What no provider takes for a token: whether the client is allowed shows all the same.
_NO_TOKEN: Final = "doctor"  # noqa: S105 - that is the point


async def probe_token_exchange(patient: Patient) -> AsyncIterator[Finding]:
    """Yield whether a token is exchanged as the settings say."""
    if patient.metadata is None or patient.refused or not patient.settings.token_exchange:
        return
    if not patient.tokens:
        yield await _try(patient, "")
    for grant in patient.tokens:
        yield await _try(patient, grant)


async def _try(patient: Patient, grant: str) -> Finding:
    settings = patient.settings
    subject_token = patient.tokens[grant].access_token if grant else _NO_TOKEN
    exchange = TokenExchangeGrant(
        subject_token,
        audience=settings.token_exchange_audience,
        scope=settings.token_exchange_scopes,
        resource=settings.token_exchange_resource,
        requested_token_type=REQUESTED_TYPES[settings.token_exchange_requested_token_type],
    )
    try:
        answer = await patient.ask(exchange)
    except (ConfigurationError, ProviderError) as exc:
        return failure(f"token exchange: {exc}", "Look into the provider's log.")
    if isinstance(answer, TokenErrorResponse):
        return _refused(patient, grant, answer)
    return _given(patient, grant, answer)


def _refused(patient: Patient, grant: str, answer: TokenErrorResponse) -> Finding:
    names = {
        "client": patient.settings.client_id,
        "audience": patient.settings.token_exchange_audience,
    }
    said = answer.error_description.lower()
    marked = [hint for mark, hint in _HINTS.items() if mark in said]
    hint = marked[0] if marked else _ERRORS.get(answer.error)
    if hint is not None:
        what, fix = (text.format(**names) for text in hint)
        # What the client lacks as itself matters to nobody while it does not call.
        own = grant == "client_credentials" and "caller" in hint[0]
        return (warning if own else failure)(what, fix)
    if not grant:
        return fine("the client may exchange tokens; with --user one is tried")
    return failure(
        f"the access token of {grant} is not exchanged: {answer.error} "
        f"({answer.error_description or 'nothing more is said'})",
        "Look into the provider's log (Keycloak: Realm settings > Events).",
    )


def _given(patient: Patient, grant: str, token_set: TokenSet) -> Finding:
    wanted = patient.settings.token_exchange_audience
    if wanted and wanted not in _audiences(patient, token_set, wanted):
        return failure(
            f"the token exchanged for that of {grant} is not for {wanted}",
            "Let the provider put TOKEN_EXCHANGE_AUDIENCE into aud, or correct it.",
        )
    return fine(f"the access token of {grant} is exchanged for one for the upstream")


def _audiences(patient: Patient, token_set: TokenSet, otherwise: str) -> frozenset[str]:
    """Return whom a token is for; one that cannot be read is taken to be as was asked."""
    if patient.key_set is None:
        return frozenset({otherwise})
    try:
        signed = verify_signature(token_set.access_token, patient.key_set, ASYMMETRIC_ALGORITHMS)
        return claim_values(read_object(signed.payload).get("aud"))
    except (InvalidTokenError, StrictJSONError):
        return frozenset({otherwise})
