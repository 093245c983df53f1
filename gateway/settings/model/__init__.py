"""Every setting: its name, type, default, bounds and meaning.

Rule: one value is right or wrong here on its own; what two settings say together is judged in
``conflicts``. A setting is a field of the group that says where it may be given; the README's
table is made of these groups.
"""

from __future__ import annotations

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from gateway.settings.model.authentication import Callers, TokenExchangeRequest, TokenRequest
from gateway.settings.model.authorization import Rules
from gateway.settings.model.cache import Cache, Lifetimes
from gateway.settings.model.connections import CallersConnections, UpstreamsConnections
from gateway.settings.model.identity import Consumers, Identity
from gateway.settings.model.network import (
    DefaultUpstream,
    Listeners,
    Logs,
    UpstreamCalls,
    WebSockets,
)
from gateway.settings.model.provider import FailedLogins, ProviderCalls, Registration


class Settings(  # pydantic orders fields from the last base to the first
    Logs,
    CallersConnections,
    UpstreamsConnections,
    Listeners,
    WebSockets,
    UpstreamCalls,
    DefaultUpstream,
    FailedLogins,
    Lifetimes,
    Cache,
    Consumers,
    Identity,
    Rules,
    TokenExchangeRequest,
    TokenRequest,
    Callers,
    ProviderCalls,
    Registration,
    BaseSettings,
):
    """What an operator may say, each value already checked."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=False
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic-settings'
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from the constructor alone: ``load`` knows which source said what."""
        return (init_settings,)
