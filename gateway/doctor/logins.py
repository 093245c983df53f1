"""Probes of what the token endpoint says: to the gateway's client, and to a user if one is named.

Without a user the password grant is asked for with no name at all, which no provider counts as
somebody's failed login.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.doctor.findings import Finding, failure, fine, warning
from gateway.errors import ConfigurationError, ProviderError
from gateway.oauth.grants import ClientCredentialsGrant, PasswordGrant, RefreshTokenGrant
from gateway.oauth.tokens import TokenErrorResponse, TokenSet

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from gateway.doctor.patient import Patient
    from gateway.oauth.grants import Grant

_AUTHENTICATION: Final = (
    "Compare CLIENT_ID and CLIENT_SECRET with the provider's (Keycloak: Clients > {client} > "
    "Credentials) and look whether the client is enabled there."
)
_METHOD: Final = (
    "Set CLIENT_AUTH to what the client is registered for (Keycloak: Clients > {client} > "
    "Credentials > Client Authenticator)"
)
NOBODYS: Final = "bearergate-doctor"
# `doctor` alone reads descriptions: here they choose a hint for a person and nothing else.
_HINTS: Final[Mapping[str, tuple[str, str]]] = {
    "direct access grants": (
        "the client {client} may not use the password grant",
        (
            "Switch on Keycloak's Clients > {client} > Settings > Direct access grants, or take "
            "password out of AUTH_METHODS."
        ),
    ),
    "realm not enabled": (
        "the realm is disabled",
        "Switch on Keycloak's Realm settings > Enabled.",
    ),
    "service account": (
        "the client {client} may not use the client credentials grant",
        (
            "If it is to call as itself, switch on Keycloak's Clients > {client} > Settings > "
            "Service accounts roles; callers' clients need the same."
        ),
    ),
    "not fully set up": (
        "the user {user} has something left to do before the first login",
        (
            "Clear Keycloak's Users > {user} > Required user actions, and fill in what the user "
            "profile requires (e-mail, names), or make those optional."
        ),
    ),
    "account disabled": (
        "the user {user} is disabled",
        (
            "Switch on Keycloak's Users > {user} > Enabled; brute force detection "
            "disables users too, see Users > {user} > Unlock."
        ),
    ),
}


async def probe_password(patient: Patient) -> AsyncIterator[Finding]:
    """Yield whether the password grant works, for the user if one is named."""
    if patient.metadata is None or "password" not in patient.settings.auth_methods:
        return
    user = patient.asked.user
    grant = PasswordGrant(user, patient.asked.password, patient.settings.scopes)
    answer = await _ask(patient, grant)
    if isinstance(answer, Finding):
        yield answer
    elif isinstance(answer, TokenSet):
        patient.tokens["password"] = answer
        yield fine(f"{user or 'a user'} can log in with the password grant")
    elif not user and answer.error in {"invalid_grant", "invalid_request"}:
        yield fine("the client is accepted and may use the password grant")
    elif answer.error == "invalid_grant":
        yield _told(patient, answer) or failure(
            f"the login of {user} is refused: {_said(answer)}",
            "Look whether name and password are right and the user is enabled and not locked "
            "(Keycloak: Users > Details, and Events).",
        )
    else:
        yield await _judge(patient, grant, answer)


async def probe_client_credentials(patient: Patient) -> AsyncIterator[Finding]:
    """Yield whether the gateway's client gets a token as itself; only callers' clients need to."""
    settings = patient.settings
    if patient.metadata is None or not settings.client_id:
        return
    if patient.refused or "client_credentials" not in settings.auth_methods:
        return
    grant = ClientCredentialsGrant(settings.client_credentials_scopes)
    answer = await _ask(patient, grant)
    if isinstance(answer, Finding):
        yield answer
    elif isinstance(answer, TokenSet):
        patient.tokens["client_credentials"] = answer
        yield fine(f"the client {settings.client_id} can use the client credentials grant")
    else:
        told = _told(patient, answer)
        if told is not None and "password" in settings.auth_methods:
            yield warning(told.what, told.fix)
        else:
            yield told or await _judge(patient, grant, answer)


async def probe_refresh_token(patient: Patient) -> AsyncIterator[Finding]:
    """Yield whether the client may redeem refresh tokens, asked with one that nobody has."""
    if patient.metadata is None or "refresh_token" not in patient.settings.auth_methods:
        return
    if patient.refused:
        return
    grant = RefreshTokenGrant(NOBODYS)
    answer = await _ask(patient, grant)
    if isinstance(answer, Finding):
        yield answer
    elif isinstance(answer, TokenSet):
        yield failure(
            "the provider takes a refresh token that was made up",
            "Take refresh_token out of AUTH_METHODS: with this provider anybody would be let in.",
        )
    elif answer.error == "invalid_grant":
        yield fine("the client is accepted and may redeem refresh tokens")
    else:
        yield await _judge(patient, grant, answer)


async def _ask(patient: Patient, grant: Grant) -> TokenSet | TokenErrorResponse | Finding:
    try:
        return await patient.ask(grant)
    except ConfigurationError as exc:
        return failure(str(exc), "Set what CLIENT_AUTH needs, or another CLIENT_AUTH.")
    except ProviderError as exc:
        return failure(f"the token endpoint: {exc}", "Look into the provider's log.")


async def _judge(patient: Patient, grant: Grant, answer: TokenErrorResponse) -> Finding:
    """Return what a refusal of the client means, after trying its other ways to authenticate."""
    told = _told(patient, answer)
    if told is not None:
        patient.refused = answer.error == "access_denied"  # a realm that is off
        return told
    what = f"the client {patient.settings.client_id} is refused: {_said(answer)}"
    if answer.error in {"invalid_client", "unauthorized_client"}:
        patient.refused = True
        return failure(what, await _advice(patient, grant))
    if answer.error == "invalid_scope":
        return failure(what, "Let SCOPES and CLIENT_CREDENTIALS_SCOPES name scopes it may have.")
    if answer.error == "unsupported_grant_type":
        return failure(what, "The provider lacks this grant: take it out of AUTH_METHODS.")
    return failure(what, "Look into the provider's log (Keycloak: Realm settings > Events).")


async def _advice(patient: Patient, grant: Grant) -> str:
    client = patient.settings.client_id
    for other in patient.otherwise():
        try:
            answer = await patient.ask(grant, other)
        except (ConfigurationError, ProviderError):
            continue
        if isinstance(answer, TokenSet) or answer.error in {"invalid_grant", "invalid_request"}:
            return f"Set CLIENT_AUTH={other.token_endpoint_auth_method}: with that it is accepted."
    return f"{_METHOD.format(client=client)}, and: {_AUTHENTICATION.format(client=client)}"


def _told(patient: Patient, answer: TokenErrorResponse) -> Finding | None:
    said = answer.error_description.lower()
    for mark, (what, fix) in _HINTS.items():
        if mark in said:
            names = {"client": patient.settings.client_id, "user": patient.asked.user}
            return failure(what.format(**names), fix.format(**names))
    return None


def _said(answer: TokenErrorResponse) -> str:
    return f"{answer.error} ({answer.error_description or 'nothing more is said'})"
