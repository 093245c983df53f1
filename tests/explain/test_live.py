"""What ``explain`` tells beside what a gateway with the same settings does."""

from __future__ import annotations

import pytest

from gateway.explain import Question, explain
from gateway.settings import load
from tests.fakes.asked_provider import AskedProvider
from tests.fakes.caller import RawCaller, basic, request
from tests.fakes.provider import FakeProvider
from tests.fakes.upstream import RecordingUpstream
from tests.journeys.running import RunningGateway

CLAIMS = {"aud": ["orders"], "groups": ["staff"]}
ANY = {"INSECURE_ACCEPT_ANY_AUDIENCE": "true"}
FIELDS = (("X-Consumer-Id", "1"), ("Accept", "*/*"), ("TE", "trailers"), ("Forwarded", "for=x"))


def assert_same(told, lived, upstream):
    """Compare an explanation with an answer and what the upstream got."""
    assert (told.status or 200) == lived.status
    if told.status is not None:
        assert list(told.challenges) == [v.decode() for v in lived.values(b"www-authenticate")]
        return
    names = {line.partition(":")[0].lower() for line in told.added}
    kept = {name.lower() for name, _ in FIELDS} - {name.lower() for name in told.removed}
    assert {name.decode().lower() for name, _ in upstream.requests[0].headers} == names | kept


@pytest.mark.parametrize(
    ("target", "rules"),
    [
        pytest.param("/a?b=c", {"AUDIENCE_REQUIRED": "orders"}, id="allowed"),
        pytest.param("/a", {"UPSTREAM_HEADERS": "X-Groups=groups"}, id="told"),
        pytest.param("/a", {"UPSTREAM_ID_TOKEN_HEADER": "X-Who"}, id="id-token"),
        pytest.param("/a", {"GROUPS_REQUIRED": "admins"}, id="denied"),
        pytest.param("/a", {"SCOPES_REQUIRED": "none-such"}, id="scope"),
    ],
)
async def test_explained_as_lived(target, rules):
    """Status, challenges and the names of the fields sent on are those of the running gateway."""
    async with FakeProvider() as provider, RecordingUpstream() as upstream:
        provider.claims, provider.id_claims = CLAIMS, {}
        environ = {
            "ISSUER": provider.issuer,
            "CLIENT_ID": provider.client_id,
            "CLIENT_SECRET": provider.client_secret,
            "UPSTREAM_URL": upstream.url,
            **rules,
        }
        async with RunningGateway(**environ) as gateway, RawCaller(gateway.port) as caller:
            lived = await caller.send(request("GET", target, [basic("john", "doe"), *FIELDS]))
        question = Question("GET", f"http://gateway.test{target}", "john", CLAIMS, FIELDS)
        told = await explain(load(None, environ), question)

    assert_same(told, lived, upstream)


@pytest.mark.parametrize("opaque", [False, True], ids=["bearer", "introspection"])
@pytest.mark.parametrize(
    "rules",
    [
        pytest.param({"AUDIENCE_REQUIRED": "orders"}, id="allowed"),
        pytest.param({"UPSTREAM_HEADERS": "X-Groups=groups", **ANY}, id="told"),
        pytest.param({"AUTHENTICATED_HEADERS": "true", **ANY}, id="credentials-told"),
        pytest.param({"UPSTREAM_ID_TOKEN_HEADER": "X-Who", **ANY}, id="no-id-token"),
        pytest.param({"AUDIENCE_REQUIRED": "others"}, id="audience"),
        pytest.param({"GROUPS_REQUIRED": "admins", **ANY}, id="denied"),
        pytest.param({"SCOPES_REQUIRED": "none-such", **ANY}, id="scope"),
    ],
)
async def test_callers_tokens_explained_as_lived(start_gateway, call, upstream, opaque, rules):
    """The same holds for callers that bring a token, explained by what the token says."""
    async with AskedProvider() as provider:
        provider.opaque = opaque
        environ = {
            "ISSUER": provider.issuer,
            "CLIENT_ID": provider.client_id,
            "CLIENT_SECRET": provider.client_secret,
            "UPSTREAM_URL": upstream.url,
            "AUTH_METHODS": "introspection" if opaque else "bearer",
            **rules,
        }
        token = provider.mint("mary", "app", "openid", **CLAIMS)
        said = {**provider.issued[token], "active": True}
        field = ("Authorization", f"Bearer {token}")
        caller = await call(await start_gateway(**environ))
        lived = await caller.send(request("GET", "/a", [field, *FIELDS]))
        question = Question("GET", "http://gateway.test/a", "", said, FIELDS)
        told = await explain(load(None, environ), question)

    assert_same(told, lived, upstream)


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param({"AUDIENCE_REQUIRED": "orders"}, id="allowed"),
        pytest.param({"AUTHENTICATED_HEADERS": "true"}, id="credentials-told"),
        pytest.param({"UPSTREAM_ID_TOKEN_HEADER": "X-Who"}, id="id-token"),
        pytest.param({"GROUPS_REQUIRED": "admins"}, id="denied"),
        pytest.param({"SCOPES_REQUIRED": "none-such"}, id="scope"),
    ],
)
async def test_refresh_tokens_explained_as_lived(start_gateway, call, provider, upstream, rules):
    """And for callers that bring a refresh token, which no upstream gets."""
    said = {**CLAIMS, "sub": "mary", "scope": "openid"}
    provider.claims, provider.id_claims = said, {}
    provider.sessions["marys"] = "mary"
    environ = {
        "ISSUER": provider.issuer,
        "CLIENT_ID": provider.client_id,
        "CLIENT_SECRET": provider.client_secret,
        "UPSTREAM_URL": upstream.url,
        "AUTH_METHODS": "refresh_token",
        "REFRESH_TOKEN_PARAM_NAME": "X-Refresh-Token",
        **rules,
    }
    fields = (("X-Refresh-Token", "marys"), *FIELDS)
    caller = await call(await start_gateway(**environ))
    lived = await caller.send(request("GET", "/a", [*fields]))
    question = Question("GET", "http://gateway.test/a", "", said, fields)
    told = await explain(load(None, environ), question)

    assert_same(told, lived, upstream)
    assert "X-Refresh-Token" not in (line.partition(":")[0] for line in told.added)
