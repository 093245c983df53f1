"""Settings about the upstream and about the ports the gateway listens on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from gateway.settings import values
from gateway.settings.model.types import (
    CaFile,
    Count,
    Lower,
    Networks,
    Origins,
    Pause,
    Port,
    Seconds,
    Text,
)


class DefaultUpstream(BaseModel):
    """The upstream of routes that name none."""

    upstream_url: Annotated[str, AfterValidator(values.read_upstream_url)] = Field(
        "",
        description="Where requests go; a path in it is put before theirs. A Unix socket is "
        "`http://unix:/run/app.sock`, with a path `http://unix:/run/app.sock:/path`. Required.",
    )


class UpstreamCalls(BaseModel):
    """How the upstream is called; each may be said again for a route."""

    encoded_slashes: Annotated[Literal["refuse", "keep"], Lower] = Field(
        "refuse",
        description="What becomes of `%2F` in a path: `refuse` answers 400, `keep` sends it on as "
        "it is, for upstreams to which it is no border between segments (GitLab, npm).",
    )
    upstream_ca_file: CaFile | None = Field(
        None,
        description="PEM file with the trust anchors for the upstream. SIGHUP reads it again. "
        "Unset: the system's.",
    )
    upstream_cert_file: Path | None = Field(
        None,
        description="PEM certificate shown to the upstream, with its key unless that is in "
        "`UPSTREAM_KEY_FILE`. SIGHUP reads both again. Unset: none.",
    )
    upstream_key_file: Path | None = Field(
        None, description="PEM private key of that certificate, without a passphrase."
    )
    upstream_timeout: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)] = Field(
        60.0, description="Seconds until the upstream's response head."
    )
    upstream_connect_timeout: Seconds = Field(
        5.0, description="Seconds connecting to the upstream may take."
    )


class WebSockets(BaseModel):
    """Connections that leave HTTP, once for the process."""

    websockets: bool = Field(
        True,
        description="Let authenticated WebSocket handshakes through and carry what follows. "
        "`false`: `Upgrade` is removed.",
    )
    websocket_origins: Origins = Field(
        (),
        description="Origins beside the gateway's own whose pages may open a WebSocket, as "
        "`https://app.example`, or `*` for all; others get 403.",
    )
    websocket_end_with_token: bool = Field(
        True, description="End a WebSocket when the access token it was opened with expires."
    )
    websocket_idle_timeout: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = Field(
        300.0,
        description="Seconds without a byte in either direction that end a WebSocket. 0: none.",
    )
    websocket_max_per_user: Count = Field(
        100,
        description="WebSockets a user may have open; beyond, the answer is 429.",
    )


class Listeners(BaseModel):
    """The listeners, once for the process."""

    host: Text = Field("0.0.0.0", description="Address of the proxy port.")
    port: Port = Field(8000, description="Proxy port.")
    admin_host: Text = Field("127.0.0.1", description="Address of the admin port.")
    admin_port: Port = Field(8001, description="Admin port: `/livez`, `/readyz`, `/metrics`.")
    tls_cert_file: Path | None = Field(
        None,
        description="PEM certificate of the proxy port, with its chain, and with its key unless "
        "that is in `TLS_KEY_FILE`: HTTPS with TLS 1.2 or 1.3. SIGHUP reads both again. Unset: "
        "plain HTTP.",
    )
    tls_key_file: Path | None = Field(
        None, description="PEM private key of the proxy port, without a passphrase."
    )
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
    workers: Annotated[int, Field(ge=0, le=256)] = Field(
        1, description="Processes that share the proxy port; 0: one for each core. Linux only."
    )
    shutdown_grace: Pause = Field(30.0, description="Seconds a drain waits for requests in flight.")


class Logs(BaseModel):
    """What is logged, once for the process."""

    log_level: Annotated[Literal["debug", "info", "warning", "error"], Lower] = Field(
        "info", description="Least level written: `debug`, `info`, `warning`, `error`."
    )
    log_format: Annotated[Literal["json", "text"], Lower] = Field(
        default_factory=lambda: "text" if sys.stderr.isatty() else "json",
        description="`json` or `text`. Unset: `text` on a terminal, else `json`.",
    )
