"""Every setting: its name, type, default, bounds and meaning.

Rule: one value is right or wrong here on its own; what two settings say together is judged in
``conflicts``. The README's table is made of this module.
"""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from gateway.oauth.client_auth import AssertionAudience, AuthMethod
from gateway.settings import values

Method = Literal["password", "client_credentials"]
Place = Literal["header", "query", "body"]
ClientAlg = Literal[  # RFC 7518 §3.1, RFC 8037 §3.1
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "HS256",
    "HS384",
    "HS512",
]

Names = Annotated[tuple[str, ...], BeforeValidator(values.split_list)]
Methods = Annotated[
    tuple[Method, ...], BeforeValidator(values.read_methods), Field(min_length=1, max_length=2)
]
Places = Annotated[
    tuple[Place, ...], BeforeValidator(values.split_list), Field(min_length=1, max_length=3)
]
Requirements = Annotated[tuple[frozenset[str], ...], BeforeValidator(values.read_requirements)]
Scope = Annotated[str, BeforeValidator(values.read_scope)]
Copied = Annotated[tuple[str, ...], BeforeValidator(values.read_copied)]
Pairs = Annotated[tuple[tuple[str, str], ...], BeforeValidator(values.read_pairs)]
Networks = Annotated[tuple[values.Network, ...], BeforeValidator(values.read_networks)]
CacheSecret = Annotated[tuple[SecretStr, ...], BeforeValidator(values.read_cache_secret)]
Hosts = Annotated[tuple[str, ...], BeforeValidator(values.read_hosts)]
Lower = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)
CaFile = Annotated[Path, AfterValidator(values.read_ca_file)]
Text = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x20\x7f]+$")]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
Pause = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]


class Settings(BaseSettings):
    """What an operator may say, each value already checked."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=False
    )

    # The provider, and the gateway's registration there.
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

    # Callers and their credentials.
    auth_methods: Methods = Field(
        ("password", "client_credentials"),
        description="Enabled methods: `password`, `client_credentials`.",
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
    hide_credentials: bool = Field(
        True, description="Remove the credentials from the request sent on."
    )

    # The token request.
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

    # What the token must say.
    audience_required: Requirements = Field(
        (), description="Audiences of which the token must name one (comma: or, space: and)."
    )
    scopes_required: Requirements = Field(
        (), description="Scopes of which the token must hold one (comma: or, space: and)."
    )
    roles_required: Requirements = Field(
        (), description="Roles of which the token must hold one (comma: or, space: and)."
    )
    groups_required: Requirements = Field(
        (), description="Groups of which the token must name one (comma: or, space: and)."
    )
    audience_claim: Text = Field("aud", description="Dotted path of the claim with the audiences.")
    scopes_claim: Text = Field("scope", description="Dotted path of the claim with the scopes.")
    roles_claim: Text = Field(
        "realm_access.roles", description="Dotted path of the claim with the roles."
    )
    groups_claim: Text = Field("groups", description="Dotted path of the claim with the groups.")
    leeway: Annotated[float, Field(ge=0, le=120, allow_inf_nan=False)] = Field(
        30.0, description="Seconds the clocks of provider and gateway may differ; at most 120."
    )

    # The token cache.
    redis_url: Annotated[SecretStr, AfterValidator(values.read_redis)] = Field(
        SecretStr(""),
        description="Redis for a cache shared by many gateways: `redis://`, `rediss://`, "
        "`unix://`, `redis+sentinel://host,host/master-name` or "
        "`redis+cluster://host,host`, each with `user:password@` if needed. Certificates: "
        "`?ssl_ca_certs=`, `ssl_certfile=`, `ssl_keyfile=`; with Sentinel and Cluster also "
        "`tls=true`. Unset: in memory only.",
    )
    cache_secret: CacheSecret = Field(
        default_factory=lambda: (SecretStr(secrets.token_hex(32)),),
        description="Keys the cache; at least 32 bytes. Required with Redis, else random for each "
        "process. Two as `new,old` while rotating.",
    )
    cache_ttl_max: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = Field(
        300.0,
        description="Seconds a token is kept at most: how long a changed password or a disabled "
        "user may go unnoticed.",
    )
    cache_ttl_neg: Annotated[float, Field(ge=0, le=30, allow_inf_nan=False)] = Field(
        5.0, description="Seconds refused credentials are answered from memory; 0 to 30."
    )
    revoke_on_purge: bool = Field(
        False,
        description="End the provider's session behind an entry that is purged, and, without "
        "Redis, behind every entry at shutdown.",
    )
    cache_margin: Pause = Field(
        10.0, description="Seconds before its expiry at which a token counts as expired."
    )
    cache_max_entries: Annotated[int, Field(ge=1, le=10_000_000)] = Field(
        10_000, description="Entries of the cache in memory."
    )

    # Refused logins.
    failed_logins_max: Annotated[int, Field(ge=1, le=1000)] = Field(
        5,
        description="Refused logins of a user from one address that reach the provider within "
        "`FAILED_LOGINS_WINDOW`; beyond, the answer is 429. Three times as many of a user from all "
        "addresses, twenty times as many from an address over all users.",
    )
    failed_logins_window: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)] = Field(
        60.0, description="Seconds for which a refused login counts."
    )
    failed_logins_spacing: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] = Field(
        1.1,
        description="Seconds a login waits after the same user's last refused one; Keycloak locks "
        "a user after two failures within a second.",
    )

    # The upstream.
    upstream_url: Annotated[str, AfterValidator(values.read_upstream_url)] = Field(
        "", description="Where requests go; a path in it is put before theirs. Required."
    )
    upstream_ca_file: CaFile | None = Field(
        None, description="PEM file with the trust anchors for the upstream. Unset: the system's."
    )
    upstream_timeout: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)] = Field(
        60.0, description="Seconds until the upstream's response head."
    )
    upstream_connect_timeout: Seconds = Field(
        5.0, description="Seconds connecting to the upstream may take."
    )

    # The listeners.
    host: Text = Field("0.0.0.0", description="Address of the proxy port.")
    port: Port = Field(8000, description="Proxy port.")
    admin_host: Text = Field("127.0.0.1", description="Address of the admin port.")
    admin_port: Port = Field(8001, description="Admin port: `/livez`, `/readyz`, `/metrics`.")
    max_body_bytes: Annotated[int, Field(ge=0)] = Field(
        0, description="Largest request body; over it the answer is 413. 0: no limit."
    )
    max_header_bytes: Annotated[int, Field(ge=1024, le=1_048_576)] = Field(
        32_768,
        description="Largest header section and largest single field; over it the answer is 431.",
    )
    trusted_proxies: Networks = Field(
        (), description="Networks whose `Forwarded` and `X-Forwarded-*` fields are believed."
    )
    shutdown_grace: Pause = Field(30.0, description="Seconds a drain waits for requests in flight.")
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Lower] = Field(
        "info", description="Least level written: `debug`, `info`, `warning`, `error`."
    )
    log_format: Annotated[Literal["json", "text"], Lower] = Field(
        default_factory=lambda: "text" if sys.stderr.isatty() else "json",
        description="`json` or `text`. Unset: `text` on a terminal, else `json`.",
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
