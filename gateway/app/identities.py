"""Putting together what is told about callers, and which fields no caller may send."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.app.parts import made_of
from gateway.identity import Identity, TokenField, plain_names, told_of_anonymous
from gateway.identity.consumers import Matching
from gateway.settings.identity import (
    IN_AUTHORIZATION,
    NO_TOKEN,
    configured_names,
    find_anonymous,
)
from gateway.settings.model import identity as model

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AsyncExitStack

    from gateway.app.parts import Parts
    from gateway.settings import RoutePlan, Settings

_SETTINGS = model.Identity.model_fields
_MADE_OF = (*_SETTINGS, *model.Consumers.model_fields, "scopes_claim")


def reserved_names(plans: Iterable[RoutePlan]) -> frozenset[bytes]:
    """Return the fields that some route fills or reads a secret from: upstreams may be shared."""
    return plain_names(name for plan in plans for name in configured_names(plan.settings))


async def obtain_identity(settings: Settings, parts: Parts) -> Identity | None:
    """Return what is told about callers, the same for the same settings; ``None`` for nothing."""
    if all(getattr(settings, name) == field.default for name, field in _SETTINGS.items()):
        return None

    async def open_identity(_: AsyncExitStack) -> Identity:
        return _identity(settings)

    return await parts.obtain(made_of(settings, _MADE_OF, "identity"), open_identity)


def _identity(settings: Settings) -> Identity:
    anonymous = find_anonymous(settings)
    consumers = None
    if settings.consumer_claims:
        consumers = Matching.of(
            settings.consumers,
            settings.consumer_claims,
            settings.consumer_by,
            optional=settings.consumer_optional,
        )
    return Identity(
        upstream=settings.upstream_headers,
        downstream=settings.downstream_headers,
        token=_token(settings.upstream_access_token_header),
        id_token=settings.upstream_id_token_header,
        introspected=settings.upstream_introspection_header,
        user_info=settings.upstream_user_info_header,
        scopes=settings.scopes_claim if settings.authenticated_headers else "",
        credential=settings.credential_claim,
        groups=settings.authenticated_groups_claim,
        consumers=consumers,
        anonymous=None if anonymous is None else told_of_anonymous(anonymous),
        answered=plain_names(name for name, _ in settings.downstream_headers),
    )


def _token(written: str) -> TokenField | None:
    if written == NO_TOKEN:
        return None
    if written == IN_AUTHORIZATION:
        return TokenField("Authorization", bearer=True)
    name, colon, _ = written.partition(":")
    return TokenField(name, bearer=bool(colon))
