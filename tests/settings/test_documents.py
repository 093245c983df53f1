"""Every YAML example of the documents, and every file to start from, would run as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from gateway.settings import Settings, load
from gateway.settings.model.routes import ProviderSettings, RouteSettings
from gateway.settings.sources import SECRET_FILES
from tests.settings.environments import GOOD, written

ROOT = Path(__file__).parents[2]
KONG = ROOT / "docs" / "coming-from-kong.md"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"`([\w.*]+)`")
KINDS = {"same", "other name", "different", "no"}


def blocks(page: Path) -> list[str]:
    """Return the YAML of a page."""
    return BLOCK.findall(page.read_text("utf-8"))


def is_ours(text: str) -> bool:
    """Tell a configuration of ours from Kong's, and from comments."""
    document = yaml.safe_load(text)
    return bool(document) and "_format_version" not in document


EXAMPLES = [
    *(
        pytest.param(text, id=f"{page.name}-{number}")
        for page in PAGES
        for number, text in enumerate(blocks(page), 1)
        if is_ours(text)
    ),
    *(
        pytest.param(file.read_text("utf-8"), id=file.name)
        for file in sorted((ROOT / "config").glob("*.yaml"))
    ),
]


@pytest.mark.parametrize("text", EXAMPLES)
def test_example_would_run(text, tmp_path):
    """An example is free of problems and warnings; what it leaves out is as in any gateway."""
    secret = written(tmp_path, "a-secret", "secret")
    text = re.sub(r"/run/secrets/\w+", str(secret), text)
    environ = {} if "issuer" in yaml.safe_load(text) else {**GOOD}

    loaded = load(written(tmp_path, text), environ)

    assert () == loaded.warnings


def parameters() -> list[list[str]]:
    """Return the rows of the page's tables of Kong's parameters."""
    text = KONG.read_text("utf-8")
    text = text.partition("<!-- parameters -->")[2].partition("<!-- /parameters -->")[0]
    lines = [line[1:-1] for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.split("|")] for line in lines]


def ours() -> set[str]:
    """Return every key of the file."""
    models = (Settings, RouteSettings, ProviderSettings)
    return {*SECRET_FILES, *(name for model in models for name in model.model_fields)}


def test_parameters_of_kong_are_told_once():
    """No parameter of Kong is in two rows."""
    names = [name for row in parameters() for name in NAME.findall(row[0])]

    assert len(names) > 150
    assert [] == [name for name in set(names) if names.count(name) > 1]


@pytest.mark.parametrize("row", parameters(), ids=lambda row: row[0][:40])
def test_what_stands_for_a_parameter_of_kong(row):
    """What a row names exists, and what it says is not there is not."""
    theirs, here = NAME.findall(row[0]), NAME.findall(row[2])

    assert row[1] in KINDS
    assert set(here) <= ours()
    if row[1] == "same":
        assert here[: len(theirs)] == theirs
    elif row[1] == "no":
        assert set() == set(theirs) & ours(), "it is there now: say so in this row"
    else:
        assert here


def test_example_of_kong_is_in_the_table():
    """The worked example uses no parameter that the tables leave out."""
    kong = yaml.safe_load(blocks(KONG)[0])
    used = kong["services"][0]["plugins"][0]["config"]
    told = {name for row in parameters() for name in NAME.findall(row[0])}

    assert set() == set(used) - told
