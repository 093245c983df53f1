"""Every command and every setting that the documents spell out is one that would be taken."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from gateway import cli
from gateway.settings import Settings, load
from gateway.settings.sources import SECRET_FILES
from tests.settings.environments import GOOD, written

ROOT = Path(__file__).parents[2]
# A decision's page is never edited; what it spells out was so when it was made.
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/*.md"))]
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([A-Z][A-Z_]*)=([^`]+)`")
SAID = re.compile(r"(?<![\w-])([A-Z][A-Z_]+)=(\S*)")
COMMAND = re.compile(
    r"(?:`|^|[/\s])(bearergate (?:run|check|routes|explain|doctor|demo)\b[^`\n\\]*)"
)

# Names that are not settings: of make, of the tests, and of a certificate.
OTHERS = {"ARGS", "CI", "CN", "STREAM_MIB"}
# What a setting cannot do without.
COMPANY = {
    "AUTH_METHODS": {"AUDIENCE_REQUIRED": "orders"},
    "BEARER_TOKEN_AS_PASSWORD": {"AUTH_METHODS": "bearer", "AUDIENCE_REQUIRED": "orders"},
    "CLIENT_AUTH": {"CLIENT_SECRET": ""},
    "TOKEN_EXCHANGE": {"TOKEN_EXCHANGE_AUDIENCE": "orders"},
}
# Words that stand for a secret.
PLACEHOLDERS = {"new": "n" * 32, "old": "o" * 32}
NAMES = {name.upper() for name in (*Settings.model_fields, *SECRET_FILES)}

SHELLS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(SHELL.findall(page.read_text("utf-8")), 1)
]
SPANS = sorted({span for page in PAGES for span in SPAN.findall(page.read_text("utf-8"))})
COMMANDS = sorted(
    {
        line.partition("#")[0].strip()
        for page in PAGES
        for line in COMMAND.findall(page.read_text("utf-8"))
    }
)


@pytest.mark.parametrize(
    ("name", "value"), [pytest.param(*span, id="=".join(span)) for span in SPANS]
)
def test_spelled_out_setting_is_taken(name, value):
    """A setting written with its value has that name, and that value is one it may have."""
    if name in OTHERS:
        assert name not in NAMES
        return
    assert name in NAMES
    value = ",".join(PLACEHOLDERS.get(word, word) for word in value.split(","))

    settings = load(None, {**GOOD, **COMPANY.get(name, {}), name: value}).settings

    assert name.lower() in settings.model_fields_set


@pytest.mark.parametrize("block", SHELLS)
def test_settings_of_a_command_are_taken(block, tmp_path):
    """The settings of an example for the shell would run the gateway, where there are any."""
    secret = written(tmp_path, "a-secret", "secret")
    text = re.sub(r"/run/secrets/\w+", str(secret), re.sub(r"^-v .*$|-v \S+", "", block))
    said = dict(SAID.findall(text))
    if said:
        assert () == load(None, said).warnings


@pytest.mark.parametrize("line", COMMANDS)
def test_command_is_understood(line):
    """A command of the documents has the arguments that the program knows."""
    _, command, *arguments = shlex.split(line)
    needed = ["METHOD", "URL"] if command == "explain" and not arguments else []

    assert command == cli._parser().parse_args([command, *arguments, *needed]).command


def test_there_are_some():
    """The documents do spell out commands and settings, written as they are looked for here."""
    assert len(COMMANDS) > 10
    assert len(SPANS) > 15
    assert sum("bearergate" in shell.values[0] for shell in SHELLS) >= 3
