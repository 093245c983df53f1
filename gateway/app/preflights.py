"""Which routes let CORS preflights through, and what is taken out of their queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.authentication.preflight import OpenPreflights
from gateway.authentication.token_carriers import ACCESS_TOKEN
from gateway.oauth.credentials import Kind, names_of

if TYPE_CHECKING:
    from gateway.settings import Settings


def open_preflights(settings: Settings) -> OpenPreflights | None:
    """Return what lets preflights through, None where they are authenticated like the rest."""
    if settings.run_on_preflight:
        return None
    kinds = set()
    if "query" in settings.password_param_type:
        kinds.add(Kind.PASSWORD)
    if "query" in settings.client_credentials_param_type:
        kinds.add(Kind.CLIENT_CREDENTIALS)
    token = {ACCESS_TOKEN} if "query" in settings.bearer_token_param_type else set()
    if "query" in settings.refresh_token_param_type and settings.refresh_token_param_name:
        token.add(settings.refresh_token_param_name)
    return OpenPreflights(names_of(kinds) | token)
