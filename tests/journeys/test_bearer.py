"""Callers that bring a JWT of the provider themselves (RFC 6750)."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from tests.fakes.caller import RawCaller, basic, request
from tests.fakes.provider import FakeProvider

BEARER = {"AUTH_METHODS": "password,client_credentials,bearer", "AUDIENCE_REQUIRED": "api"}
EVERYWHERE = {**BEARER, "BEARER_TOKEN_PARAM_TYPE": "header,query,body"}
FORM = (b"Content-Type", b"application/x-www-form-urlencoded")
JSON = (b"Content-Type", b"application/json")
CHALLENGES = [
    b'Bearer realm="bearergate", error="invalid_token"',
    b'Basic realm="bearergate", charset="UTF-8"',
]


def bearer(token, scheme="Bearer "):
    """Write an ``Authorization`` field for a token (RFC 6750 §2.1)."""
    return b"Authorization", f"{scheme}{token}".encode()


def outcome(response):
    """Tell the status and the error of an answer."""
    return response.status, response.json()["error"]


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


@pytest.mark.parametrize(
    ("sent", "arrived"),
    [
        pytest.param("/x?access_token={}", b"/x", id="alone"),
        pytest.param("/x?a=1&access_token={}&b=%20", b"/x?a=1&b=%20", id="among"),
        pytest.param("/x?access%5Ftoken={}&a", b"/x?a", id="C7-encoded-name"),
    ],
)
async def test_query(start_gateway, call, provider, upstream, sent, arrived):
    """C6: a token in the query is taken out, and every other byte stays."""
    caller = await call(await start_gateway(**EVERYWHERE))
    target = sent.format(quote(provider.mint("mary", "x")))

    assert (await caller.send(request("GET", target))).status == 200
    assert arrived == upstream.requests[0].target


@pytest.mark.parametrize(
    ("field", "sent", "arrived"),
    [
        pytest.param(FORM, "a=1&access_token={}&b", b"a=1&b", id="form"),
        pytest.param(JSON, '{{"a": 1,"access_token":"{}"}}', b'{"a": 1}', id="json"),
    ],
)
async def test_body(start_gateway, call, provider, upstream, field, sent, arrived):
    """C6: a token in the body is taken out, with one correct framing field."""
    caller = await call(await start_gateway(**EVERYWHERE))
    body = sent.format(provider.mint("mary", "x")).encode()

    assert (await caller.send(request("POST", "/x", [field], body))).status == 200
    assert arrived == upstream.requests[0].body
    assert [str(len(arrived)).encode()] == upstream.requests[0].values(b"content-length")


async def test_body_without_a_token(start_gateway, call, upstream):
    """A body that was searched in vain arrives whole when another credential is good."""
    caller = await call(await start_gateway(**EVERYWHERE))

    body = b"a=1&access_tokens=2"
    response = await caller.send(request("POST", "/x", [FORM, basic("john", "doe")], body))

    assert response.status == 200
    assert body == upstream.requests[0].body


async def test_body_is_read_once(start_gateway, call, upstream):
    """A pair in the body is found after the search for a token."""
    caller = await call(await start_gateway(**EVERYWHERE, PASSWORD_PARAM_TYPE="body"))

    response = await caller.send(request("POST", "/x", [FORM], b"username=john&a=1&password=doe"))

    assert response.status == 200
    assert b"a=1" == upstream.requests[0].body


async def test_places_that_are_off(start_gateway, call, provider, upstream):
    """C1: query and body carry no token unless switched on."""
    caller = await call(await start_gateway(**BEARER))
    token = provider.mint("mary", "x")
    messages = [
        request("GET", f"/?access_token={token}"),
        request("POST", "/", [FORM], f"access_token={token}".encode()),
    ]

    statuses = [(await caller.send(message)).status for message in messages]

    assert [401, 401] == statuses
    assert [] == upstream.requests


@pytest.mark.parametrize(
    ("more", "target", "fields", "body"),
    [
        pytest.param({}, "/?access_token={t}", ["basic"], None, id="query-and-basic"),
        pytest.param({}, "/?access_token={t}", ["bearer"], None, id="query-and-header"),
        pytest.param({}, "/", ["bearer", "basic"], None, id="B8-two-fields"),
        pytest.param({}, "/", ["bearer", "bearer"], None, id="B8-the-same-twice"),
        pytest.param({}, "/", ["list"], None, id="B8-a-list"),
        pytest.param({}, "/?access_token={t}&access_token={t}", [], None, id="C3-twice"),
        pytest.param({}, "/?access_token={t}", [], "access_token={t}", id="query-and-body"),
        pytest.param({}, "/", ["bearer"], "access_token={t}", id="header-and-body"),
        pytest.param(
            {"PASSWORD_PARAM_TYPE": "query"},
            "/?username=john&password=doe",
            ["bearer"],
            None,
            id="header-and-pair",
        ),
        pytest.param(
            {"PASSWORD_PARAM_TYPE": "query"},
            "/?username=john&password=doe&access_token={t}",
            [],
            None,
            id="query-and-pair",
        ),
        pytest.param(
            {"PASSWORD_PARAM_TYPE": "body"},
            "/?access_token={t}",
            [],
            "username=john&password=doe",
            id="query-and-pair-in-body",
        ),
    ],
)
async def test_two_credentials(start_gateway, call, provider, upstream, more, target, fields, body):
    """B8, B9: a token beside anything else is 400, and nobody is asked."""
    caller = await call(await start_gateway(**EVERYWHERE | more))
    token = provider.mint("mary", "x")
    known = {
        "basic": basic("john", "doe"),
        "bearer": bearer(token),
        "list": bearer(f"{token}, Basic am9objpkb2U="),
    }
    content = None if body is None else body.format(t=token).encode()
    sent = [*(known[name] for name in fields), *([FORM] if body else [])]

    response = await caller.send(
        request("POST" if body else "GET", target.format(t=token), sent, content)
    )

    assert (400, "invalid_request") == outcome(response)
    assert ([], []) == (provider.token_calls, upstream.requests)


@pytest.mark.parametrize("user", ["", "oauth2accesstoken"])
async def test_token_as_password(start_gateway, call, provider, upstream, user):
    """A tool that can do nothing but Basic brings a token as the password of nobody."""
    settings = {**BEARER, "BEARER_TOKEN_AS_PASSWORD": "true"}
    caller = await call(await start_gateway(**settings))
    token = provider.mint("mary", "x")

    assert (await caller.send(request("GET", "/", [basic(user, token)]))).status == 200
    assert (await caller.send(request("GET", "/", [basic("john", "doe")]))).status == 200
    assert [b"Bearer " + token.encode()] == upstream.requests[0].values(b"authorization")
    assert 1 == len(provider.token_calls)


@pytest.mark.parametrize(
    ("settings", "user", "calls"),
    [
        pytest.param(BEARER, "oauth2accesstoken", 2, id="off-is-an-ordinary-user"),
        pytest.param(BEARER, "", 0, id="off-is-nobody"),
        pytest.param({**BEARER, "BEARER_TOKEN_AS_PASSWORD": "true"}, "john", 2, id="another-user"),
    ],
)
async def test_token_as_password_of_somebody(
    start_gateway, call, provider, upstream, settings, user, calls
):
    """A token is not taken for one where the setting is off or the user is somebody."""
    caller = await call(await start_gateway(**settings))

    response = await caller.send(request("GET", "/", [basic(user, provider.mint("mary", "x"))]))

    assert (401, "invalid_credentials") == outcome(response)
    assert calls == len(provider.token_calls)
    assert [] == upstream.requests


async def test_wrong_token_as_password(start_gateway, call):
    """A wrong token as a password is 401 with both challenges, and no login."""
    settings = {"AUTH_METHODS": "bearer", "AUDIENCE_REQUIRED": "api"}
    caller = await call(await start_gateway(**settings, BEARER_TOKEN_AS_PASSWORD="true"))

    response = await caller.send(request("GET", "/", [basic("", "no-token")]))

    assert (401, "invalid_token") == outcome(response)
    assert CHALLENGES == response.values("www-authenticate")


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
