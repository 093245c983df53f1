from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.settings import load
from tests.settings.environments import GOOD, NEW, OLD, REDIS, problems, said, written

if TYPE_CHECKING:
    from pathlib import Path


def test_redis_with_a_secret() -> None:
    """A3: two comma-separated secrets are the new and the old one."""
    settings = said({**REDIS, "CACHE_SECRET": f"{NEW},{OLD}"})
    assert [secret.get_secret_value() for secret in settings.cache_secret] == [NEW, OLD]
    assert settings.redis_url.get_secret_value() == REDIS["REDIS_URL"]


def test_random_secret() -> None:
    """A3: without Redis each process has a random cache secret of 32 bytes and more."""
    first, second = said({}).cache_secret, said({}).cache_secret
    assert first != second
    assert [len(secret.get_secret_value()) >= 32 for secret in first] == [True]


def test_secrets_leave_the_environment() -> None:
    """S1: secrets are taken out of the environment, also when something is wrong."""
    environ = {**GOOD, **REDIS}
    load(None, environ)
    assert set(environ) == {"ISSUER", "CLIENT_ID", "UPSTREAM_URL"}
    environ = {"CLIENT_SECRET": "CANARY"}
    problems(environ)
    assert environ == {}


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        pytest.param("CANARY", "CANARY", id="no-line-end"),
        pytest.param("CANARY\n", "CANARY", id="line-end"),
        pytest.param("CANARY\r\n", "CANARY", id="windows-line-end"),
        pytest.param("CANARY\n\n", "CANARY\n", id="stripped-once"),
        pytest.param(" CANARY ", " CANARY ", id="spaces-stay"),
    ],
)
def test_secret_file(tmp_path: Path, text: str, secret: str) -> None:
    """S1: a secret's file gives the secret, less one line end."""
    file = tmp_path / "secret"
    file.write_bytes(text.encode())
    file.chmod(0o640)
    environ = {**GOOD, "CLIENT_SECRET": "", "CLIENT_SECRET_FILE": str(file)}
    loaded = load(None, environ)
    assert loaded.settings.client_secret.get_secret_value() == secret
    assert loaded.warnings == ()


@pytest.mark.parametrize("name", ["CLIENT_SECRET", "CACHE_SECRET", "REDIS_URL"])
def test_every_secret_has_a_file(tmp_path: Path, name: str) -> None:
    """S1: each secret has its _FILE form; one everybody can read is warned about."""
    file = tmp_path / "secret"
    environ = {**GOOD, **REDIS}
    file.write_text(environ.pop(name))
    file.chmod(0o644)
    loaded = load(None, {**environ, f"{name}_FILE": str(file)})
    assert getattr(loaded.settings, name.lower()) == getattr(said(REDIS), name.lower())
    assert loaded.warnings == (f"{name}_FILE: every user of this machine can read the file",)


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe"])
def test_secret_file_that_holds_none(tmp_path: Path, content: bytes | None) -> None:
    """S1: a missing, empty or unreadable secret file is one problem that names the setting."""
    file = tmp_path / "CANARY"
    if content is not None:
        file.write_bytes(content)
    environ = {**GOOD, "CLIENT_SECRET": "", "CLIENT_SECRET_FILE": str(file)}
    [problem] = problems(environ)
    assert problem.startswith("CLIENT_SECRET_FILE: the file ")


def test_secret_in_both_forms() -> None:
    """S1: a secret given in both forms is a problem."""
    assert problems({**GOOD, "CLIENT_SECRET_FILE": "x"}) == (
        "CLIENT_SECRET and CLIENT_SECRET_FILE are both set; remove one",
    )


def test_secret_in_a_public_file(tmp_path: Path) -> None:
    """S1: a secret in a configuration file everybody can read is warned about."""
    file = written(tmp_path, "client_secret: CANARY\n")
    file.chmod(0o644)
    environ = {name: text for name, text in GOOD.items() if name != "CLIENT_SECRET"}
    assert load(file, environ).warnings == (
        "client_secret (line 1): every user of this machine can read the file it is in",
    )
