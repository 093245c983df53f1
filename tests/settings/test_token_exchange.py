"""What settings about exchanging callers' tokens need beside them (RFC 8693)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.settings import load
from tests.settings.environments import GOOD, problems, said, written

if TYPE_CHECKING:
    from pathlib import Path

EXCHANGE = {**GOOD, "TOKEN_EXCHANGE": "true", "TOKEN_EXCHANGE_AUDIENCE": "orders"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("TOKEN_EXCHANGE_AUDIENCE", "orders", id="audience"),
        pytest.param("TOKEN_EXCHANGE_SCOPES", "orders.read orders.write", id="scopes"),
        pytest.param("TOKEN_EXCHANGE_RESOURCE", "https://orders.example/v1?x=%2F", id="url"),
        pytest.param("TOKEN_EXCHANGE_RESOURCE", "urn:example:orders", id="urn"),
    ],
)
def test_it_is_said_for_what(name: str, text: str) -> None:
    """An audience, scopes or a resource is enough, and nothing is warned of."""
    loaded = load(None, {**GOOD, "TOKEN_EXCHANGE": "true", name: text})
    assert () == loaded.warnings
    assert text == getattr(loaded.settings, name.lower())


def test_it_is_not_said_for_what() -> None:
    """An exchange for nothing in particular is refused at the start."""
    [problem] = problems({**GOOD, "TOKEN_EXCHANGE": "true"})
    assert problem.startswith("TOKEN_EXCHANGE: say for what, with TOKEN_EXCHANGE_AUDIENCE")


@pytest.mark.parametrize("missing", ["CLIENT_ID", "CLIENT_SECRET"])
def test_it_needs_a_registration(missing: str) -> None:
    """Tokens are exchanged as the gateway's own client, whatever the callers' method is."""
    environ = {**EXCHANGE, "AUTH_METHODS": "bearer", "AUDIENCE_REQUIRED": "api"}
    assert load(None, {**environ}).settings.token_exchange
    [problem] = problems({name: text for name, text in environ.items() if name != missing})
    assert problem.startswith(f"{missing}: it is required for TOKEN_EXCHANGE")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("TOKEN_EXCHANGE_RESOURCE", "orders", id="no-scheme"),
        pytest.param("TOKEN_EXCHANGE_RESOURCE", "/orders", id="path"),
        pytest.param("TOKEN_EXCHANGE_RESOURCE", "https://orders.example/#v1", id="fragment"),
        pytest.param("TOKEN_EXCHANGE_RESOURCE", "https://orders.example/a b", id="space"),
        pytest.param("TOKEN_EXCHANGE_RESOURCE", "https://orders.example/ä", id="no-ascii"),
        pytest.param("TOKEN_EXCHANGE_SCOPES", 'orders "read"', id="scope"),
        pytest.param("TOKEN_EXCHANGE_REQUESTED_TOKEN_TYPE", "id_token", id="type"),
        pytest.param("TOKEN_EXCHANGE", "perhaps", id="flag"),
    ],
)
def test_wrong_values(name: str, text: str) -> None:
    """What the provider could only refuse is refused at the start."""
    [problem] = problems({**EXCHANGE, name: text})
    assert problem.startswith(f"{name}: ")


@pytest.mark.parametrize("name", ["AUDIENCE", "SCOPES", "RESOURCE"])
def test_without_the_switch(name: str) -> None:
    """Who says for what and does not switch it on is told that nothing is exchanged."""
    [warning] = load(None, {**GOOD, f"TOKEN_EXCHANGE_{name}": "urn:orders"}).warnings
    assert warning.startswith(f"TOKEN_EXCHANGE_{name}: it is not used where TOKEN_EXCHANGE is")


def test_per_route(tmp_path: Path) -> None:
    """A route has its own audience, and switches it on or off."""
    text = (
        "token_exchange: true\n"
        "routes:\n"
        "  - {name: orders, paths: [/orders], token_exchange_audience: orders}\n"
        "  - {name: rest, token_exchange: false}\n"
    )
    orders, rest = load(written(tmp_path, text), {**GOOD}).routes
    assert (True, "orders") == (
        orders.settings.token_exchange,
        orders.settings.token_exchange_audience,
    )
    assert not rest.settings.token_exchange


def test_default() -> None:
    """Nobody's token is exchanged unless somebody says so."""
    assert not said({}).token_exchange
