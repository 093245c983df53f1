"""Callers that bring a JWT of the provider themselves (RFC 6750)."""

from __future__ import annotations

import base64
import json

import pytest

from tests.fakes.caller import RawCaller, basic, request
from tests.fakes.provider import FakeProvider
from tests.journeys.bringing import BEARER, CHALLENGES, EVERYWHERE, FORM, JSON, bearer, outcome


@pytest.mark.parametrize(
    ("methods", "scheme"),
    [
        pytest.param("bearer", "Bearer ", id="alone"),
        pytest.param("password,client_credentials,bearer", "bEaReR  ", id="beside-the-exchange"),
    ],
)
async def test_good_token(start_gateway, call, provider, upstream, methods, scheme):
    """A token that verifies is sent on as it is, without a call to the token endpoint."""
    caller = await call(await start_gateway(**BEARER | {"AUTH_METHODS": methods}))
    token = provider.mint("mary", "another-client")

    statuses = [
        (await caller.send(request("GET", "/", [bearer(token, scheme)]))).status for _ in range(3)
    ]

    assert [200, 200, 200] == statuses
    assert all(
        [b"Bearer " + token.encode()] == r.values(b"authorization") for r in upstream.requests
    )
    assert [] == provider.token_calls


async def test_verified_once(start_gateway, call, provider, written):
    """The second request with a token is answered from memory, and its line says so."""
    caller = await call(await start_gateway(**BEARER))
    token = provider.mint("mary", "x")

    for _ in range(2):
        await caller.send(request("GET", "/", [bearer(token)]))

    lines = [line for line in written() if "duration_ms" in line]
    assert ["token", "memory"] == [line["cache"] for line in lines]
    assert {"bearer"} == {line["grant"] for line in lines}
    assert 1 == len({line["user"] for line in lines})
    assert token[:40] not in str(lines)


async def test_exchange_goes_on(start_gateway, call, provider):
    """Basic callers are exchanged as before where tokens are taken too."""
    caller = await call(await start_gateway(**BEARER))

    assert (await caller.send(request("GET", "/", [basic("john", "doe")]))).status == 200
    assert 1 == len(provider.token_calls)


async def test_off_by_default(gateway, call, provider, upstream):
    """B12: without the method a good token of a caller is no credentials, and not sent on."""
    caller = await call(gateway)

    response = await caller.send(request("GET", "/", [bearer(provider.mint("mary", "x"))]))

    assert (401, "missing_credentials") == outcome(response)
    assert [CHALLENGES[1]] == response.values("www-authenticate")
    assert [] == upstream.requests


async def test_no_credentials(start_gateway, call):
    """RFC 6750 §3: a request without a token gets challenges without an error code."""
    caller = await call(await start_gateway(**BEARER))

    response = await caller.send(request("GET", "/"))

    assert (401, "missing_credentials") == outcome(response)
    assert [b'Bearer realm="bearergate"', CHALLENGES[1]] == response.values("www-authenticate")


WRONG_CLAIMS = [
    pytest.param({"exp": 1}, id="J18-expired"),
    pytest.param({"exp": "9999999999"}, id="J18-exp-string"),
    pytest.param({"nbf": 9_999_999_999}, id="J19-not-yet"),
    pytest.param({"iat": 9_999_999_999}, id="J19-from-the-future"),
    pytest.param({"iss": "https://other.example"}, id="J14-issuer"),
    pytest.param({"sub": ""}, id="J20-no-subject"),
    pytest.param({"aud": 5}, id="J15-aud-number"),
    pytest.param({"typ": "ID"}, id="J17-keycloak-id-token"),
    pytest.param({"typ": "Refresh"}, id="J17-keycloak-refresh-token"),
    pytest.param({"token_use": "id"}, id="J17-cognito-id-token"),
    pytest.param({"typ": "x", "at_hash": "x"}, id="J17-id-token-with-at-hash"),
    pytest.param({"typ": "x", "nonce": "x"}, id="J17-id-token-with-nonce"),
]


