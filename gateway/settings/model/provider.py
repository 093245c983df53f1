"""Settings about the provider; each may be said again for a provider of the file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, SecretStr

from gateway.oauth.client_auth import AssertionAudience, AuthMethod
from gateway.settings import values
from gateway.settings.model.types import CaFile, ClientAlg, Count, Hosts, Seconds


class Registration(BaseModel):
    """The provider, and the gateway's registration there."""

    issuer: Annotated[str, AfterValidator(values.read_issuer)] = Field(
        "", description="Issuer identifier of the provider, or its discovery URL. Required."
    )
    client_id: str = Field(
        "", description="The gateway's client identifier at the provider. Required for `password`."
    )
    client_secret: SecretStr = Field(
        SecretStr(""),
        description="The gateway's client secret. Required for `password`, unless `CLIENT_AUTH` "
        "does without.",
    )
    client_auth: AuthMethod | None = Field(
        None,
        description="How the gateway authenticates at the token endpoint: `client_secret_basic`, "
        "`client_secret_post`, `client_secret_jwt`, `private_key_jwt`, `tls_client_auth`, "
        "`self_signed_tls_client_auth` or `none`. Unset: as the provider's metadata says, else "
        "the first.",
    )
    client_alg: ClientAlg | None = Field(
        None,
        description="Signature algorithm of `private_key_jwt` (`RS256` to `RS512`, `PS256` to "
        "`PS512`, `ES256` to `ES512`, `EdDSA`) or `client_secret_jwt` (`HS256` to `HS512`). "
        "Unset: what the key is for, `RS256` for RSA; `HS256` with a secret.",
    )
    client_key_file: Path | None = Field(
        None,
        description="Private key, PEM or JWK: of `private_key_jwt`, or of `CLIENT_CERT_FILE`. For "
        "`private_key_jwt` a missing one is generated there; unset: in "
        "`~/.local/state/bearergate/client_key.pem`.",
    )
    client_cert_file: Path | None = Field(
        None,
        description="PEM certificate shown to the provider when it asks for one, with its key "
        "unless that is in `CLIENT_KEY_FILE`. Required for the TLS methods.",
    )
    client_assertion_audience: AssertionAudience = Field(
        "issuer",
        description="Whom the JWT of `private_key_jwt` and `client_secret_jwt` is for: `issuer`, "
        "or `token_endpoint` for a provider that insists on it.",
    )
    introspection_endpoint: Annotated[str, AfterValidator(values.read_endpoint)] = Field(
        "", description="Where the provider is asked about tokens (RFC 7662). Unset: as discovered."
    )
    userinfo_endpoint: Annotated[str, AfterValidator(values.read_endpoint)] = Field(
        "", description="Where the provider is asked about users. Unset: as discovered."
    )
    insecure_allow_http_issuer: bool = Field(
        False, description="Accept an `http:` issuer on a host other than loopback."
    )
    idp_ca_file: CaFile | None = Field(
        None, description="PEM file with the trust anchors for the provider. Unset: the system's."
    )
    idp_endpoint_hosts: Hosts = Field(
        (),
        description="Hosts beside the issuer's own where the provider's endpoints may be, as "
        "`host` or `host:port`; those elsewhere are refused.",
    )


class ProviderCalls(BaseModel):
    """How the provider is called."""

    idp_timeout: Seconds = Field(
        5.0,
        description="Seconds one call to the provider may take, with the wait for its turn.",
    )
    idp_connect_timeout: Seconds = Field(
        2.0, description="Seconds connecting to the provider may take."
    )
    idp_max_concurrency: Count = Field(
        64, description="Calls to the provider that may be under way at once."
    )
    idp_max_queue: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        512, description="Calls that may wait for their turn; beyond, the answer is 503 at once."
    )
    idp_tell_caller_address: bool = Field(
        False,
        description="Say in each login's `X-Forwarded-For` which address it is for. The provider "
        "must trust the gateway as a proxy for that.",
    )


class FailedLogins(BaseModel):
    """How many refused logins reach the provider."""

    failed_logins_max: Annotated[int, Field(ge=1, le=1000)] = Field(
        5,
        description="Refused logins of a user from one address that reach the provider within "
        "`FAILED_LOGINS_WINDOW`; beyond, the answer is 429. Three times as many of a user from all "
        "addresses, twenty times as many from an address over all users, and as many opaque "
        "tokens from one.",
    )
    failed_logins_window: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)] = Field(
        60.0, description="Seconds for which a refused login counts."
    )
    failed_logins_spacing: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] = Field(
        1.1,
        description="Seconds a login waits after the same user's last refused one; Keycloak locks "
        "a user after two failures within a second.",
    )
