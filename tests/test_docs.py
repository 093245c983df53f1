"""The documents say what is so: tables, links, commands and names are compared with the code."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from gateway import errors
from gateway.metrics import REGISTRY
from gateway.settings import Settings, key_tables, load, settings_table
from gateway.token_cache.address import read_redis_url
from tests.test_architecture import ROWS

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
SECURITY = ROOT / "docs" / "security.md"
OPERATION = ROOT / "docs" / "operation.md"
EXAMPLE = ROOT / "config" / "example.env"
EXAMPLE_FILE = ROOT / "config" / "routes.yaml"
CONFIGURATION = ROOT / "docs" / "configuration.md"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
TARGET = re.compile(r"`make ([a-z-]+)|^make ([a-z-]+)", re.MULTILINE)
MODULE = re.compile(r"`((?:gateway|tests|scripts|config|requirements)/[\w./-]+)`")
STATEMENT = re.compile(r"\b[A-Z][0-9]{1,2}\b")


def between(page: Path, marker: str) -> str:
    """Return what stands between the two markers of a page."""
    text = page.read_text("utf-8")
    return text.partition(f"<!-- {marker} -->\n")[2].partition(f"<!-- /{marker} -->")[0].strip()


def rows(table: str) -> list[list[str]]:
    """Return the cells of a table's rows, without its head."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def section(page: Path, title: str) -> str:
    """Return the text under a heading of the second level."""
    return page.read_text("utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def anchor(heading: str) -> str:
    """Return the fragment that names a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def version(text: str) -> tuple[int, ...]:
    """Return a version that can be compared."""
    return tuple(map(int, text.split(".")))


def test_settings_table():
    """The README has the generated table; `python scripts/write_settings_table.py` renews it."""
    assert between(README, "settings") == settings_table().strip()


@pytest.mark.parametrize("part", key_tables())
def test_configuration_page(part):
    """The page has every key; `python scripts/write_settings_table.py` renews it."""
    assert between(CONFIGURATION, part) == key_tables()[part].strip()


def test_example_of_routes(tmp_path):
    """The example file runs as it is, but for the places of its secrets."""
    secret = tmp_path / "secret"
    secret.write_text("a-secret")
    secret.chmod(0o600)
    text = re.sub(r"/run/secrets/\w+", str(secret), EXAMPLE_FILE.read_text("utf-8"))
    file = tmp_path / "routes.yaml"
    file.write_text(text)

    loaded = load(file, {})

    assert ["orders", "reports", "health", "rest"] == [each.name for each in loaded.routes]
    assert () == loaded.warnings


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    """Every relative link names a file that is there, and a heading of it if it names one."""
    links = [link for link in LINK.findall(page.read_text("utf-8")) if "://" not in link]
    wrong = []
    for link in links:
        name, _, fragment = link.partition("#")
        file = (page.parent / name) if name else page
        anchors = HEADING.findall(file.read_text("utf-8")) if fragment and file.is_file() else []
        if not file.exists() or (fragment and fragment not in map(anchor, anchors)):
            wrong.append(link)

    assert [] == wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_make_targets_exist(page):
    """Every `make …` that a page names is a target of the Makefile."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = {first or second for first, second in TARGET.findall(page.read_text("utf-8"))}

    assert set() == named - targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_exist(page):
    """Every path of the repository that a page names is there."""
    paths = MODULE.findall(page.read_text("utf-8"))

    assert [] == [path for path in paths if not (ROOT / path).exists()]


def test_tree():
    """The tree of the architecture names modules that are there, and every room of the package."""
    package = ROOT / "gateway"
    named = set(re.findall(r"\w+\.py|\w+/(?=\s)", section(ARCHITECTURE, "The tree")))
    there = {path.name for path in package.rglob("*.py")}
    there |= {f"{path.name}/" for path in (package, *package.rglob("*")) if path.is_dir()}
    rooms = {path.name for path in package.glob("*.py")} - {"__init__.py"}
    rooms |= {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}

    assert set() == named - there
    assert set() == rooms - named


def test_import_rows():
    """The rows of the architecture are those the imports are checked against."""
    lines = between(ARCHITECTURE, "rows").strip("`").strip().splitlines()

    assert tuple(tuple(line.split()) for line in lines) == ROWS


def test_types_are_where_the_table_says():
    """Each type of the architecture's table is defined, or handed on, by the module beside it."""
    wrong = [
        (name, modules)
        for names, modules, _ in rows(section(ARCHITECTURE, "Types"))
        for name in re.findall(r"`(\w+)`", names)
        if not any(
            re.search(rf"^class {name}\b", (ROOT / module).read_text("utf-8"), re.MULTILINE)
            for module in MODULE.findall(modules)
        )
    ]

    assert [] == wrong


def test_errors():
    """The tree of errors names every error, with the status and the code of its class."""
    tree = section(ARCHITECTURE, "Errors").partition("```\n")[2].partition("```")[0]
    lines = {re.search(r"\w+Error", line)[0]: line for line in tree.splitlines()}
    classes = {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and value.__module__ == errors.__name__
    }

    assert classes.keys() == lines.keys()
    for name, value in classes.items():
        assert str(vars(value).get("status", "")) in lines[name]
        assert vars(value).get("error", "") in lines[name]


def test_answers():
    """The README's table of answers has the status and the code of every error."""
    text = README.read_text("utf-8").partition("### Answers of the gateway itself")[2]
    answers = {
        (status, code.strip("`"))
        for _, statuses, code in rows(text.partition("\n## ")[0])
        for status in re.findall(r"[0-9]{3}", statuses)
    }
    errors_told = {
        (str(each.status), each.error)
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, errors.GatewayError)
    }

    assert set() == errors_told - answers


