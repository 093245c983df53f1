"""Which way the arrows point, and that the protocol never awaits."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "gateway"

# Highest first: a module imports from rows below its own, or from its own package.
ROWS = (
    ("__main__",),
    ("cli",),
    ("demo", "doctor", "explain"),
    ("app",),
    ("server", "admin", "settings"),
    ("pipeline",),
    ("forwarding",),
    ("routing",),
    ("authentication", "authorization"),
    ("token_cache", "provider", "identity"),
    ("oauth",),
    ("request", "logs", "metrics", "tls", "outbox"),
    ("secret_input",),
    ("errors",),
    ("record",),
)
RANK = {name: rank for rank, row in enumerate(ROWS) for name in row}
FILES = sorted(ROOT.rglob("*.py"))
SEES_SETTINGS = {"app", "cli", "doctor", "explain", "settings"}


def room(path):
    """Tell the module or package right below ``gateway`` a file belongs to."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imported(path):
    """Yield the first name below ``gateway`` of each import of the project's own modules."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "gateway":
            yield from (alias.name for alias in node.names if alias.name != "__version__")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gateway."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (
                alias.name.split(".")[1]
                for alias in node.names
                if alias.name.startswith("gateway.")
            )


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    """A module imports only from rows below its own, or from its own package."""
    if path == ROOT / "__init__.py":
        assert list(imported(path)) == []
        return
    own = room(path)

    wrong = [name for name in imported(path) if name != own and RANK[name] <= RANK[own]]

    assert wrong == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_root_sees_settings(path):
    """Everything but the composition root and the command line receives plain values."""
    if path != ROOT / "__init__.py" and room(path) not in SEES_SETTINGS:
        assert "settings" not in set(imported(path))


@pytest.mark.parametrize("path", sorted((ROOT / "oauth").rglob("*.py")), ids=lambda path: path.name)
def test_the_protocol_never_awaits(path):
    """Nothing in ``oauth`` is asynchronous, and nothing there opens anything."""
    asynchronous = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    tree = ast.parse(path.read_text())

    assert [node for node in ast.walk(tree) if isinstance(node, asynchronous)] == []
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert set() == names & {"open", "socket", "aiohttp", "asyncio"}


def test_every_module_has_a_row():
    """A new module comes with its row."""
    assert {room(path) for path in FILES if path != ROOT / "__init__.py"} == set(RANK)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_budgets(path):
    """A file has at most 300 lines and a function at most 40."""
    source = path.read_text()
    functions = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]

    assert source.count("\n") <= 300
    assert [f.name for f in functions if f.end_lineno - f.lineno >= 40] == []


def test_every_module_says_what_it_is_about():
    """Each file opens with a docstring."""
    assert [path for path in FILES if not ast.get_docstring(ast.parse(path.read_text()))] == []
