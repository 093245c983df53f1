"""What callers' refresh tokens need beside the method."""

from __future__ import annotations

import pytest

from gateway.settings import load
from tests.settings.environments import GOOD, problems

METHOD = {
    **GOOD,
    "AUTH_METHODS": "refresh_token",
    "REFRESH_TOKEN_PARAM_NAME": "X-Refresh-Token",
    "REDIS_URL": "redis://127.0.0.1",
    "CACHE_SECRET": "s" * 32,
}


def test_good() -> None:
    """With a name, a client and Redis there is nothing to be said."""
    loaded = load(None, {**METHOD})
    assert ("refresh_token",) == loaded.settings.auth_methods
    assert () == loaded.warnings


@pytest.mark.parametrize(
    ("change", "text"),
    [
        pytest.param({"REFRESH_TOKEN_PARAM_NAME": ""}, "it is required for", id="no-name"),
        pytest.param({"REFRESH_TOKEN_PARAM_NAME": "a b"}, "write a name", id="space"),
        pytest.param({"REFRESH_TOKEN_PARAM_NAME": "a" * 65}, "write a name", id="long"),
        pytest.param({"REFRESH_TOKEN_PARAM_NAME": "password"}, "password means", id="taken"),
        pytest.param({"REFRESH_TOKEN_PARAM_NAME": "refresh_token"}, "no header", id="underscore"),
        pytest.param({"REFRESH_TOKEN_PARAM_NAME": "Cookie"}, "no header", id="managed"),
        pytest.param({"REFRESH_TOKEN_PARAM_NAME": "authorization"}, "no header", id="own"),
    ],
)
def test_names(change: dict[str, str], text: str) -> None:
    """A name that no request can have, or that means something else, ends the start."""
    [problem] = problems(METHOD | change)
    assert problem.startswith(f"REFRESH_TOKEN_PARAM_NAME: {text}")


def test_names_of_parameters() -> None:
    """In query and body a name may have what no header field's has."""
    places = {"REFRESH_TOKEN_PARAM_NAME": "refresh_token", "REFRESH_TOKEN_PARAM_TYPE": "body"}
    assert load(None, METHOD | places).settings.refresh_token_param_name == "refresh_token"


@pytest.mark.parametrize("missing", ["CLIENT_ID", "CLIENT_SECRET"])
def test_redeemed_by_a_client(missing: str) -> None:
    """A refresh token is redeemed by the gateway's own client, so there has to be one."""
    [problem] = problems({name: text for name, text in METHOD.items() if name != missing})
    assert problem.startswith(f"{missing}: it is required for the method refresh_token")


@pytest.mark.parametrize("workers", ["0", "2"])
def test_several_workers_need_redis(workers: str) -> None:
    """Workers that know nothing of each other would spend one refresh token twice."""
    assert load(None, METHOD | {"WORKERS": workers}).warnings == ()
    alone = {name: text for name, text in METHOD.items() if name != "REDIS_URL"}
    [problem] = problems(alone | {"WORKERS": workers})
    assert problem == (
        "WORKERS: use 1 or set REDIS_URL: alone, two workers would spend the same refresh token"
    )


def test_one_worker_is_warned() -> None:
    """Without Redis a restart loses sessions, and who starts the gateway is told."""
    alone = {name: text for name, text in METHOD.items() if name != "REDIS_URL"}
    [warning] = load(None, alone).warnings
    assert warning.startswith("AUTH_METHODS: what a provider gives for a caller's refresh token")


def test_queries_are_warned_of() -> None:
    """C1: a refresh token in the query is warned of like a password there."""
    [warning] = load(None, METHOD | {"REFRESH_TOKEN_PARAM_TYPE": "query"}).warnings
    assert warning.startswith("REFRESH_TOKEN_PARAM_TYPE: credentials in a query")
