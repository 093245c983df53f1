"""Probes of what stands between a guesser and a user's account, here and at the provider.

What a realm does about guessing is not published. With an administrator's token Keycloak's own
settings are read; without one only what the gateway does itself can be judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gateway.doctor.findings import failure, fine, warning
from gateway.doctor.patient import MAX_BYTES
from gateway.errors import ProviderError
from gateway.oauth.strict_json import StrictJSONError, read_object

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from gateway.doctor.findings import Finding
    from gateway.doctor.patient import Patient
    from gateway.settings import Settings

KEYCLOAK_QUICK: Final = 1.0  # seconds: two failures within it lock a user, unless told otherwise
ALL_ADDRESSES: Final = 3  # times FAILED_LOGINS_MAX reach the provider for a user from everywhere
_PLACE: Final = "Keycloak's Realm settings > Security defenses > Brute force detection"


async def probe_guessing(patient: Patient) -> AsyncIterator[Finding]:
    """Yield how refused logins here fit to what the provider does about them."""
    settings = patient.settings
    if patient.metadata is None or "password" not in settings.auth_methods:
        return
    issuer = patient.metadata.issuer
    if "/realms/" not in issuer:
        return
    if not patient.asked.admin_token:
        if settings.failed_logins_spacing <= KEYCLOAK_QUICK:
            yield _too_quick(settings, KEYCLOAK_QUICK)
        return
    try:
        realm = await _read_realm(patient, issuer)
    except ProviderError as exc:
        yield warning(
            f"the realm's settings cannot be read: {exc}",
            "Give a token of a user with the role view-realm of realm-management, not expired.",
        )
        return
    for finding in _compare(settings, realm):
        yield finding


async def _read_realm(patient: Patient, issuer: str) -> dict[str, Any]:
    url = issuer.replace("/realms/", "/admin/realms/", 1)
    headers = (("Authorization", f"Bearer {patient.asked.admin_token}"),)
    answer = await patient.transport.get(url, headers, max_bytes=MAX_BYTES)
    if answer.status != 200:  # noqa: PLR2004 - RFC 9110 §15.3.1
        raise ProviderError(f"the answer has status {answer.status}")
    try:
        return read_object(answer.body)
    except StrictJSONError as exc:
        raise ProviderError(f"the answer is refused: {exc}") from exc


def _compare(settings: Settings, realm: dict[str, Any]) -> Iterator[Finding]:
    if realm.get("bruteForceProtected") is not True:
        yield warning(
            "the realm does nothing against guessing; only this gateway does",
            f"Switch on {_PLACE}.",
        )
        return
    quick = _number(realm, "quickLoginCheckMilliSeconds") / 1000
    if settings.failed_logins_spacing <= quick:
        yield _too_quick(settings, quick)
    reaching = ALL_ADDRESSES * settings.failed_logins_max
    limit = _number(realm, "failureFactor")
    if limit <= settings.failed_logins_max:
        yield failure(
            f"the realm locks a user after {limit:g} failures and FAILED_LOGINS_MAX="
            f"{settings.failed_logins_max} lets as many through: anybody can lock users out",
            f"Set FAILED_LOGINS_MAX below {limit:g}, or raise Max login failures of {_PLACE}.",
        )
    elif limit <= reaching:
        yield warning(
            f"the realm locks a user after {limit:g} failures; {reaching} from several addresses "
            "reach it",
            f"Lower FAILED_LOGINS_MAX, or raise Max login failures of {_PLACE}.",
        )
    else:
        yield fine("the realm locks later than the gateway holds back")
    if realm.get("permanentLockout") is True:
        yield warning(
            "the realm locks users until somebody unlocks them",
            f"Choose a temporary lockout under {_PLACE}.",
        )


def _too_quick(settings: Settings, quick: float) -> Finding:
    return failure(
        f"FAILED_LOGINS_SPACING={settings.failed_logins_spacing:g} lets two wrong passwords "
        f"through within {quick:g} seconds, for which the realm locks the user",
        f"Set FAILED_LOGINS_SPACING above {quick:g}, or lower Quick login check of {_PLACE}.",
    )


def _number(realm: dict[str, Any], name: str) -> float:
    value = realm.get(name)
    return float(value) if isinstance(value, int | float) else 0.0
