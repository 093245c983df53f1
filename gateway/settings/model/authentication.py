"""Settings about callers, their credentials and the token request, for all routes or for one."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from gateway.settings import values
from gateway.settings.model.types import Copied, Methods, Names, Pairs, Places, Scope


class Callers(BaseModel):
    """How callers show who they are."""

    auth_methods: Methods = Field(
        ("password", "client_credentials"),
        description="Enabled methods: `password`, `client_credentials`; `bearer` for callers that "
        "bring a JWT of the provider themselves, `introspection` for those whose token the "
        "provider is asked about, `refresh_token` for those that bring a refresh token.",
    )
    basic_grant: Literal["auto", "password", "client_credentials"] = Field(
        "auto",
        description="What a Basic pair means when both methods are on. `auto`: an id of "
        "`CLIENT_CREDENTIALS_IDS` is a client, any other a user first and then a client.",
    )
    client_credentials_ids: Names = Field(
        (), description="Glob patterns of client ids that are never tried as users, e.g. `svc-*`."
    )
    password_param_type: Places = Field(
        ("header",),
        description="Where `username` and `password` are looked for: `header`, `query`, `body`.",
    )
    client_credentials_param_type: Places = Field(
        ("header",),
        description="Where `client_id` and `client_secret` are looked for: `header`, `query`, "
        "`body`.",
    )
    search_user_info: bool = Field(
        False,
        description="Ask the provider's userinfo endpoint for more claims of users; those of the "
        "token go first.",
    )
    bearer_token_param_type: Places = Field(
        ("header",),
        description="Where a caller's token is looked for: `header` (`Authorization: Bearer`), "
        "`query` and `body` (`access_token`).",
    )
    bearer_token_as_password: bool = Field(
        False,
        description="Take the password of a Basic pair for a token when the user is empty or "
        "`oauth2accesstoken`, for tools that can do nothing but Basic.",
    )
    refresh_token_param_name: Annotated[str, AfterValidator(values.read_parameter_name)] = Field(
        "",
        description="Name of the header field or parameter with a caller's refresh token, e.g. "
        "`X-Refresh-Token`. Required for `refresh_token`: there is no standard name.",
    )
    refresh_token_param_type: Places = Field(
        ("header",),
        description="Where it is looked for: `header`, `query`, `body`.",
    )
    refresh_token_kept: Annotated[int, Field(ge=1, le=31_536_000)] = Field(
        1_209_600,
        description="Seconds after its last use for which the refresh token is kept that a "
        "provider gave in place of a caller's.",
    )
    run_on_preflight: bool = Field(
        True,
        description="Ask for credentials on CORS preflights too; `false` sends them on without "
        "credentials.",
    )
    hide_credentials: bool = Field(
        True, description="Remove the credentials from the request sent on."
    )


class TokenRequest(BaseModel):
    """What the token endpoint is asked."""

    scopes: Scope = Field(
        "openid",
        description="Scopes asked for with the password grant. Set and empty: none are sent.",
    )
    client_credentials_scopes: Scope = Field(
        "", description="Scopes asked for with the client credentials grant."
    )
    audience: str = Field("", description="`audience` parameter of the token request.")
    token_post_args: Pairs = Field(
        (), description="More fields of the token request, as `name=value,...`."
    )
    token_post_args_client: Copied = Field(
        (),
        description="Query parameters of the caller's request that go into the token request, "
        "e.g. `scope`, in place of the gateway's own.",
    )


class TokenExchangeRequest(BaseModel):
    """Whether and for what callers' tokens are exchanged before they are sent on."""

    token_exchange: bool = Field(
        False,
        description="Exchange the caller's token for one made for the upstream (RFC 8693), and "
        "send that on.",
    )
    token_exchange_audience: str = Field(
        "", description="`audience` the exchanged token is asked for, and has to name in `aud`."
    )
    token_exchange_scopes: Scope = Field(
        "", description="Scopes the exchanged token is asked for. Empty: none are sent."
    )
    token_exchange_resource: Annotated[str, AfterValidator(values.read_resource)] = Field(
        "", description="`resource` the exchanged token is asked for: a URI (RFC 8707)."
    )
    token_exchange_requested_token_type: Literal["access_token", "jwt"] = Field(
        "access_token", description="Type of token that is asked for: `access_token` or `jwt`."
    )
