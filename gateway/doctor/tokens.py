"""Probes of the tokens that the logins gave: do they verify, for whom, how long, how large."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.app.routes import policy_of
from gateway.authorization import Permit, Policy, decide
from gateway.doctor.clocks import compare_clocks
from gateway.doctor.findings import failure, fine, warning
from gateway.oauth.claims import Expectation, InvalidTokenError, OpaqueTokenError, verify
from gateway.oauth.jws import ASYMMETRIC_ALGORITHMS, verify_signature
from gateway.oauth.strict_json import StrictJSONError, is_number, read_object

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from gateway.authorization import Deny
    from gateway.doctor.findings import Finding
    from gateway.doctor.patient import Patient
    from gateway.oauth.claims import Claims
    from gateway.oauth.tokens import TokenSet
    from gateway.settings import Settings

# What Tomcat, nginx, Jetty and Node take for a field or for the whole head unless told otherwise.
USUAL_HEADER_LIMIT: Final = 8192
MANY: Final = 3  # lives shorter than so many margins are spent mostly on logging in


async def probe_tokens(patient: Patient) -> AsyncIterator[Finding]:
    """Yield what upstreams and callers would notice about each token."""
    for grant, token_set in patient.tokens.items():
        for finding in _look(patient, grant, token_set):
            yield finding
    if patient.metadata is not None and not patient.clock_compared:
        yield warning(
            "the provider says no Date and gave no token, so the clocks are not compared",
            "Name a user with --user, and keep both clocks with NTP.",
        )


def _look(patient: Patient, grant: str, token_set: TokenSet) -> Iterator[Finding]:
    yield from _size(grant, token_set)
    if patient.metadata is None or patient.key_set is None:
        return
    settings = patient.settings
    expectation = Expectation(patient.metadata.issuer, settings.client_id, leeway=settings.leeway)
    now = patient.asked.now()
    yield from _clock(patient, token_set)
    try:
        verified = verify(token_set.access_token, patient.key_set, expectation, now)
    except OpaqueTokenError:
        yield warning(
            f"the access token of {grant} is opaque, so the provider is asked about each",
            "Let the provider give JWT access tokens, if it can.",
        )
        return
    except InvalidTokenError as exc:
        yield failure(
            f"the access token of {grant} does not verify: {exc}",
            "Compare the token's header and claims with ISSUER, the key set and the clocks.",
        )
        return
    yield fine(f"the access token of {grant} verifies")
    yield from _lifetime(settings, grant, verified.claims.exp - (verified.claims.iat or now))
    yield from _rules(settings, grant, verified.claims)


def _clock(patient: Patient, token_set: TokenSet) -> Iterator[Finding]:
    """Compare clocks by when a token was made, if its signature is the provider's."""
    if patient.clock_compared or patient.key_set is None:
        return
    try:
        signed = verify_signature(token_set.access_token, patient.key_set, ASYMMETRIC_ALGORITHMS)
        made = read_object(signed.payload).get("iat")
    except (InvalidTokenError, StrictJSONError):
        return
    if is_number(made):
        patient.clock_compared = True
        yield compare_clocks(patient, float(made))


def _lifetime(settings: Settings, grant: str, lifetime: float) -> Iterator[Finding]:
    text = f"access tokens of {grant} live {lifetime:.0f} seconds, CACHE_MARGIN takes off "
    text += f"{settings.cache_margin:g}"
    fix = (
        "Raise the lifetime (Keycloak: Realm settings > Tokens > Access Token Lifespan, or the "
        "client's under Advanced) or lower CACHE_MARGIN."
    )
    if lifetime <= settings.cache_margin:
        yield failure(f"{text}: none is kept, and every request is a login", fix)
    elif lifetime < MANY * settings.cache_margin:
        yield warning(f"{text}: most of their life is not used", fix)


def _rules(settings: Settings, grant: str, claims: Claims) -> Iterator[Finding]:
    """Judge by each rule alone, with the gateway's own judgement."""
    policy = policy_of(settings)
    for requirement in policy.requirements:
        decision = decide(Policy((requirement,)), claims.raw)
        wanted = ", ".join(" ".join(sorted(each)) for each in requirement.alternatives)
        yield _verdict(requirement.name, requirement.path, grant, wanted, decision)
    if settings.audience_required or settings.audience_claim != "aud" or claims.aud:
        return
    yield warning(
        f"the access token of {grant} has no aud: any API that trusts the provider takes it",
        "Add an audience mapper (Keycloak: Client scopes > SCOPE > Mappers > Audience) and set "
        "AUDIENCE_REQUIRED.",
    )


def _verdict(name: str, path: str, grant: str, wanted: str, decision: Permit | Deny) -> Finding:
    setting = name.upper()
    if isinstance(decision, Permit):
        return fine(f"the access token of {grant} satisfies {setting}")
    what = f"the claim {path} of the access token of {grant} lacks what {setting} asks: {wanted}"
    # Users' tokens come from the same client, so an audience concerns them too; what else the
    # client lacks as itself matters to nobody while it does not call.
    shared = grant == "password" or name == "audience_required"
    return (failure if shared else warning)(what, _FIXES[name])


def _size(grant: str, token_set: TokenSet) -> Iterator[Finding]:
    size = len("Authorization: Bearer ") + len(token_set.access_token)
    if size > USUAL_HEADER_LIMIT:
        yield failure(
            f"with the access token of {grant} the Authorization field has {size} bytes; many "
            f"servers take {USUAL_HEADER_LIMIT}",
            "Put less into the token (Keycloak: Client > Settings > Full scope allowed off, fewer "
            "mappers), or raise the upstreams' limit.",
        )
    elif size > USUAL_HEADER_LIMIT // 2:
        yield warning(
            f"with the access token of {grant} the Authorization field has {size} bytes",
            f"Many servers take {USUAL_HEADER_LIMIT} for the whole head: keep the token small.",
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
