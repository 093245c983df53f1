"""Settings about what is told about callers: fields, consumers, and what is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.identity.consumers import Consumer
from gateway.settings import load
from gateway.settings.identity import find_anonymous
from tests.settings.environments import GOOD, problems, said, written

if TYPE_CHECKING:
    from pathlib import Path

CONSUMERS = """
consumers:
- {username: alice, custom_id: c-1, id: id-1, groups: [gold, "eu,west"]}
- custom_id: app
  groups: one,two
"""


def test_fields_in_the_environment() -> None:
    """In the environment fields and claims are pairs."""
    settings = said({"UPSTREAM_HEADERS": "X-User=preferred_username, X-City = address.city"})

    assert settings.upstream_headers == (
        ("X-User", "preferred_username"),
        ("X-City", "address.city"),
    )


def test_fields_in_the_file(tmp_path: Path) -> None:
    """In the file they are a mapping, for all routes or for one."""
    text = """
    upstream_headers: {X-User: sub}
    routes:
    - {name: a, paths: [/a], upstream_headers: {X-Mail: email}, downstream_headers: {X-Me: sub}}
    - {name: b, paths: [/b], upstream_headers: []}
    - name: c
    """
    one, two, three = load(written(tmp_path, text), {**GOOD}).routes

    assert (("X-Mail", "email"),) == one.settings.upstream_headers
    assert (("X-Me", "sub"),) == one.settings.downstream_headers
    assert () == two.settings.upstream_headers
    assert (("X-User", "sub"),) == three.settings.upstream_headers


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        pytest.param("X-User", "write it as Name=claim", id="no-claim"),
        pytest.param("X-User=", "write it as Name=claim", id="empty-claim"),
        pytest.param("=sub", "write field names of letters", id="no-name"),
        pytest.param("X_User=sub", "write field names of letters", id="P3-underscore"),
        pytest.param("X.User=sub", "write field names of letters", id="P3-dot"),
        pytest.param("X--User=sub", "write field names of letters", id="P3-two-dashes"),
        pytest.param("X User=sub", "write field names of letters", id="space"),
        pytest.param("X-Us\u00e9r=sub", "write field names of letters", id="no-ASCII"),
        pytest.param("X-User:=sub", "write field names of letters", id="colon"),
        pytest.param("x" * 65 + "=sub", "write field names of letters", id="long"),
        pytest.param("X-User=sub,x-user=email", "give each field name once", id="twice"),
        pytest.param("Host=sub", "Host means something", id="host"),
        pytest.param("authorization=sub", "authorization means something", id="authorization"),
        pytest.param("X-Forwarded-User=sub", "X-Forwarded-User means something", id="forwarded"),
        pytest.param("X-Consumer-ID=sub", "X-Consumer-ID means something", id="consumer"),
        pytest.param("Content-Length=a", "Content-Length means something", id="length"),
        pytest.param("Connection=a", "Connection means something", id="connection"),
        pytest.param("Set-Cookie=a", "Set-Cookie means something", id="cookie"),
        pytest.param(",".join(f"X-{n}=a" for n in range(33)), "at most 32", id="too-many"),
    ],
)
@pytest.mark.parametrize("name", ["UPSTREAM_HEADERS", "DOWNSTREAM_HEADERS"])
def test_wrong_fields(name: str, value: str, problem: str) -> None:
    """P3: a field that means something already, or has several spellings, ends the start."""
    [told] = problems({**GOOD, name: value})

    assert told.startswith(f"{name}: ")
    assert problem in told


@pytest.mark.parametrize(
    ("value", "read"),
    [
        pytest.param("Authorization:Bearer", "authorization:bearer", id="default"),
        pytest.param("none", "none", id="none"),
        pytest.param("X-Token", "X-Token", id="raw"),
        pytest.param("X-Token:Bearer", "X-Token:bearer", id="with-scheme"),
    ],
)
def test_token_header(value: str, read: str) -> None:
    """The token goes where it is said, or nowhere."""
    assert read == said({"UPSTREAM_ACCESS_TOKEN_HEADER": value}).upstream_access_token_header


@pytest.mark.parametrize(
    "value", ["X-Token:basic", "authorization", "Cookie", "X Token", ":bearer"]
)
def test_wrong_token_header(value: str) -> None:
    """A field the token cannot be in ends the start."""
    [told] = problems({**GOOD, "UPSTREAM_ACCESS_TOKEN_HEADER": value})

    assert told.startswith("UPSTREAM_ACCESS_TOKEN_HEADER: ")


def test_consumers(tmp_path: Path) -> None:
    """Consumers are listed in the file."""
    settings = load(written(tmp_path, CONSUMERS), {**GOOD}).settings

    assert settings.consumers == (
        Consumer("alice", "c-1", "id-1", ("gold", "eu,west")),
        Consumer("", "app", "", ("one", "two")),
    )


@pytest.mark.parametrize("name", ["alice", "id-1"])
def test_anonymous(tmp_path: Path, name: str) -> None:
    """The anonymous consumer is named by username or id."""
    found = find_anonymous(load(written(tmp_path, CONSUMERS), {**GOOD, "ANONYMOUS": name}).settings)

    assert found is not None
    assert found.username == "alice"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("consumers: alice", "write one value or a list", id="text"),
        pytest.param("consumers: [alice]", "write one value or a list", id="names"),
        pytest.param("consumers: [{id: a}]", "give it a username or a custom_id", id="id-alone"),
        pytest.param("consumers: [{}]", "give it a username or a custom_id", id="nothing"),
        pytest.param("consumers: [{user: a}]", "username, custom_id, id and groups only", id="key"),
        pytest.param("consumers: [{username: [a]}]", "one text for each key", id="list"),
        pytest.param("consumers: [{username: a, username: b}]", "username is there twice", id="2x"),
        pytest.param(
            "consumers: [{username: a}, {username: a}]", "the same username", id="same-username"
        ),
        pytest.param(
            "consumers: [{username: a, id: x}, {username: b, id: x}]", "the same id", id="same-id"
        ),
        pytest.param('consumers: [{username: "a\\nb"}]', "control character", id="control"),
        pytest.param(
            f"consumers: [{{username: {'a' * 9000}}}]", "longer than 8192 bytes", id="long"
        ),
        pytest.param("consumer_claims: sub", "there are no consumers", id="nobody-to-match"),
        pytest.param("anonymous: alice", "no consumer in the file has this", id="no-anonymous"),
        pytest.param(
            "{anonymous: app, consumers: [{username: a, custom_id: app}]}",
            "no consumer in the file has this", id="anonymous-by-custom_id",
        ),
        pytest.param("consumer_by: [name]", "consumer_by", id="no-such-field"),
        pytest.param(
            "{upstream_headers: {X-Token: a}, upstream_access_token_header: x-token}",
            "UPSTREAM_HEADERS has this field too", id="token-and-claim",
        ),
        pytest.param(
            "{upstream_introspection_header: X-A, upstream_user_info_header: x-a, "
            "search_user_info: true}",
            "UPSTREAM_INTROSPECTION_HEADER has this field too", id="one-field-for-two-answers",
        ),
        pytest.param(
            "upstream_user_info_header: X-Userinfo", "it needs SEARCH_USER_INFO=true",
            id="nobody-is-asked",
        ),
        pytest.param(
            "{upstream_headers: {X-Id: sub}, upstream_id_token_header: x-id}",
            "UPSTREAM_HEADERS has this field too", id="id-token-and-claim",
        ),
        pytest.param("upstream_id_token_header: X_Id", "write field names", id="P3-id-token"),
        pytest.param(
            "upstream_introspection_header: Cookie", "Cookie means something", id="managed-field"
        ),
    ],
)  # fmt: skip
def test_wrong_consumers(tmp_path: Path, text: str, problem: str) -> None:
    """What is wrong with the consumers of the file ends the start, with its line."""
    [told] = problems({**GOOD}, written(tmp_path, text))

    assert "(line 1): " in told
    assert problem in told


def test_consumers_in_the_environment() -> None:
    """A list of consumers does not fit into the environment."""
    [told] = problems({**GOOD, "CONSUMERS": "alice"})

    assert told.startswith("CONSUMERS: list them in the file")


def test_consumers_of_a_route(tmp_path: Path) -> None:
    """Consumers are the gateway's, not a route's."""
    [told] = problems({**GOOD}, written(tmp_path, "routes: [{name: a, consumers: []}]"))

    assert "write it above the routes" in told


@pytest.mark.parametrize(
    ("more", "warning"),
    [
        pytest.param({}, None, id="good"),
        pytest.param({"SCOPES": "email openid"}, None, id="among-others"),
        pytest.param(
            {"SCOPES": "", "CLIENT_CREDENTIALS_SCOPES": "openid"}, None, id="of-clients-alone"
        ),
        pytest.param({"SCOPES": "email"}, "for the scope openid only", id="no-openid"),
        pytest.param(
            {"AUTH_METHODS": "bearer", "AUDIENCE_REQUIRED": "api"}, "it stays empty", id="no-login"
        ),
    ],
)
def test_id_token_that_never_comes(more: dict[str, str], warning: str | None) -> None:
    """A field for ID tokens that the provider will not give is a warning."""
    warnings = load(None, {**GOOD, "UPSTREAM_ID_TOKEN_HEADER": "X-ID-Token", **more}).warnings

    begins = [each.startswith("UPSTREAM_ID_TOKEN_HEADER: ") for each in warnings]
    assert [True] * (warning is not None) == begins
    assert warning is None or warning in warnings[0]
