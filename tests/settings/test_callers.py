"""What settings about callers' own tokens need beside them."""

from __future__ import annotations

import pytest

from gateway.settings import load
from tests.settings.environments import GOOD, problems

BEARER = {**GOOD, "AUTH_METHODS": "password,bearer"}


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param({"AUDIENCE_REQUIRED": "orders"}, id="audience"),
        pytest.param({"INSECURE_ACCEPT_ANY_AUDIENCE": "true"}, id="any-audience"),
    ],
)
def test_bearer_with_an_audience(rule: dict[str, str]) -> None:
    """Callers' tokens are taken where it is said whom they are for, or that it does not matter."""
    assert load(None, {**BEARER, **rule}).settings.auth_methods == ("password", "bearer")


def test_bearer_without_an_audience() -> None:
    """J15: the start is refused where a token made for any API would be good."""
    [problem] = problems({**BEARER})
    assert problem.startswith("AUDIENCE_REQUIRED: it is required for the method bearer")


def test_bearer_alone() -> None:
    """A gateway that takes callers' tokens only needs no registration of its own."""
    environ = {name: GOOD[name] for name in ("ISSUER", "UPSTREAM_URL")}
    environ |= {"AUTH_METHODS": "bearer", "AUDIENCE_REQUIRED": "orders"}
    assert load(None, environ).settings.client_id == ""


def test_any_audience_is_warned_of() -> None:
    """Who takes tokens made for any API is told so at each start."""
    [warning] = load(None, {**BEARER, "INSECURE_ACCEPT_ANY_AUDIENCE": "true"}).warnings
    assert warning.startswith("INSECURE_ACCEPT_ANY_AUDIENCE: ")


def test_tokens_in_queries_are_warned_of() -> None:
    """C1: a token in the query is warned of like a password there."""
    environ = {**BEARER, "AUDIENCE_REQUIRED": "a", "BEARER_TOKEN_PARAM_TYPE": "query"}
    [warning] = load(None, {**environ}).warnings
    assert warning.startswith("BEARER_TOKEN_PARAM_TYPE: credentials in a query")


def test_token_as_password_without_tokens() -> None:
    """A way of carrying tokens needs a method that takes them."""
    [problem] = problems({**GOOD, "BEARER_TOKEN_AS_PASSWORD": "true"})
    assert problem.startswith("BEARER_TOKEN_AS_PASSWORD: add bearer to AUTH_METHODS")


@pytest.mark.parametrize("missing", ["CLIENT_ID", "CLIENT_SECRET", "AUDIENCE_REQUIRED"])
def test_introspection_needs(missing: str) -> None:
    """Who asks the provider about tokens does so as a client, and has to say whom they are for."""
    environ = {**GOOD, "AUTH_METHODS": "introspection", "AUDIENCE_REQUIRED": "orders"}
    assert load(None, {**environ}).settings.client_id
    [problem] = problems({name: text for name, text in environ.items() if name != missing})
    assert problem.startswith(f"{missing}: it is required for the method introspection")
