"""A setting that a route may have is read from the route's settings."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from gateway.settings.model.provider import FailedLogins
from gateway.settings.model.routes import ProviderSettings, RouteSettings

APP = Path(__file__).parents[2] / "gateway" / "app"

# Where the settings of the whole gateway are read.
WHOLE = sorted(set(APP.glob("*.py")) - {APP / name for name in (
    "callers.py", "exchange.py", "preflights.py", "providers.py", "routes.py", "store.py",
    "turns.py", "parts.py", "token_exchange.py", "identities.py", "upstreams.py",
    "refresh_tokens.py",
)})  # fmt: skip
OF_ROUTES = RouteSettings.model_fields.keys() | ProviderSettings.model_fields.keys()


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.name)
def test_what_is_a_routes_is_not_read_for_all(path):
    """What serves every route alike reads no setting that a route may say otherwise."""
    read = {
        node.attr
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name | ast.Attribute)
        and "settings" in ast.unparse(node.value)
    }

    assert set() == read & OF_ROUTES - FailedLogins.model_fields.keys()
