"""The demo's two child programs: how they are started, and where they answer."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.demo.places import HOST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.demo.identity import Registration
    from gateway.demo.places import Places


@dataclass(frozen=True, slots=True)
class Program:
    """A child of the demo: how it is started and where it answers once it is ready."""

    name: str
    command: tuple[str, ...]
    settings: Mapping[str, str] = field(repr=False)
    ready_url: str


def provider_program(python: Path, folder: Path, places: Places) -> Program:
    """Return the provider, run by the Python that has it and by nothing else of ours."""
    return Program(
        "the provider",
        (str(python), "-I", "-u", "-m", "nanoidp", "--config", str(folder), "--strict-config"),
        {},
        f"{places.url('provider')}/.well-known/openid-configuration",
    )


def gateway_program(places: Places, registration: Registration) -> Program:
    """Return the gateway, started as anyone would start it: by its settings."""
    return Program(
        "the gateway",
        (sys.executable, "-m", "gateway", "run"),
        gateway_settings(places, registration),
        f"{places.url('admin')}/readyz",
    )


def gateway_settings(places: Places, registration: Registration) -> dict[str, str]:
    """Return the settings of the demo's gateway; what is not here has its default.

    ``PYTHONPATH`` makes the child run this very package, installed or not.
    """
    package = Path(__file__).parents[2]
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, (str(package), os.environ.get("PYTHONPATH")))),
        "ISSUER": places.url("provider"),
        "CLIENT_ID": registration.client_id,
        "CLIENT_SECRET": registration.client_secret,
        "UPSTREAM_URL": places.url("upstream"),
        "HOST": HOST,
        "PORT": str(places.gateway),
        "ADMIN_HOST": HOST,
        "ADMIN_PORT": str(places.admin),
        "PASSWORD_PARAM_TYPE": "header,body",
        "CLIENT_CREDENTIALS_PARAM_TYPE": "header,body",
        "SHUTDOWN_GRACE": "2",
        "LOG_FORMAT": "text",
    }
