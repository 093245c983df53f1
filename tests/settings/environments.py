"""Environments to load settings from, and what they give."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.settings import Settings, SettingsError, load

if TYPE_CHECKING:
    from pathlib import Path

GOOD = {
    "ISSUER": "https://sso.example/realms/example",
    "CLIENT_ID": "gateway",
    "CLIENT_SECRET": "CANARY-client",
    "UPSTREAM_URL": "http://httpbin:8080",
}
NEW, OLD = "CANARY-new-" + "n" * 32, "CANARY-old-" + "o" * 32
REDIS = {"REDIS_URL": "redis://:CANARY-redis@redis.example", "CACHE_SECRET": NEW}


def said(environ: dict[str, str], config_file: Path | None = None) -> Settings:
    """Return the settings this environment gives on top of a good one."""
    return load(config_file, {**GOOD, **environ}).settings


def problems(environ: dict[str, str], config_file: Path | None = None) -> tuple[str, ...]:
    """Return what is wrong with exactly this environment, making sure no secret is told."""
    with pytest.raises(SettingsError) as caught:
        load(config_file, environ)
    assert "CANARY" not in str(caught.value) + repr(caught.value)
    assert all(line.isprintable() for line in caught.value.problems)
    return caught.value.problems


def written(folder: Path, text: str, name: str = "gateway.yaml") -> Path:
    """Return a configuration file that only its owner reads."""
    file = folder / name
    file.write_text(text)
    file.chmod(0o600)
    return file
