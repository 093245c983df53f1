"""The userinfo endpoint as a source of claims for rules (OpenID Connect Core §5.3)."""

from __future__ import annotations

import pytest

from tests.fakes.answers import HTML, LOGIN_PAGE, REMOVED, Answer, redirect
from tests.fakes.asked_provider import AskedProvider
from tests.fakes.caller import basic, request

JOHN = basic("john", "doe")
RULE = {"CLAIMS_REQUIRED": "email=john@example.org"}
SEARCHING = {"SEARCH_USER_INFO": "true", **RULE}
TOKENS = {**SEARCHING, "AUTH_METHODS": "bearer,introspection", "AUDIENCE_REQUIRED": "api"}


@pytest.fixture
async def provider():
    """Return a provider of signed tokens that is asked about its users."""
    async with AskedProvider() as fake:
        fake.opaque = False
        yield fake


def get(token):
    """Write a request that carries a token."""
    return request("GET", "/", [(b"Authorization", b"Bearer " + token.encode())])


async def test_claims_are_added(start_gateway, call, provider, upstream):
    """A rule holds for what the endpoint says, which is asked once with the user's token."""
    caller = await call(await start_gateway(**SEARCHING))

    statuses = [(await caller.send(request("GET", "/", [JOHN]))).status for _ in range(3)]

    assert [200, 200, 200] == statuses
    (token,) = provider.user_info_calls
    assert [b"Bearer " + token.encode()] == upstream.requests[0].values(b"authorization")


async def test_off(start_gateway, call, provider):
    """Without the setting nobody is asked, and the rule does not hold."""
    caller = await call(await start_gateway(**RULE))

    assert (await caller.send(request("GET", "/", [JOHN]))).status == 403
    assert [] == provider.user_info_calls


@pytest.mark.parametrize(
    ("profile", "status"),
    [
        pytest.param({"email": "other@example.org"}, 403, id="another-value"),
        pytest.param({"email": REMOVED}, 403, id="no-such-claim"),
        pytest.param({"sub": "anna"}, 502, id="another-subject"),
        pytest.param({"sub": REMOVED}, 502, id="no-subject"),
        pytest.param({"sub": ["john"]}, 502, id="subject-no-string"),
    ],
)
async def test_what_is_said(start_gateway, call, provider, upstream, profile, status):
    """OpenID Connect Core §5.3.2: an answer about another subject is not used."""
    provider.profile = profile
    caller = await call(await start_gateway(**SEARCHING))

    statuses = [(await caller.send(request("GET", "/", [JOHN]))).status for _ in range(2)]

    assert [status] * 2 == statuses
    assert [] == upstream.requests


async def test_claims_of_the_token_go_first(start_gateway, call, provider):
    """What the endpoint says never replaces what the token says."""
    provider.profile = {"scope": "admin", "aud": "admin-api"}
    provider.claims = {"scope": "reader"}
    settings = {"SEARCH_USER_INFO": "true", "SCOPES_REQUIRED": "admin"}
    caller = await call(await start_gateway(**settings))

    assert (await caller.send(request("GET", "/", [JOHN]))).status == 403


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        pytest.param(Answer(503), 503, id="unavailable"),
        pytest.param(Answer(401, b"", None), 502, id="token-refused"),
        pytest.param(Answer(403, b"", None), 502, id="no-openid-scope"),
        pytest.param(Answer(404, b"", None), 502, id="not-found"),
        pytest.param(Answer(200, LOGIN_PAGE, HTML), 502, id="login-page"),
        pytest.param(Answer(200, b"a.b.c", "application/jwt"), 502, id="signed"),
        pytest.param(redirect("https://attacker.example/"), 502, id="D4-redirect"),
        pytest.param(Answer(members={"x": "x" * 70_000}), 502, id="too-large"),
    ],
)
async def test_failures(start_gateway, call, provider, upstream, answer, status):
    """Without an answer the caller is not let in, and nothing is remembered."""
    caller = await call(await start_gateway(**SEARCHING))
    provider.answer("userinfo", answer)

    assert status == (await caller.send(request("GET", "/", [JOHN]))).status
    assert [] == upstream.requests
    assert (await caller.send(request("GET", "/", [JOHN]))).status == 200


@pytest.mark.parametrize("opaque", [True, False])
@pytest.mark.parametrize(
    ("answer", "status"),
    [
        pytest.param(Answer(), 200, id="good"),
        pytest.param(Answer(401, b"", None), 401, id="token-refused"),
        pytest.param(Answer(403, b"", None), 403, id="no-openid-scope"),
        pytest.param(Answer(503), 503, id="unavailable"),
        pytest.param(Answer(members={"sub": "anna"}), 502, id="another-subject"),
    ],
)
async def test_tokens_of_callers(start_gateway, call, provider, upstream, opaque, answer, status):
    """With a caller's own token a refusal of the endpoint is about the caller's token."""
    caller = await call(await start_gateway(**TOKENS))
    provider.opaque = opaque
    token = provider.mint("john", "x")
    provider.answer("userinfo", answer)

    assert status == (await caller.send(get(token))).status
    assert (1 if status == 200 else 0) == len(upstream.requests)


async def test_kept_with_the_token(start_gateway, call, provider):
    """What was said about a caller's token is kept with it, for `CACHE_TTL_MAX` at most."""
    caller = await call(await start_gateway(**TOKENS))
    token = provider.mint("john", "x")

    assert [200, 200] == [(await caller.send(get(token))).status for _ in range(2)]
    assert 1 == len(provider.user_info_calls)


async def test_clients_are_no_users(start_gateway, call, provider):
    """Nobody is asked about a client's token, so a rule on a user's claim refuses it."""
    caller = await call(await start_gateway(**SEARCHING))

    response = await caller.send(request("GET", "/", [basic("service", "service-secret")]))

    assert response.status == 403
    assert [] == provider.user_info_calls


async def test_no_endpoint(start_gateway, call, provider, written):
    """A provider without the endpoint is 502, and the log says what is missing."""
    provider.metadata = {"userinfo_endpoint": REMOVED}
    caller = await call(await start_gateway(**SEARCHING))

    assert (await caller.send(request("GET", "/", [JOHN]))).status == 502
    assert "userinfo_endpoint" in written()[-1]["cause"]


async def test_another_endpoint(start_gateway, call, provider):
    """`USERINFO_ENDPOINT` goes before the discovered one."""
    provider.metadata = {"userinfo_endpoint": f"{provider.issuer}/nowhere"}
    url = f"{provider.issuer}/userinfo"
    caller = await call(await start_gateway(**SEARCHING, USERINFO_ENDPOINT=url))

    assert (await caller.send(request("GET", "/", [JOHN]))).status == 200
