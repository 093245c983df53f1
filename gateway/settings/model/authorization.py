"""Settings about what a token must say; each may be said again for a route."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from gateway.settings.model.types import ClaimRules, Requirements, ScopeRequirements, Text


class Rules(BaseModel):
    """What the token must say."""

    audience_required: Requirements = Field(
        (), description="Audiences of which the token must name one (comma: or, space: and)."
    )
    scopes_required: ScopeRequirements = Field(
        (), description="Scopes of which the token must hold one (comma: or, space: and)."
    )
    roles_required: Requirements = Field(
        (), description="Roles of which the token must hold one (comma: or, space: and)."
    )
    groups_required: Requirements = Field(
        (), description="Groups of which the token must name one (comma: or, space: and)."
    )
    claims_required: ClaimRules = Field(
        (),
        description="Claims the token must have, all of them: `name`, `name=value` (bars between "
        "several values) or `name=~pattern` (glob), e.g. `department=sales,level=~[1-3]`.",
    )
    claims_forbidden: ClaimRules = Field(
        (),
        description="Claims the token must not have, written like `CLAIMS_REQUIRED`: `name` "
        "forbids the claim, `name=value` that value.",
    )
    audience_claim: Text = Field("aud", description="Dotted path of the claim with the audiences.")
    scopes_claim: Text = Field("scope", description="Dotted path of the claim with the scopes.")
    roles_claim: Text = Field(
        "realm_access.roles", description="Dotted path of the claim with the roles."
    )
    groups_claim: Text = Field("groups", description="Dotted path of the claim with the groups.")
    insecure_accept_any_audience: bool = Field(
        False,
        description="Take callers' tokens without `AUDIENCE_REQUIRED`, made for whatever API.",
    )
    leeway: Annotated[float, Field(ge=0, le=120, allow_inf_nan=False)] = Field(
        30.0, description="Seconds the clocks of provider and gateway may differ; at most 120."
    )
