"""Tokens that say nothing themselves: the provider is asked about them (RFC 7662)."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes.answers import HTML, LOGIN_PAGE, REMOVED, Answer, redirect, refusal
from tests.fakes.asked_provider import AskedProvider
from tests.fakes.caller import RawCaller, basic, request
from tests.fakes.waiting import until

ASKING = {"AUTH_METHODS": "password,client_credentials,introspection", "AUDIENCE_REQUIRED": "api"}
LIMITED = {**ASKING, "FAILED_LOGINS_MAX": "1", "FAILED_LOGINS_WINDOW": "600"}
BOTH = {**ASKING, "AUTH_METHODS": "bearer,introspection"}
CHALLENGE = b'Bearer realm="bearergate", error="invalid_token"'


@pytest.fixture
async def provider():
    """Return a provider that issues opaque tokens and is asked about them."""
    async with AskedProvider() as fake:
        yield fake


def get(token):
    """Write a request that carries a token."""
    return request("GET", "/", [(b"Authorization", b"Bearer " + token.encode())])


async def test_active_token(start_gateway, call, provider, upstream, written):
    """An active token is sent on as it is, and the provider is asked about it once."""
    caller = await call(await start_gateway(**ASKING))
    token = provider.mint("mary", "x")

    statuses = [(await caller.send(get(token))).status for _ in range(3)]

    assert [200, 200, 200] == statuses
    assert [b"Bearer " + token.encode()] == upstream.requests[2].values(b"authorization")
    (asked,) = provider.asked
    assert ("gateway", token) == (asked.client_id, asked.form["token"])
    assert "access_token" == asked.form["token_type_hint"]
    lines = [line for line in written() if line.get("grant") == "introspection"]
    assert ["provider", "memory", "memory"] == [line["cache"] for line in lines]


async def test_inactive_token(start_gateway, call, provider, upstream):
    """A token that is not active is 401, remembered for `CACHE_TTL_NEG` and sent nowhere."""
    caller = await call(await start_gateway(**ASKING, CACHE_TTL_NEG="30"))

    answers = [await caller.send(get("unknown-token")) for _ in range(3)]

    assert [(401, "invalid_token")] * 3 == [(a.status, a.json()["error"]) for a in answers]
    assert CHALLENGE in answers[0].values("www-authenticate")
    assert 1 == len(provider.asked)
    assert [] == upstream.requests


async def test_inactive_token_is_asked_about_again(start_gateway, call, provider):
    """Without `CACHE_TTL_NEG` nothing is remembered against a token."""
    caller = await call(await start_gateway(**ASKING, CACHE_TTL_NEG="0"))
    await caller.send(get("token-1"))
    provider.issued["token-1"] = {"sub": "mary", "aud": "api", "token_type": "Bearer"}

    assert (await caller.send(get("token-1"))).status == 200
    assert 2 == len(provider.asked)


async def send(gateway, token, source=None):
    """Send one request with this token on a connection of its own."""
    async with RawCaller(gateway.port, source=source) as caller:
        return await caller.send(get(token))


async def test_invented_tokens(start_gateway, provider):
    """R4: twenty times `FAILED_LOGINS_MAX` invented tokens of one address are asked about.

    A token that is known already, other addresses and logins are not affected.
    """
    gateway = await start_gateway(**LIMITED)
    known = provider.mint("mary", "x")
    assert (await send(gateway, known)).status == 200

    answers = [await send(gateway, f"invented-{n}") for n in range(30)]

    assert [401] * 20 + [429] * 10 == [answer.status for answer in answers]
    assert 1 + 20 == len(provider.asked)
    assert "too_many_attempts" == answers[-1].json()["error"]
    assert 0 < int(answers[-1].values("retry-after")[0]) <= 600
    assert (await send(gateway, provider.mint("mary", "x"))).status == 429
    assert (await send(gateway, known)).status == 200
    assert (await send(gateway, provider.mint("mary", "x"), "127.0.0.2")).status == 200
    async with RawCaller(gateway.port) as caller:
        assert (await caller.send(request("GET", "/", [basic("john", "doe")]))).status == 200


async def test_invented_tokens_at_once(start_gateway, provider):
    """R4: a crowd gets no more invented tokens past the limit than one after the other."""
    gateway = await start_gateway(**LIMITED)

    answers = await asyncio.gather(*(send(gateway, f"invented-{n}") for n in range(60)))

    assert [401] * 20 + [429] * 40 == sorted(answer.status for answer in answers)
    assert 20 == len(provider.asked)


async def test_failures_of_the_provider_do_not_count(start_gateway, provider):
    """R4: a token the provider said nothing about counts against nobody."""
    gateway = await start_gateway(**LIMITED)
    provider.answer("introspect", Answer(400), times=25)

    failed = [(await send(gateway, f"token-{n}")).status for n in range(25)]

    assert [502] * 25 == failed
    assert (await send(gateway, "invented")).status == 401


async def test_one_invented_token(start_gateway, provider):
    """R4: what is asked about again counts for the address, without a limit of its own."""
    gateway = await start_gateway(**LIMITED, CACHE_TTL_NEG="0")

    statuses = [(await send(gateway, "expired")).status for _ in range(21)]

    assert [401] * 20 + [429] == statuses
    assert 20 == len(provider.asked)


@pytest.mark.parametrize("setting", ["CACHE_TTL_MAX", "exp"])
async def test_not_kept(start_gateway, call, provider, setting):
    """What was said is kept neither beyond `exp` nor beyond `CACHE_TTL_MAX`."""
    ttl_max = {"CACHE_TTL_MAX": "0"} if setting == "CACHE_TTL_MAX" else {}
    caller = await call(await start_gateway(**ASKING, **ttl_max))
    provider.lifetime = -1 if setting == "exp" else 300  # within the leeway
    token = provider.mint("mary", "x")

    statuses = [(await caller.send(get(token))).status for _ in range(2)]

    assert [200, 200] == statuses
    assert 2 == len(provider.asked)


async def test_revoked_token(start_gateway, call, provider):
    """A7: a token that was revoked is refused as soon as it is asked about again."""
    gateway = await start_gateway(**ASKING)
    caller = await call(gateway)
    token = provider.mint("mary", "x")
    assert (await caller.send(get(token))).status == 200
    provider.issued.clear()
    assert (await caller.send(get(token))).status == 200
    async with RawCaller(gateway.admin_port) as admin:
        await admin.send(request("DELETE", "/cache?user=mary"))

    assert (await caller.send(get(token))).status == 401


@pytest.mark.parametrize(
    ("about", "status"),
    [
        pytest.param({}, 200, id="good"),
        pytest.param({"exp": REMOVED}, 200, id="no-exp"),
        pytest.param({"iss": REMOVED}, 200, id="no-iss"),
        pytest.param({"token_type": REMOVED}, 200, id="no-token-type"),
        pytest.param({"token_type": "bearer"}, 200, id="lower-case"),
        pytest.param({"token_use": "access_token"}, 200, id="hydra"),
        pytest.param({"exp": 9_999_999_999.5, "username": None}, 401, id="exp-out-of-range"),
        pytest.param({"exp": 1}, 401, id="J18-expired"),
        pytest.param({"exp": "soon"}, 401, id="J18-exp-string"),
        pytest.param({"nbf": 9_999_999_999}, 401, id="J19-not-yet"),
        pytest.param({"iss": "https://other.example"}, 401, id="J14-issuer"),
        pytest.param({"sub": REMOVED}, 200, id="of-a-client"),
        pytest.param({"sub": REMOVED, "client_id": REMOVED}, 401, id="J20-of-nobody"),
        pytest.param({"aud": 5}, 401, id="J15-aud-number"),
        pytest.param({"aud": "other"}, 403, id="J15-other-audience"),
        pytest.param({"aud": REMOVED}, 403, id="J15-no-audience"),
        pytest.param({"token_type": "DPoP"}, 401, id="bound-to-a-key"),
        pytest.param({"token_type": 5}, 401, id="token-type-number"),
        pytest.param({"typ": "Refresh"}, 401, id="J17-refresh-token"),
        pytest.param({"typ": "ID"}, 401, id="J17-id-token"),
        pytest.param({"token_use": "refresh_token"}, 401, id="J17-hydra-refresh-token"),
    ],
)
async def test_what_is_said(start_gateway, call, provider, upstream, about, status):
    """An active token is judged by what is said about it, like the claims of a JWT."""
    caller = await call(await start_gateway(**ASKING))
    provider.about = about
    token = provider.mint("mary", "x")

    statuses = [(await caller.send(get(token))).status for _ in range(2)]

    assert [status] * 2 == statuses
    assert (2 if status == 200 else 0) == len(upstream.requests)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        pytest.param(Answer(503), 503, id="unavailable"),
        pytest.param(Answer(429), 503, id="too-many"),
        pytest.param(Answer(drop="before"), 503, id="dropped"),
        pytest.param(refusal(400, "unsupported_token_type"), 502, id="unsupported-token-type"),
        pytest.param(refusal(401, "invalid_client"), 502, id="gateway-refused"),
        pytest.param(redirect("https://attacker.example/"), 502, id="D4-redirect"),
        pytest.param(Answer(200, LOGIN_PAGE, HTML), 502, id="login-page"),
        pytest.param(Answer(members={"active": "true"}), 502, id="active-as-text"),
        pytest.param(Answer(members={"active": REMOVED}), 502, id="active-missing"),
        pytest.param(Answer(repeated=(("active", True),)), 502, id="active-twice"),
        pytest.param(Answer(200, b"[true]"), 502, id="not-an-object"),
        pytest.param(Answer(members={"x": "x" * 70_000}), 502, id="too-large"),
        pytest.param(
            Answer(200, b"a.b.c", "application/token-introspection+jwt"), 502, id="signed"
        ),
        pytest.param(Answer(200, b"a.b.c", "application/jwt"), 502, id="jwt"),
    ],
)
async def test_bad_answers(start_gateway, call, provider, upstream, answer, status):
    """A provider that does not answer well is 502 or 503, and nothing is remembered of it."""
    caller = await call(await start_gateway(**ASKING))
    token = provider.mint("mary", "x")
    provider.answer("introspect", answer)

    response = await caller.send(get(token))

    assert status == response.status
    assert [] == upstream.requests
    assert (await caller.send(get(token))).status == 200


async def test_signed_answers_are_named(start_gateway, call, provider, written):
    """RFC 9701: the log says why a signed answer is refused, and what to do."""
    caller = await call(await start_gateway(**ASKING))
    provider.answer("introspect", Answer(200, b"a.b.c", "application/token-introspection+jwt"))
    await caller.send(get(provider.mint("mary", "x")))

    assert "application/json" in written()[-1]["cause"]


async def test_provider_timeout(start_gateway, call, provider):
    """T4: asking about a token is bounded in time like every call."""
    caller = await call(await start_gateway(**ASKING, IDP_TIMEOUT="2"))
    provider.gate.clear()

    assert (await caller.send(get("some-token"))).status == 504


async def test_breaker(start_gateway, call, provider):
    """T6: a provider that fails is not asked about tokens, and known ones are good meanwhile."""
    caller = await call(await start_gateway(**ASKING))
    known = provider.mint("mary", "x")
    assert (await caller.send(get(known))).status == 200
    provider.answer("introspect", Answer(503), times=None)
    for number in range(8):
        assert (await caller.send(get(f"token-{number}"))).status == 503

    assert (await caller.send(get(known))).status == 200
    assert len(provider.asked) < 9


async def test_crowd(start_gateway, provider):
    """A10: a crowd with one token asks once; different tokens never mix."""
    gateway = await start_gateway(**ASKING)
    provider.gate.clear()
    one, other = provider.mint("mary", "x"), provider.mint("anna", "x", aud="other")

    async def ask(token):
        async with RawCaller(gateway.port) as caller:
            return (await caller.send(get(token))).status

    crowd = [asyncio.create_task(ask(one if number % 2 else other)) for number in range(20)]
    await until(lambda: len(provider.asked) == 2)
    provider.gate.set()

    assert [403, 200] * 10 == await asyncio.gather(*crowd)
    assert 2 == len(provider.asked)


async def test_jwts_are_verified_here(start_gateway, call, provider):
    """With both methods a JWT is verified without asking, and an opaque token is asked about."""
    caller = await call(await start_gateway(**BOTH))
    opaque = provider.mint("mary", "x")
    provider.opaque = False
    signed = provider.mint("mary", "x")

    assert [200, 200] == [(await caller.send(get(token))).status for token in (opaque, signed)]
    assert [opaque] == [asked.form["token"] for asked in provider.asked]


async def test_jwts_that_fail_are_not_asked_about(start_gateway, call, provider):
    """With both methods a JWT that does not verify is refused, whatever the provider would say."""
    caller = await call(await start_gateway(**BOTH))
    provider.opaque = False
    token = provider.mint("mary", "x", exp=1)

    assert (await caller.send(get(token))).status == 401
    assert [] == provider.asked


async def test_jwts_are_asked_about(start_gateway, call, provider):
    """With introspection alone a JWT is asked about too, so that one revoked is found out."""
    caller = await call(await start_gateway(**ASKING))
    provider.opaque = False
    token = provider.mint("mary", "x")
    provider.issued.clear()

    assert (await caller.send(get(token))).status == 401
    assert 1 == len(provider.asked)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("a.b.c", id="three-segments"),
        pytest.param("e30.e30.e30", id="objects-without-alg"),
        pytest.param("a.b.c.d.e", id="J10-encrypted"),
    ],
)
async def test_opaque_tokens_with_dots(start_gateway, call, provider, token):
    """What has dots and no header of a JWS is opaque, and asked about."""
    caller = await call(await start_gateway(**BOTH))
    provider.issued[token] = {"sub": "mary", "aud": "api"}

    assert (await caller.send(get(token))).status == 200


async def test_off(start_gateway, call, provider):
    """Without the method an opaque token of a caller is refused, and nobody is asked."""
    caller = await call(await start_gateway(AUTH_METHODS="bearer", AUDIENCE_REQUIRED="api"))

    assert (await caller.send(get(provider.mint("mary", "x")))).status == 401
    assert [] == provider.asked


async def test_rules_on_a_known_token(start_gateway, call, provider):
    """J23: rules are asked on every request, also about what the provider said before."""
    caller = await call(await start_gateway(**ASKING, SCOPES_REQUIRED="orders"))
    tokens = [provider.mint("mary", "x", "orders"), provider.mint("mary", "x", "other")] * 2

    assert [200, 403] * 2 == [(await caller.send(get(token))).status for token in tokens]
    assert 2 == len(provider.asked)


async def test_another_endpoint(start_gateway, call, provider):
    """`INTROSPECTION_ENDPOINT` goes before the discovered one, and works without it."""
    provider.metadata = {"introspection_endpoint": REMOVED}
    url = f"{provider.issuer}/introspect"
    caller = await call(await start_gateway(**ASKING, INTROSPECTION_ENDPOINT=url))

    assert (await caller.send(get(provider.mint("mary", "x")))).status == 200


async def test_no_endpoint(start_gateway, call, provider, written):
    """A provider that cannot be asked is 502, and the log says what is missing."""
    provider.metadata = {"introspection_endpoint": REMOVED}
    caller = await call(await start_gateway(**ASKING))

    assert (await caller.send(get(provider.mint("mary", "x")))).status == 502
    assert "introspection_endpoint" in written()[-1]["cause"]


@pytest.mark.parametrize(
    ("pair", "about", "status"),
    [
        pytest.param(("john", "doe"), {}, 200, id="user"),
        pytest.param(("service", "service-secret"), {"sub": REMOVED}, 200, id="client"),
        pytest.param(("john", "doe"), {"active": False}, 502, id="not-active"),
        pytest.param(("john", "doe"), {"client_id": "another"}, 502, id="J16-another-client"),
        pytest.param(("john", "doe"), {"aud": "other"}, 403, id="J15-another-audience"),
    ],
)
async def test_opaque_tokens_of_the_token_endpoint(
    start_gateway, call, provider, upstream, pair, about, status
):
    """An opaque token that the provider issues for a pair is asked about, once."""
    caller = await call(await start_gateway(AUDIENCE_REQUIRED="api"))
    provider.about = about

    answers = [await caller.send(request("GET", "/", [basic(*pair)])) for _ in range(2)]

    assert [status] * 2 == [answer.status for answer in answers]
    if status == 200:
        assert 1 == len(provider.asked)
        token = provider.asked[0].form["token"]
        assert [b"Bearer " + token.encode()] == upstream.requests[1].values(b"authorization")


async def test_opaque_tokens_without_a_client(start_gateway, call, provider, written):
    """Without a client of its own the gateway cannot ask: 502, and the log says so."""
    settings = {"AUTH_METHODS": "client_credentials", "CLIENT_ID": "", "CLIENT_SECRET": ""}
    caller = await call(await start_gateway(**settings))

    response = await caller.send(request("GET", "/", [basic("service", "service-secret")]))

    assert response.status == 502
    assert "CLIENT_ID" in written()[-1]["cause"]


async def test_no_token_in_any_line(start_gateway, call, provider, written):
    """L1: an opaque token is in no line of the log, good or bad."""
    caller = await call(await start_gateway(**ASKING, LOG_LEVEL="debug"))
    token = provider.mint("mary", "x")
    await caller.send(get(token))
    await caller.send(get("CANARY-unknown"))

    text = str(written())
    assert token not in text
    assert "CANARY" not in text