def test_floors():
    """No dependency may be older than the floor that its advisory sets."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    required = dict(
        re.match(r"([\w-]+)>=([\d.]+)", requirement).groups()
        for requirement in project["dependencies"]
    )
    floors = {name: floor for name, floor, _ in rows(between(SECURITY, "floors"))}

    assert floors
    assert {} == {
        name: floor
        for name, floor in floors.items()
        if name not in required or version(required[name]) < version(floor)
    }


@pytest.mark.parametrize("title", ["What is refused, and where", "What others got wrong"])
def test_statements_have_tests(title):
    """Every id of a statement that the security page names is named by a test."""
    tests = [path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py")]
    tested = {statement for text in tests for statement in STATEMENT.findall(text)}
    named = set(STATEMENT.findall(section(SECURITY, title)))

    assert named
    assert set() == named - tested


def test_tested_statements_are_told():
    """Every id of a statement that a test names is on the security page, alone or in a range."""
    tests = [path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py")]
    tested = {statement for text in tests for statement in STATEMENT.findall(text)}
    told = section(SECURITY, "What is refused, and where")
    named = set(STATEMENT.findall(told))
    for letter, first, last in re.findall(r"\b([A-Z])(\d+) to \1(\d+)\b", told):
        named |= {f"{letter}{number}" for number in range(int(first), int(last) + 1)}

    assert set() == tested - named - {"C0"}  # control characters


def test_metrics():
    """The page on operation lists every metric with its labels, and no other."""
    told = {
        re.findall(r"`(\w+)`", name)[0]: set(re.findall(r"`(\w+)`", labels))
        for name, labels, _ in rows(between(OPERATION, "metrics"))
    }
    collectors = set(REGISTRY._collector_to_names)  # there is no public way to ask
    metrics = {
        metric.name + "_total" * (metric.type == "counter"): set(collector._labelnames)
        for collector in collectors
        for metric in collector.describe()
    }

    assert told == metrics


def test_redis_urls():
    """Every form of REDIS_URL in the examples is one that can be read."""
    kinds = {read_redis_url(url.strip("`")).kind for _, url in rows(between(OPERATION, "redis"))}

    assert kinds == {"single", "sentinel", "cluster"}


def test_example_settings(tmp_path):
    """The example holds known settings, and the gateway would start with them."""
    secret = tmp_path / "client_secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    text = EXAMPLE.read_text("utf-8").replace("/run/secrets/client_secret", str(secret))
    names = re.findall(r"^#?([A-Z_]+)=", text, re.MULTILINE)
    said = dict(re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE))

    known = {name.upper() for name in Settings.model_fields}
    assert set() == {name.removesuffix("_FILE") for name in names} - known
    assert load(None, said).warnings == ()
