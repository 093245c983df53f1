"""Probes of what the rules ask: whether the tokens say it, and where they could be made to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.app.routes import policy_of
from gateway.authorization import Permit, Policy, decide
from gateway.doctor.findings import failure, fine, warning
from gateway.oauth.claims import claim_values, find_claim

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from typing import Any

    from gateway.authorization import ClaimRule, Requirement
    from gateway.doctor.findings import Finding
    from gateway.doctor.patient import Patient
    from gateway.settings import Settings

_SHOWN: Final = 40  # names of claims in one line


async def probe_rules(patient: Patient) -> AsyncIterator[Finding]:
    """Yield the gateway's own judgement of each token by each rule alone."""
    for grant, claims in patient.claims.items():
        for finding in _judge(patient.settings, grant, claims):
            yield finding


def _judge(settings: Settings, grant: str, claims: Mapping[str, Any]) -> Iterator[Finding]:
    policy = policy_of(settings)
    for requirement in policy.requirements:
        yield _required(requirement, grant, claims)
    for rule in policy.claims_required:
        yield _claim_required(rule, grant, claims)
    for rule in policy.claims_forbidden:
        yield _claim_forbidden(rule, grant, claims)
    aud = claims.get("aud")
    if settings.audience_required or settings.audience_claim != "aud" or claim_values(aud):
        return
    yield warning(
        f"the access token of {grant} has no aud: any API that trusts the provider takes it",
        "Add an audience mapper (Keycloak: Client scopes > SCOPE > Mappers > Audience) and set "
        "AUDIENCE_REQUIRED.",
    )


def _required(requirement: Requirement, grant: str, claims: Mapping[str, Any]) -> Finding:
    setting, path = requirement.name.upper(), requirement.path
    if isinstance(decide(Policy((requirement,)), claims), Permit):
        return fine(f"the access token of {grant} satisfies {setting}")
    wanted = ", ".join(" ".join(sorted(each)) for each in requirement.alternatives)
    what, fix = _lacks(setting, path, grant, claims), _FIXES[requirement.name]
    # Users' tokens come from the same client, so an audience concerns them too; what else the
    # client lacks as itself matters to nobody while it does not call.
    shared = grant == "password" or requirement.name == "audience_required"
    return (failure if shared else warning)(f"{what}: {wanted}", f"{fix}{_instead(path, claims)}")


def _claim_required(rule: ClaimRule, grant: str, claims: Mapping[str, Any]) -> Finding:
    if rule.fits(claims):
        return fine(f"the access token of {grant} has what CLAIMS_REQUIRED asks of {rule.path}")
    fix = "Correct the value in CLAIMS_REQUIRED, or what the provider knows of the caller."
    if find_claim(claims, rule.path) is None:
        fix = _MAPPER.format(path=rule.path, setting="CLAIMS_REQUIRED")
    what = _lacks("CLAIMS_REQUIRED", rule.path, grant, claims)
    kind = failure if grant == "password" else warning
    return kind(what, f"{fix}{_instead(rule.path, claims)}")


def _claim_forbidden(rule: ClaimRule, grant: str, claims: Mapping[str, Any]) -> Finding:
    if not rule.fits(claims):
        return fine(f"the access token of {grant} has nothing that CLAIMS_FORBIDDEN names")
    return (failure if grant == "password" else warning)(
        f"the claim {rule.path} of the access token of {grant} is one that CLAIMS_FORBIDDEN names",
        "That is right if this caller is to be kept out; else correct CLAIMS_FORBIDDEN.",
    )


def _lacks(setting: str, path: str, grant: str, claims: Mapping[str, Any]) -> str:
    if find_claim(claims, path) is None:
        return f"the access token of {grant} has no claim {path}, of which {setting} asks"
    return f"the claim {path} of the access token of {grant} lacks what {setting} asks"


def _instead(path: str, claims: Mapping[str, Any]) -> str:
    """Return what there is in place of a claim that is not there: names, no values."""
    if find_claim(claims, path) is not None:
        return ""
    names = sorted(name for name in _paths(claims) if name.isprintable())
    more = ", ..." if len(names) > _SHOWN else ""
    return f" It has: {', '.join(names[:_SHOWN])}{more}"


def _paths(claims: Mapping[str, Any]) -> Iterator[str]:
    for name, value in claims.items():
        if isinstance(value, dict) and value:
            yield from (f"{name}.{inner}" for inner in _paths(value))
        else:
            yield name


_MAPPER: Final = (
    "Let the provider put {path} into access tokens (Keycloak: Clients > CLIENT > Client scopes > "
    "CLIENT-dedicated > Add mapper), ask for a scope that has it, set SEARCH_USER_INFO where only "
    "userinfo says it, or correct the name in {setting}."
)
_FIXES: Final = {
    "audience_required": "Add an audience mapper for it (Keycloak: Clients > CLIENT > Client "
    "scopes > CLIENT-dedicated > Add mapper > Audience, added to the access token), or change "
    "AUDIENCE_REQUIRED.",
    "scopes_required": "Ask for the scope with SCOPES or CLIENT_CREDENTIALS_SCOPES, and let the "
    "client have it (Keycloak: Clients > CLIENT > Client scopes).",
    "roles_required": "Give the caller the role and let the client see it (Keycloak: Users > Role "
    "mapping, Client > Full scope allowed), or set ROLES_CLAIM.",
    "groups_required": "Add a group membership mapper and the caller to the group, or set "
    "GROUPS_CLAIM.",
}
