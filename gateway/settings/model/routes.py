"""What the file says of a provider and of a route: its own settings, and the gateway's again.

Rule: a setting is written down once, in its group. A route has the groups whose settings make
sense for a part of the API.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from gateway.settings import places, values
from gateway.settings.model.authentication import Callers, TokenExchangeRequest, TokenRequest
from gateway.settings.model.authorization import Rules
from gateway.settings.model.cache import Lifetimes
from gateway.settings.model.identity import Identity
from gateway.settings.model.network import UpstreamCalls
from gateway.settings.model.provider import FailedLogins, ProviderCalls, Registration
from gateway.settings.model.types import AnyMethods

Name = Annotated[str, AfterValidator(places.read_name)]

_STRICT = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class RoutePlace(BaseModel):
    """Which requests a route takes and where they go."""

    name: Name = Field("", description="What the route is called in logs and problems. Required.")
    hosts: Annotated[tuple[str, ...], BeforeValidator(places.read_route_hosts)] = Field(
        (),
        description="Hosts, exact or as `*.example` for every name that ends so; without a port. "
        "Empty: any.",
    )
    paths: Annotated[tuple[str, ...], BeforeValidator(places.read_paths)] = Field(
        (),
        description="Prefixes of the raw path that end where a segment does: `/orders` takes "
        "`/orders` and `/orders/1`, not `/orders2`. Empty: any.",
    )
    methods: Annotated[frozenset[str], BeforeValidator(places.read_http_methods)] = Field(
        frozenset(), description="Methods, in capitals. Empty: any."
    )
    upstream: Annotated[str, AfterValidator(values.read_upstream_url)] = Field(
        "", description="Where requests go, like `UPSTREAM_URL`, which is the default."
    )
    strip_path: bool = Field(
        False, description="Leave the prefix of `paths` that matched out of the request sent on."
    )
    preserve_host: bool = Field(
        False, description="Send the caller's `Host` on instead of the upstream's."
    )
    provider: str = Field(
        "", description="Name of one of `providers`. Empty: the provider of `ISSUER`."
    )
    auth_methods: AnyMethods = Field(
        ("password", "client_credentials"),
        description="Enabled methods, like `AUTH_METHODS`, which is the default. `[]` makes the "
        "route public.",
    )


class RouteSettings(
    RoutePlace,
    Callers,
    TokenRequest,
    TokenExchangeRequest,
    Rules,
    Identity,
    Lifetimes,
    UpstreamCalls,
    ProviderCalls,
):
    """One route of the file."""

    model_config = _STRICT


class ProviderSettings(Registration, ProviderCalls, FailedLogins):
    """One provider of the file; what is not said about calls and logins is as for the gateway."""

    model_config = _STRICT