@pytest.mark.parametrize("claims", WRONG_CLAIMS)
async def test_wrong_claims(start_gateway, call, provider, upstream, claims):
    """A caller's token passes the checks of the provider's own, or is 401 `invalid_token`."""
    caller = await call(await start_gateway(**BEARER))

    response = await caller.send(
        request("GET", "/", [bearer(provider.mint("mary", "x", **claims))])
    )

    assert (401, "invalid_token") == outcome(response)
    assert CHALLENGES == response.values("www-authenticate")
    assert [] == upstream.requests


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda token: token[:-4] + "AAAA", id="signature"),
        pytest.param(lambda token: token + "=", id="J22-padded"),
        pytest.param(lambda token: token.rpartition(".")[0], id="two-segments"),
        pytest.param(lambda token: token.rpartition(".")[0] + ".", id="J1-no-signature"),
        pytest.param(lambda token: f"{token}.a.b", id="J10-encrypted"),
        pytest.param(lambda _token: "opaque-token", id="opaque"),
        pytest.param(lambda token: f"{token[:9]} {token[9:]}", id="space"),
        pytest.param(lambda token: token + "ä", id="not-ascii"),
        pytest.param(lambda _token: "", id="empty"),
        pytest.param(lambda token: token + "A" * 17_000, id="J11-too-long"),
    ],
)
async def test_spoilt_tokens(start_gateway, call, provider, upstream, spoil):
    """J22: what is not exactly a token of the provider is 401 `invalid_token`."""
    caller = await call(await start_gateway(**BEARER))

    response = await caller.send(request("GET", "/", [bearer(spoil(provider.mint("m", "x")))]))

    assert (401, "invalid_token") == outcome(response)
    assert [] == upstream.requests


async def test_a_spoilt_copy_of_a_known_token(start_gateway, call, provider):
    """J22: a token that is known in memory lends nothing to one that differs by a byte."""
    caller = await call(await start_gateway(**BEARER))
    token = provider.mint("mary", "x")
    await caller.send(request("GET", "/", [bearer(token)]))

    response = await caller.send(request("GET", "/", [bearer(token + "=")]))

    assert (401, "invalid_token") == outcome(response)


async def test_another_providers_token(start_gateway, call):
    """J21: a token of another issuer with the same claims is refused."""
    async with FakeProvider() as other:
        caller = await call(await start_gateway(**BEARER))
        response = await caller.send(request("GET", "/", [bearer(other.mint("mary", "x"))]))

    assert (401, "invalid_token") == outcome(response)


async def test_id_token_of_the_gateway(start_gateway, call, provider):
    """J17: an ID token whose audience is the very one required is not an access token."""
    caller = await call(await start_gateway(**BEARER | {"AUDIENCE_REQUIRED": "gateway"}))
    now = provider.mint("mary", "gateway")
    claims = json.loads(base64.urlsafe_b64decode(now.split(".")[1] + "=="))
    kept = {name: claims[name] for name in ("iss", "sub", "exp", "iat")}
    as_id_token = provider.key.sign(kept | {"aud": "gateway", "azp": "gateway"})
    as_access_token = provider.key.sign(kept | {"aud": "gateway", "scope": "orders"})
    typed = provider.key.sign(kept | {"aud": "gateway"}, {"typ": "at+jwt"})

    tokens = (as_id_token, as_access_token, typed)
    statuses = [(await caller.send(request("GET", "/", [bearer(t)]))).status for t in tokens]

    assert [401, 200, 200] == statuses


async def test_audience_is_asked_for_each_time(start_gateway, call, provider, upstream):
    """J15, J23: a token for another API is 403, the first time and the second."""
    caller = await call(await start_gateway(**BEARER))
    token = provider.mint("mary", "x", aud="other")

    statuses = [(await caller.send(request("GET", "/", [bearer(token)]))).status for _ in range(2)]

    assert [403, 403] == statuses
    assert [] == upstream.requests


