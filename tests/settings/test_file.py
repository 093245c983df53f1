from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.settings import load
from tests.settings.environments import GOOD, problems, said, written

if TYPE_CHECKING:
    from pathlib import Path


def test_file(tmp_path: Path) -> None:
    """The file gives the same settings in lower case, with lists as lists."""
    (tmp_path / "secret").write_text("CANARY")
    (tmp_path / "secret").chmod(0o600)
    file = written(
        tmp_path,
        f"""
        issuer: https://sso.example   # a comment
        client_id: 0123
        client_secret_file: {tmp_path / "secret"}
        upstream_url: "http://httpbin:8080"
        auth_methods: [password]
        roles_required: [admin, reader writer]
        scopes:
        hide_credentials: no
        cache_ttl_max: 60
        """,
    )
    loaded = load(file, {})
    settings = loaded.settings
    assert settings.client_id == "0123"
    assert settings.auth_methods == ("password",)
    assert settings.roles_required == (frozenset({"admin"}), frozenset({"reader", "writer"}))
    assert settings.hide_credentials is False
    assert settings.cache_ttl_max == 60
    assert settings.client_secret.get_secret_value() == "CANARY"


def test_environment_wins(tmp_path: Path) -> None:
    """The environment wins over the file, for secrets in either form too."""
    file = written(tmp_path, "issuer: https://other.example\nclient_secret_file: /nonexistent\n")
    settings = said({}, file)
    assert settings.issuer == GOOD["ISSUER"]
    assert settings.client_secret.get_secret_value() == GOOD["CLIENT_SECRET"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(
            "upstram_url: x",
            "upstram_url (line 1): there is no such setting; did you mean upstream_url?",
            id="misspelt",
        ),
        pytest.param("zzz: x", "zzz (line 1): there is no such setting", id="unknown"),
        pytest.param(
            "route: []",
            "route (line 1): there is no such setting; did you mean routes?",
            id="misspelt-part",
        ),
        pytest.param(
            "PORT: 1",
            "PORT (line 1): there is no such setting; did you mean port?",
            id="in-capitals",
        ),
        pytest.param('"a\\nb": 1', "a\\nb (line 1): there is no such setting", id="line-feed"),
        pytest.param(
            "port: 1\nport: 2", "port (line 2): it is in the file twice; remove one", id="twice"
        ),
        pytest.param(
            "port: {a: CANARY}",
            "port (line 1): write one value or a list of values",
            id="structure",
        ),
        pytest.param(
            "scopes: [[a]]",
            "scopes (line 1): write one value or a list of values",
            id="list-of-lists",
        ),
        pytest.param(
            "port: x",
            "port (line 1): write a whole number",
            id="wrong-value",
        ),
        pytest.param(
            "client_secret: [CANARY]",
            "client_secret (line 1): write one value",
            id="list-for-a-value",
        ),
        pytest.param(
            "audience: CANARY\n  port: *CANARY",
            "--config: line 2 of the file is not YAML in UTF-8",
            id="not-yaml",
        ),
        pytest.param("\x00", "--config: the file is not YAML in UTF-8", id="nul"),
        pytest.param(
            "- CANARY",
            "--config: the file must hold settings, one `name: value` a line",
            id="a-list",
        ),
    ],
)
def test_wrong_file(tmp_path: Path, text: str, problem: str) -> None:
    """What is wrong with the file is one line, in the file's own words."""
    environ = {name: value for name, value in GOOD.items() if not text.startswith(name.lower())}
    assert problems(environ, written(tmp_path, text)) == (problem,)


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"routes: []\nproviders:\n"])
def test_file_that_says_nothing(tmp_path: Path, content: bytes) -> None:
    """An empty file changes nothing."""
    file = tmp_path / "gateway.yaml"
    file.write_bytes(content)
    assert said({}, file).port == 8000


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that is missing or in another encoding is the only problem told."""
    [problem] = problems({}, tmp_path / "missing.yaml")
    assert problem == "--config: the file cannot be read (No such file or directory)"
    (tmp_path / "latin.yaml").write_bytes(b"audience: \xe9\n")
    [problem] = problems(dict(GOOD), tmp_path / "latin.yaml")
    assert problem == "--config: the file is not YAML in UTF-8"
