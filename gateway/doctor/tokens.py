"""Probes of the tokens that the logins gave: do they verify, for whom, how long, how large."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.doctor.clocks import compare_clocks
from gateway.doctor.findings import failure, fine, warning
from gateway.oauth.claims import Expectation, InvalidTokenError, OpaqueTokenError, verify
from gateway.oauth.jws import ASYMMETRIC_ALGORITHMS, verify_signature
from gateway.oauth.strict_json import StrictJSONError, is_number, read_object

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from gateway.doctor.findings import Finding
    from gateway.doctor.patient import Patient
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
    patient.claims[grant] = verified.claims.raw


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
