"""Where in a request an access token of the caller may be, and where not."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.fakes.caller import basic, request
from tests.journeys.bringing import BEARER, CHALLENGES, EVERYWHERE, FORM, JSON, bearer, outcome


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
