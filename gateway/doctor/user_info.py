"""Probe of the userinfo endpoint, where the gateway is to ask it (OpenID Connect Core §5.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.doctor.findings import failure, fine, warning
from gateway.errors import ProviderError
from gateway.oauth.introspection import TokenRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.doctor.findings import Finding
    from gateway.doctor.patient import Patient


async def probe_user_info(patient: Patient) -> AsyncIterator[Finding]:
    """Yield whether the endpoint takes a user's token; what it adds is judged by the rules."""
    if patient.metadata is None or not patient.settings.search_user_info:
        return
    if patient.metadata.userinfo_endpoint is None:
        yield failure(
            "the provider names no userinfo_endpoint, and SEARCH_USER_INFO asks it",
            "Set USERINFO_ENDPOINT, or SEARCH_USER_INFO=false.",
        )
        return
    if "password" not in patient.tokens:
        yield warning(
            "there is no user's token to ask the userinfo endpoint with",
            "Name a user with --user.",
        )
        return
    yield await _ask(patient, patient.tokens["password"].access_token)


async def _ask(patient: Patient, access_token: str) -> Finding:
    try:
        answer = await patient.user_info(access_token)
    except ProviderError as exc:
        return failure(str(exc), "Look into the provider's log, or set SEARCH_USER_INFO=false.")
    if isinstance(answer, TokenRefused):
        return failure(
            f"the userinfo endpoint does not take the access token ({answer.status})",
            "Add openid to SCOPES: without it many providers refuse (Keycloak with 403).",
        )
    claims = patient.claims.get("password")
    if claims is None:  # an opaque token: nothing to compare with, nothing to add to
        return fine("the userinfo endpoint takes the access token")
    if answer.get("sub") != claims.get("sub"):
        return failure(
            "the userinfo endpoint tells another sub than the access token",
            "Have the provider use one subject for both, or set SEARCH_USER_INFO=false.",
        )
    added = sorted(name for name in answer.keys() - claims.keys() if name.isprintable())
    patient.claims["password"] = {**answer, **claims}
    return fine(f"the userinfo endpoint takes the access token and adds {', '.join(added) or '-'}")
