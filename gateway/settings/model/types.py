"""The types of settings: each value is right or wrong on its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from gateway.settings import rules, values

Method = Literal["password", "client_credentials", "bearer", "introspection", "refresh_token"]
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
AnyMethods = Annotated[
    tuple[Method, ...], BeforeValidator(values.read_methods), Field(max_length=5)
]
Methods = Annotated[AnyMethods, Field(min_length=1)]
Places = Annotated[
    tuple[Place, ...], BeforeValidator(values.split_list), Field(min_length=1, max_length=3)
]
Requirements = Annotated[tuple[frozenset[str], ...], BeforeValidator(values.read_requirements)]
ScopeRequirements = Annotated[
    tuple[frozenset[str], ...], BeforeValidator(values.read_scope_requirements)
]
ClaimRules = Annotated[
    tuple[tuple[str, tuple[str, ...]], ...], BeforeValidator(rules.read_claim_rules)
]
Scope = Annotated[str, BeforeValidator(values.read_scope, json_schema_input_type=str | list[str])]
Copied = Annotated[tuple[str, ...], BeforeValidator(values.read_copied)]
Pairs = Annotated[tuple[tuple[str, str], ...], BeforeValidator(values.read_pairs)]
Networks = Annotated[tuple[values.Network, ...], BeforeValidator(values.read_networks)]
CacheSecret = Annotated[tuple[SecretStr, ...], BeforeValidator(values.read_cache_secret)]
Hosts = Annotated[tuple[str, ...], BeforeValidator(values.read_hosts)]
Origins = Annotated[tuple[str, ...], BeforeValidator(values.read_origins)]
Lower = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)
CaFile = Annotated[Path, AfterValidator(values.read_ca_file)]
Text = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x20\x7f]+$")]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
Pause = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
