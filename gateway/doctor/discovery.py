"""Probes of what the provider publishes: its metadata, its keys, its clock."""

from __future__ import annotations

from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway.doctor.clocks import compare_clocks
from gateway.doctor.findings import failure, fine
from gateway.doctor.patient import MAX_BYTES
from gateway.errors import ProviderError
from gateway.oauth.key_set import read_key_set
from gateway.oauth.metadata import discovery_url, read_metadata
from gateway.oauth.strict_json import StrictJSONError, read_object

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from gateway.doctor.findings import Finding
    from gateway.doctor.patient import Patient
    from gateway.oauth.key_set import KeySet
    from gateway.provider.transport import Answer

_OK, _FORBIDDEN, _NOT_FOUND = 200, 403, 404


async def probe_metadata(patient: Patient) -> AsyncIterator[Finding]:
    """Yield what is wrong with the way to the provider, its document and its clock."""
    url = discovery_url(patient.settings.issuer)
    try:
        answer = await patient.transport.get(url, max_bytes=MAX_BYTES)
    except ProviderError as exc:
        yield failure(
            f"{url}: {exc}",
            "Check host and port of ISSUER, that the provider runs and that this machine may "
            "connect to it; behind an authority of your own set IDP_CA_FILE.",
        )
        return
    for finding in _clock(patient, answer):
        yield finding
    if answer.status != _OK:
        yield _not_there(url, answer)
        return
    yield _document(patient, answer)


async def probe_keys(patient: Patient) -> AsyncIterator[Finding]:
    """Yield whether there are keys to verify tokens with."""
    if patient.metadata is None:
        return
    url = patient.metadata.jwks_uri
    try:
        patient.key_set = await _fetch_keys(patient, url)
    except ProviderError as exc:
        yield failure(
            f"key set {url}: {exc}",
            "The provider must publish a key with use sig: in Keycloak, Realm settings > Keys > "
            "Add provider, rsa-generated, use SIG, enabled and active.",
        )
        return
    algorithms = sorted({each for key in patient.key_set.keys for each in key.algorithms})
    yield fine(f"the key set is usable, for {', '.join(algorithms)}")


async def _fetch_keys(patient: Patient, url: str) -> KeySet:
    answer = await patient.transport.get(url, max_bytes=MAX_BYTES)
    if answer.status != _OK:
        raise ProviderError(f"the answer has status {answer.status}")
    return read_key_set(answer.body)


def _not_there(url: str, answer: Answer) -> Finding:
    said = _error_of(answer.body)
    if answer.status == _FORBIDDEN or "enabled" in said or "disabled" in said:
        return failure(
            f"{url} answers {answer.status}{_quoted(said)}",
            "The realm is disabled, or an address in between forbids it: in Keycloak, Realm "
            "settings > Enabled.",
        )
    if answer.status == _NOT_FOUND:
        return failure(
            f"{url} answers 404{_quoted(said)}",
            "ISSUER names a realm that is not there; Keycloak's is https://HOST/realms/REALM, "
            "with /auth before /realms in old versions.",
        )
    return failure(
        f"{url} answers {answer.status}{_quoted(said)}",
        "ISSUER must be the identifier whose discovery document this is; try the URL by hand.",
    )


def _document(patient: Patient, answer: Answer) -> Finding:
    settings = patient.settings
    try:
        metadata = read_metadata(
            answer.body,
            settings.issuer,
            insecure_allow_http=settings.insecure_allow_http_issuer,
            endpoint_hosts=settings.idp_endpoint_hosts,
        )
    except ProviderError as exc:
        named = _issuer_of(answer.body)
        if named and named != settings.issuer:
            return failure(
                f"the provider calls itself {named}, ISSUER says {settings.issuer}",
                f"Set ISSUER={named}, or make the provider use that name: in Keycloak, --hostname "
                "or Realm settings > Frontend URL.",
            )
        return failure(str(exc), "List hosts that are right in IDP_ENDPOINT_HOSTS.")
    patient.metadata = replace(
        metadata,
        introspection_endpoint=settings.introspection_endpoint or metadata.introspection_endpoint,
        userinfo_endpoint=settings.userinfo_endpoint or metadata.userinfo_endpoint,
    )
    return fine(f"the provider {metadata.issuer} is discovered")


def _clock(patient: Patient, answer: Answer) -> Iterator[Finding]:
    """Compare clocks by the ``Date`` field (RFC 9110 §6.6.1), which Keycloak does not send."""
    try:
        theirs = parsedate_to_datetime(answer.date).timestamp()
    except (TypeError, ValueError):
        return
    patient.clock_compared = True
    yield compare_clocks(patient, theirs)


def _issuer_of(body: bytes) -> str:
    """Return the issuer a document names, if that is one that can be shown."""
    try:
        issuer = read_object(body).get("issuer")
    except StrictJSONError:
        return ""
    shown = isinstance(issuer, str) and issuer.isprintable() and "@" not in urlsplit(issuer).netloc
    return issuer if isinstance(issuer, str) and shown else ""


def _error_of(body: bytes) -> str:
    try:
        said = read_object(body).get("error")
    except StrictJSONError:
        return ""
    return said[:80] if isinstance(said, str) and said.isprintable() else ""


def _quoted(said: str) -> str:
    return f" ({said})" if said else ""
