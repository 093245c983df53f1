"""Settings about connections, callers' and upstreams': how many, how long, how slow."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from gateway.settings.model.types import Count

Patience = Annotated[float, Field(ge=0.1, le=3600, allow_inf_nan=False)]


class UpstreamsConnections(BaseModel):
    """The connections to each upstream, once for the process."""

    upstream_max_connections: Count = Field(
        1024,
        description="Connections to one upstream at once, for each worker; a request waits for one "
        "as long as `UPSTREAM_CONNECT_TIMEOUT`, then the answer is 504.",
    )
    upstream_idle_timeout: Patience = Field(
        4.0,
        description="Seconds a connection to an upstream is kept without a request; less than the "
        "upstream keeps it.",
    )
    upstream_connection_lifetime: Patience = Field(
        300.0,
        description="Seconds after which a connection to an upstream is not used again, so that "
        "its name is looked up anew.",
    )


class CallersConnections(BaseModel):
    """The connections of callers, once for the process."""

    max_connections: Count = Field(
        10_000,
        description="Connections of callers at once, for each worker; beyond, the answer is 503. "
        "No more than half of the file descriptors the process may have.",
    )
    max_connections_per_address: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        0,
        description="Connections at once from one address (IPv6: one /64) that is not among "
        "`TRUSTED_PROXIES`; beyond, the answer is 503. 0: no bound of its own.",
    )
    keepalive_timeout: Patience = Field(
        75.0, description="Seconds a connection is kept without a request."
    )
    request_head_timeout: Patience = Field(
        10.0,
        description="Seconds a caller has for a request head, counted from its first byte, of the "
        "first one from the connection's beginning; then the answer is 408.",
    )
    request_min_rate: Annotated[int, Field(ge=0, le=1_048_576)] = Field(
        1024,
        description="Least bytes a second of a request body that is waited for, over 10 seconds, "
        "else 408; and of a response that waits to be taken, over 60 seconds, else the connection "
        "is cut. 0: each may only not stand still for 60 seconds.",
    )
    request_timeout: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = Field(
        0.0,
        description="Seconds a request may take from its head to the end of the response; then the "
        "connection is cut. 0: no limit.",
    )
