"""Settings about the token cache."""

from __future__ import annotations

import secrets
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, SecretStr

from gateway.settings import values
from gateway.settings.model.types import CacheSecret, Pause


class Cache(BaseModel):
    """Where tokens are kept, once for the process."""

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
    cache_max_entries: Annotated[int, Field(ge=1, le=10_000_000)] = Field(
        10_000, description="Entries of the cache in memory."
    )
    revoke_on_purge: bool = Field(
        False,
        description="End the provider's session behind an entry that is purged, and, without "
        "Redis, behind every entry at shutdown.",
    )


class Lifetimes(BaseModel):
    """How long tokens are kept; each may be said again for a route."""

    cache_ttl_max: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = Field(
        300.0,
        description="Seconds a token is kept at most: how long a changed password or a disabled "
        "user may go unnoticed.",
    )
    cache_ttl_neg: Annotated[float, Field(ge=0, le=30, allow_inf_nan=False)] = Field(
        5.0, description="Seconds refused credentials are answered from memory; 0 to 30."
    )
    cache_margin: Pause = Field(
        10.0, description="Seconds before its expiry at which a token counts as expired."
    )
