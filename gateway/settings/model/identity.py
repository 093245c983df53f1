"""Settings about what upstream and caller are told about who is calling."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from gateway.identity.consumers import Consumer
from gateway.settings import identity
from gateway.settings.model.types import Names, Text
from gateway.settings.values import split_list

HeaderClaims = Annotated[
    tuple[tuple[str, str], ...], BeforeValidator(identity.read_header_claims), Field(max_length=32)
]
AnswerField = Annotated[str, AfterValidator(identity.read_optional_name)]
ConsumerFields = Annotated[
    tuple[Literal["username", "custom_id", "id"], ...],
    BeforeValidator(split_list),
    Field(min_length=1, max_length=3),
]


class Identity(BaseModel):
    """What is said about a caller."""

    upstream_headers: HeaderClaims = Field(
        (),
        description="Header fields of the upstream request and the dotted paths of the claims in "
        "them, as `X-User=preferred_username,X-Email=email`. Nobody else can send these fields.",
    )
    downstream_headers: HeaderClaims = Field(
        (), description="The same for the response to the caller."
    )
    upstream_access_token_header: Annotated[str, AfterValidator(identity.read_token_header)] = (
        Field(
            "authorization:bearer",
            description="Header field with the access token: a name, or a name and `:bearer` for "
            "`Bearer` before it; `none` sends none.",
        )
    )
    upstream_id_token_header: AnswerField = Field(
        "",
        description="Header field with the ID token that came with the access token, verified for "
        "the client it was issued to. Empty: it is not sent, kept or looked at.",
    )
    upstream_introspection_header: AnswerField = Field(
        "",
        description="Header field with the provider's answer about an introspected token, JSON in "
        "base64. Empty: it is not sent.",
    )
    upstream_user_info_header: AnswerField = Field(
        "", description="The same for the answer that `SEARCH_USER_INFO` asks for."
    )
    authenticated_headers: bool = Field(
        False,
        description="Send `X-Credential-Identifier`, `X-Authenticated-Scope` (from `SCOPES_CLAIM`) "
        "and, unless a client calls for itself, `X-Authenticated-UserId` (from `sub`).",
    )
    credential_claim: Text = Field(
        "sub", description="Dotted path of the claim in `X-Credential-Identifier`."
    )
    authenticated_groups_claim: str = Field(
        "",
        description="Dotted path of the claim in `X-Authenticated-Groups`, e.g. `groups`. Empty: "
        "it is not sent.",
    )
    consumer_claims: Names = Field(
        (),
        description="Dotted paths of claims by which a caller is one of `consumers`; the first "
        "that matches counts. `X-Consumer-ID`, `-Username`, `-Custom-ID` and `-Groups` are sent.",
    )
    consumer_by: ConsumerFields = Field(
        ("username", "custom_id"),
        description="Which of a consumer's `username`, `custom_id` and `id` these claims match.",
    )
    consumer_optional: bool = Field(
        False, description="Let callers through that are no consumer; else the answer is 403."
    )
    anonymous: str = Field(
        "",
        description="Username or id of the consumer that callers without credentials are, with "
        "`X-Anonymous-Consumer: true`. Wrong credentials are 401 all the same. Empty: they are "
        "needed.",
    )


class Consumers(BaseModel):
    """Whom the operator knows by name, once for the gateway."""

    consumers: Annotated[tuple[Consumer, ...], BeforeValidator(identity.read_consumers)] = Field(
        (),
        description="In the file only: a list of consumers, each with `username`, `custom_id` or "
        "both, and with `id` and `groups` where wanted.",
    )
