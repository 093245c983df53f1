"""The decision table: what each answer of the token endpoint means for the caller (RFC 6749 §5)."""

from __future__ import annotations

import pytest

from tests.fakes.answers import (
    ACCEPTABLE,
    NONSENSE,
    UNAVAILABLE,
    WRONG_CLIENT,
    WRONG_PASSWORD,
    WRONG_REQUEST,
    Answer,
)
from tests.fakes.caller import basic, request

JOHN = basic("john", "doe")
SERVICE = basic("service", "service-secret")
BOTH = [
    pytest.param("password", JOHN, id="password"),
    pytest.param("client_credentials", SERVICE, id="client"),
]


def cases(answers):
    """Make a named case of each answer."""
    return [pytest.param(answer, id=name) for name, answer in answers.items()]


async def ask(start_gateway, call, method, pair):
    """Send one request through a new gateway with this method only."""
    caller = await call(await start_gateway(AUTH_METHODS=method))
    return caller, await caller.send(request("GET", "/", [pair]))


@pytest.mark.parametrize("answer", cases(ACCEPTABLE))
@pytest.mark.parametrize(("method", "pair"), BOTH)
async def test_acceptable(start_gateway, call, provider, upstream, method, pair, answer):
    """T: an unusual answer that RFC 6749 allows lets the caller in."""
    provider.answer_next_token(answer)

    _, response = await ask(start_gateway, call, method, pair)

    assert response.status == 200
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("answer", cases(WRONG_PASSWORD))
@pytest.mark.parametrize(("method", "pair"), BOTH)
async def test_wrong_password(start_gateway, call, provider, upstream, method, pair, answer):
    """invalid_grant is the caller's 401, whatever status it came with (keycloak 401 or 400)."""
    provider.answer_next_token(answer)

    _, response = await ask(start_gateway, call, method, pair)

    assert (response.status, response.json()["error"]) == (401, "invalid_credentials")
    assert response.values(b"www-authenticate") == [b'Basic realm="bearergate", charset="UTF-8"']
    assert upstream.requests == []


@pytest.mark.parametrize("answer", cases(WRONG_CLIENT))
async def test_our_own_client_refused(start_gateway, call, provider, upstream, answer):
    """On the password grant a refused client is ours: 502, never 401, never remembered."""
    provider.answer_next_token(answer)

    caller, response = await ask(start_gateway, call, "password", JOHN)
    again = await caller.send(request("GET", "/", [JOHN]))

    assert (response.status, response.json()["error"]) == (502, "provider_error")
    assert response.values(b"www-authenticate") == []
    assert again.status == 200
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("answer", cases(WRONG_CLIENT))
async def test_the_callers_client_refused(start_gateway, call, provider, upstream, answer):
    """Where the caller's pair is the client, a refused client is the caller's 401, remembered."""
    provider.answer_next_token(answer)

    caller, response = await ask(start_gateway, call, "client_credentials", SERVICE)
    again = await caller.send(request("GET", "/", [SERVICE]))

    assert (response.status, again.status) == (401, 401)
    assert len(provider.token_calls) == 1
    assert upstream.requests == []


@pytest.mark.parametrize("answer", cases({**WRONG_REQUEST, **NONSENSE}))
@pytest.mark.parametrize(("method", "pair"), BOTH)
async def test_nonsense(start_gateway, call, provider, upstream, method, pair, answer):
    """T, J10: what the provider may not say is a 502 that blames nobody, and is not remembered."""
    provider.answer_next_token(answer)

    caller, response = await ask(start_gateway, call, method, pair)
    again = await caller.send(request("GET", "/", [pair]))

    assert (response.status, response.json()["error"]) == (502, "provider_error")
    assert again.status == 200
    assert (len(provider.token_calls), len(upstream.requests)) == (2, 1)


