"""Who the demo's provider knows: one user, one confidential client, and the gateway itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import yaml

if TYPE_CHECKING:
    from pathlib import Path

USERNAME: Final = "john"
PASSWORD: Final = "doe"  # noqa: S105 - the published password of the demo's only user
SERVICE: Final = "service"
SERVICE_SECRET: Final = "cf4c655a-0622-4ce6-a0de-d3353ef0b714"  # noqa: S105 - published, demo only
AUDIENCE: Final = "bearergate-demo"
LIFETIME_MINUTES: Final = 5


@dataclass(frozen=True, slots=True)
class Registration:
    """The gateway's own client at the demo's provider."""

    client_id: str
    client_secret: str = field(repr=False)


def write_provider_configuration(folder: Path, port: int, registration: Registration) -> None:
    """Write the provider's two files into the folder, readable by nobody else."""
    settings = {
        "config_version": 1,
        "server": {"host": "127.0.0.1", "port": port},
        "oauth": {
            "issuer": f"http://127.0.0.1:{port}",
            "audience": AUDIENCE,
            "token_expiry_minutes": LIFETIME_MINUTES,
            "clients": [
                {
                    "client_id": registration.client_id,
                    "client_secret": registration.client_secret,
                },
                {"client_id": SERVICE, "client_secret": SERVICE_SECRET},
            ],
        },
        "authority_prefixes": {"roles": ""},
    }
    john = {
        "password": PASSWORD,
        "email": "john@example.org",
        "roles": ["USER"],
        "groups": ["staff"],
    }
    users = {"config_version": 1, "users": {USERNAME: john}}
    for name, content in (("settings.yaml", settings), ("users.yaml", users)):
        path = folder / name
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
