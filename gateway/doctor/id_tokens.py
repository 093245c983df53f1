"""Probe of the ID tokens that came with the logins, where upstreams are to get them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.doctor.findings import failure, fine, warning
from gateway.oauth.claims import Expectation
from gateway.oauth.id_token import verify_id_token
from gateway.oauth.jws import InvalidTokenError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.doctor.findings import Finding
    from gateway.doctor.patient import Patient


async def probe_id_tokens(patient: Patient) -> AsyncIterator[Finding]:
    """Yield the gateway's own judgement of each, beside an access token that verified."""
    if not patient.settings.upstream_id_token_header:
        return
    for grant in patient.claims:
        id_token = patient.tokens[grant].id_token
        if id_token is not None:
            yield _judge(patient, grant, id_token)
            continue
        # That a client gets none matters to nobody while it does not call.
        yield (failure if grant == "password" else warning)(
            f"with the access token of {grant} comes no ID token",
            "Add openid to SCOPES or CLIENT_CREDENTIALS_SCOPES, or unset UPSTREAM_ID_TOKEN_HEADER.",
        )


def _judge(patient: Patient, grant: str, id_token: str) -> Finding:
    assert patient.metadata is not None  # noqa: S101 - without them no access token verified
    assert patient.key_set is not None  # noqa: S101 - as above
    settings = patient.settings
    expectation = Expectation(patient.metadata.issuer, settings.client_id, leeway=settings.leeway)
    try:
        verify_id_token(
            id_token,
            patient.key_set,
            expectation,
            patient.asked.now(),
            access_token=patient.tokens[grant].access_token,
            subject=str(patient.claims[grant].get("sub")),
        )
    except InvalidTokenError as exc:
        return failure(
            f"the ID token of {grant} does not verify: {exc}",
            "Have the provider sign the client's ID tokens with a key of its key set, as RS256 or "
            "ES256, for CLIENT_ID and with the sub of the access token.",
        )
    return fine(f"the ID token of {grant} verifies")
