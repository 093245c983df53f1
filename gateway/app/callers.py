"""Putting together how callers show who they are by a token of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.authentication.bearer import BearerAuthenticator
from gateway.authentication.token_carriers import BASIC_TOKEN, TokenCarriers
from gateway.oauth.credentials import Challenge, read_bearer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.authentication.callers_tokens import CallersTokens
    from gateway.authentication.carriers import Carriers
    from gateway.settings import Settings


def bearer_authenticators(
    settings: Settings, tokens: CallersTokens, exchange: Carriers, realm: str
) -> Iterator[BearerAuthenticator]:
    """Yield the ways of bringing a token; ``exchange`` finds what must not come beside one."""
    if "bearer" not in settings.auth_methods:
        return
    places = settings.bearer_token_param_type
    others = (exchange,) if exchange.query or exchange.body else ()
    carriers = TokenCarriers(
        read_bearer if "header" in places else None,
        query="query" in places,
        body="body" in places,
        hide=settings.hide_credentials,
        others=others,
    )
    yield BearerAuthenticator(carriers, tokens, Challenge("Bearer", realm))
    if settings.bearer_token_as_password:
        as_password = replace(BASIC_TOKEN, hide=settings.hide_credentials, others=others)
        yield BearerAuthenticator(as_password, tokens, Challenge("Basic", realm))