@pytest.mark.parametrize("answer", cases(UNAVAILABLE))
@pytest.mark.parametrize(("method", "pair"), BOTH)
async def test_unavailable(start_gateway, call, provider, upstream, method, pair, answer):
    """R6: a provider that cannot answer is 503 with Retry-After; the login is sent once."""
    provider.answer_next_token(answer)

    _, response = await ask(start_gateway, call, method, pair)

    assert (response.status, response.json()["error"]) == (503, "provider_unavailable")
    assert 1 <= int(response.values(b"retry-after")[0]) <= 60
    assert (len(provider.token_calls), len(upstream.requests)) == (1, 0)


async def test_retry_after_is_passed_on_and_capped(start_gateway, call, provider):
    """The provider's Retry-After reaches the caller, at most a minute of it."""
    provider.answer_next_token(Answer(503, b"", None, (("Retry-After", "86400"),)))
    provider.answer_next_token(UNAVAILABLE["too_many_requests"])

    caller, first = await ask(start_gateway, call, "password", JOHN)
    second = await caller.send(request("GET", "/", [JOHN]))

    assert [first.values(b"retry-after"), second.values(b"retry-after")] == [[b"60"], [b"7"]]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(delay=30), id="silent"),
        pytest.param(Answer(dribble=1), id="dribbling"),
    ],
)
async def test_too_slow(start_gateway, call, provider, upstream, answer):
    """T4: a provider that does not finish in time is 504, however busy it looks."""
    provider.answer_next_token(answer)
    caller = await call(await start_gateway(IDP_TIMEOUT="0.3"))

    response = await caller.send(request("GET", "/", [JOHN]))

    assert (response.status, response.json()["error"]) == (504, "provider_timeout")
    assert upstream.requests == []


async def test_dropped_mid_body(gateway, call, provider):
    """A provider that drops the connection half way is 503."""
    provider.answer_next_token(Answer(drop="mid_body"))
    caller = await call(gateway)

    response = await caller.send(request("GET", "/", [JOHN]))

    assert response.status == 503


async def test_redirects_are_not_followed(gateway, call, provider, upstream):
    """D4: the Location of a redirect is never contacted."""
    provider.answer_next_token(
        Answer(307, b"", None, (("Location", f"{upstream.url}/stolen"),)), times=None
    )
    caller = await call(gateway)

    response = await caller.send(request("GET", "/", [JOHN]))

    assert response.status == 502
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("claims", "header"),
    [
        pytest.param({"iss": "http://127.0.0.1:1/other"}, {}, id="J14-other-issuer"),
        pytest.param({"azp": "somebody-else"}, {}, id="J16-other-client"),
        pytest.param({"client_id": "somebody-else"}, {}, id="J16-other-client-id"),
        pytest.param({"exp": 1}, {}, id="J18-expired"),
        pytest.param({"sub": ""}, {}, id="J20-no-subject"),
        pytest.param({"typ": "ID"}, {}, id="J17-id-token"),
        pytest.param({}, {"crit": ["b64"]}, id="J7-critical-extension"),
    ],
)
async def test_token_that_does_not_verify(gateway, call, provider, upstream, claims, header):
    """F8: a token for somebody else is 502; it is neither forwarded nor remembered."""
    provider.claims, provider.header = claims, header
    caller = await call(gateway)

    first = await caller.send(request("GET", "/", [JOHN]))
    provider.claims, provider.header = {}, {}
    second = await caller.send(request("GET", "/", [JOHN]))

    assert (first.status, second.status) == (502, 200)
    assert len(upstream.requests) == 1


async def test_opaque_access_token_is_named_in_the_log(gateway, call, provider, written):
    """An opaque access token is 502, and the access line says why."""
    provider.answer_next_token(NONSENSE["opaque_access_token"])
    caller = await call(gateway)

    await caller.send(request("GET", "/", [JOHN]))

    assert "opaque" in written()[-1]["cause"]


async def test_the_callers_answer_holds_no_provider_text(gateway, call, provider):
    """T8: the provider's description is not shown to the caller."""
    caller = await call(gateway)
    provider.answer_next_token(WRONG_PASSWORD["keycloak_disabled_user"])

    response = await caller.send(request("GET", "/", [JOHN]))

    assert b"disabled" not in response.body
    assert response.json()["request_id"].encode() == response.values(b"x-request-id")[0]