async def test_any_audience(start_gateway, call, provider):
    """`INSECURE_ACCEPT_ANY_AUDIENCE` takes tokens for other APIs, and nothing else does."""
    settings = {"AUTH_METHODS": "bearer", "INSECURE_ACCEPT_ANY_AUDIENCE": "true"}
    caller = await call(await start_gateway(**settings))

    token = provider.mint("mary", "x", aud="other")

    assert (await caller.send(request("GET", "/", [bearer(token)]))).status == 200


async def test_withdrawn_key(start_gateway, call, provider):
    """A6, K1: a token by a key that is no longer published is refused although it was known."""
    caller = await call(await start_gateway(**BEARER))
    token = provider.mint("mary", "x")
    assert (await caller.send(request("GET", "/", [bearer(token)]))).status == 200
    provider.rotate(keep_old=False)
    new = provider.mint("mary", "x")

    assert (await caller.send(request("GET", "/", [bearer(new)]))).status == 200
    response = await caller.send(request("GET", "/", [bearer(token)]))

    assert response.status == 503  # the keys were fetched a moment ago


async def test_unknown_keys_do_not_hammer_the_provider(start_gateway, call, provider):
    """K2: callers who make up key ids cause one fetch, and hold up no token of the provider."""
    caller = await call(await start_gateway(**BEARER))
    before = provider.jwks_calls
    statuses = []
    for number in range(20):
        made_up = provider.key.sign({"iss": "x"}, {"kid": f"made-up-{number}"})
        statuses.append((await caller.send(request("GET", "/", [bearer(made_up)]))).status)
    assert [401] + [503] * 19 == statuses
    assert before + 1 == provider.jwks_calls
    provider.rotate(keep_old=False)

    assert (await caller.send(request("GET", "/", [basic("john", "doe")]))).status == 200
    assert before + 2 == provider.jwks_calls


async def test_purge(start_gateway, call, provider, written):
    """A7: a purge forgets what is known of a user's tokens; the next request checks them again."""
    gateway = await start_gateway(**BEARER)
    caller = await call(gateway)
    token = provider.mint("mary", "x")
    for _ in range(2):
        await caller.send(request("GET", "/", [bearer(token)]))
        async with RawCaller(gateway.admin_port) as admin:
            assert (await admin.send(request("DELETE", "/cache?user=mary"))).status == 200

    lines = [line for line in written() if line.get("grant") == "bearer"]
    assert ["token", "token"] == [line["cache"] for line in lines]


async def test_no_token_in_any_line_or_answer(start_gateway, call, provider, written):
    """L1: tokens of callers, good, spoilt and refused, are in no line and no answer."""
    gateway = await start_gateway(
        **EVERYWHERE, BEARER_TOKEN_AS_PASSWORD="true", LOG_LEVEL="debug", ROLES_REQUIRED="nobody"
    )
    token = provider.mint("mary", "x")
    secret = token.rpartition(".")[2]
    messages = [
        request("GET", "/", [bearer(token)]),
        request("GET", "/", [bearer(token + "=")]),
        request("GET", f"/?access_token={token}"),
        request("GET", f"/?access_token={token}&access_token={token}"),
        request("POST", "/", [FORM], f"access_token={token}".encode()),
        request("POST", "/", [JSON], f'{{"access_token":"{token}"'.encode()),
        request("GET", "/", [basic("", token)]),
        request("GET", "/", [basic("", token[:-2])]),
    ]
    answers = [await (await call(gateway)).send(message) for message in messages]

    assert [403, 401, 403, 400, 403, 400, 403, 401] == [answer.status for answer in answers]
    assert secret[:40] not in repr(written())
    assert all(secret[:40].encode() not in answer.body for answer in answers)
