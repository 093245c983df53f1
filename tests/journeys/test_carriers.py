"""Credentials in header, query and body: found, used, and gone from the request sent on."""

from __future__ import annotations

import pytest

from tests.fakes.caller import basic, request

JOHN = basic("john", "doe")
EVERYWHERE = {
    "PASSWORD_PARAM_TYPE": "header,query,body",
    "CLIENT_CREDENTIALS_PARAM_TYPE": "header,query,body",
}
FORM = (b"Content-Type", b"application/x-www-form-urlencoded")
JSON = (b"Content-Type", b"application/json; charset=utf-8")
CHUNKED = (b"Transfer-Encoding", b"chunked")


@pytest.fixture
async def caller(start_gateway, call):
    """Return a connection to a gateway that looks for credentials everywhere."""
    return await call(await start_gateway(**EVERYWHERE))


@pytest.mark.parametrize(
    ("sent", "arrived"),
    [
        pytest.param("/x?username=john&password=doe", b"/x", id="alone"),
        pytest.param("/x?a=1&username=john&b=%20&password=doe&c", b"/x?a=1&b=%20&c", id="among"),
        pytest.param("/x?pass%77ord=doe&a=;&username=john", b"/x?a=;", id="C7-encoded-name"),
        pytest.param("/x?client_id=service&client_secret=service-secret&a", b"/x?a", id="client"),
    ],
)
async def test_query(caller, upstream, sent, arrived):
    """C6, C7: query credentials are taken out, every other byte of the query is unchanged."""
    response = await caller.send(request("GET", sent))

    assert response.status == 200
    assert arrived == upstream.requests[0].target


async def test_query_credentials_leave_no_trace(caller, upstream):
    """C8: the Referer of a request with query credentials is not sent on."""
    referer = (b"Referer", b"http://gateway.test/x?username=john&password=doe")

    await caller.send(request("GET", "/x?username=john&password=doe", [referer]))

    sent_on = upstream.requests[0]
    assert b"referer" not in {name.lower() for name, _ in sent_on.headers}
    assert b"password" not in sent_on.target


@pytest.mark.parametrize(
    ("field", "sent", "arrived"),
    [
        pytest.param(FORM, b"username=john&password=doe", b"", id="form-alone"),
        pytest.param(
            FORM, b"a=1&username=john&b=%C3%A9+&password=doe", b"a=1&b=%C3%A9+", id="form-among"
        ),
        pytest.param(
            JSON,
            b'{ "a": 1.0,\n "username":"john", "b": [ ], "password" : "doe" }',
            None,
            id="json-among",
        ),
        pytest.param(
            FORM,
            b"client_id=service&client_secret=service-secret&x=%",
            b"x=%",
            id="form-client",
        ),
    ],
)
async def test_body(caller, upstream, field, sent, arrived):
    """C6: body credentials are taken out, with one correct framing field."""
    response = await caller.send(request("POST", "/x", [field], sent))

    seen = upstream.requests[0]
    assert response.status == 200
    assert [str(len(seen.body)).encode()] == seen.values(b"content-length")
    assert seen.values(b"transfer-encoding") == []
    if arrived is not None:
        assert arrived == seen.body
    assert b"doe" not in seen.body
    assert b"secret" not in seen.body


async def test_body_is_reframed_when_chunked(caller, upstream):
    """C6: a chunked body with credentials goes on with a Content-Length of its own."""
    body = b"9\r\nusername=\r\n11\r\njohn&password=doe\r\n4\r\n&a=1\r\n0\r\n\r\n"

    response = await caller.send(request("POST", "/x", [FORM, CHUNKED]) + body)

    seen = upstream.requests[0]
    assert response.status == 200
    assert (seen.body, seen.values(b"content-length")) == (b"a=1", [b"3"])


@pytest.mark.parametrize(
    ("method", "target", "headers", "body"),
    [
        pytest.param("GET", "/?username=john&password=doe", [JOHN], b"", id="B9-header-and-query"),
        pytest.param("POST", "/", [JOHN, FORM], b"username=a&password=b", id="B9-header-and-body"),
        pytest.param(
            "POST",
            "/?username=john&password=doe",
            [FORM],
            b"username=john&password=doe",
            id="query-and-body",
        ),
        pytest.param(
            "GET",
            "/?username=john&password=doe",
            [(b"Authorization", b"Bearer x.y.z")],
            b"",
            id="bearer-and-query",
        ),
        pytest.param("GET", "/", [JOHN, JOHN], b"", id="B8-two-authorization-fields"),
        pytest.param(
            "GET", "/", [(b"Authorization", JOHN[1] + b", " + JOHN[1])], b"", id="B8-list"
        ),
        pytest.param("GET", "/?username=john&password=doe&username=x", [], b"", id="C3-query"),
        pytest.param(
            "POST", "/", [FORM], b"username=john&password=doe&password=x", id="C3-duplicate-form"
        ),
        pytest.param(
            "POST",
            "/",
            [FORM],
            b"username=john&password=doe&client_id=service&client_secret=service-secret",
            id="two-kinds",
        ),
        pytest.param("POST", "/", [JSON], b'{"username":"a","username":"b"}', id="C4-duplicate"),
        pytest.param("POST", "/", [JSON], b'{"username":', id="C4-broken"),
        pytest.param("POST", "/", [JSON], b'["username"]', id="C4-not-an-object"),
        pytest.param("POST", "/", [JSON], b'{"username":1,"password":"x"}', id="C4-number"),
        pytest.param("POST", "/", [JSON], b'{"a":NaN}', id="C4-nan"),
        pytest.param("POST", "/", [JSON], b"[" * 40 + b"]" * 40, id="C4-deep"),
        pytest.param(
            "POST",
            "/",
            [FORM, (b"Content-Encoding", b"gzip")],
            b"username=john&password=doe",
            id="C9-content-encoding",
        ),
        pytest.param("GET", "http://john:doe@gateway.test/", [], b"", id="C10-userinfo"),
    ],
)
async def test_what_can_be_read_two_ways(caller, provider, upstream, method, target, headers, body):
    """A message with two readings is 400; neither the provider nor the upstream hears of it."""
    response = await caller.send(request(method, target, headers, body))

    assert (response.status, response.json()["error"]) == (400, "invalid_request")
    assert (provider.token_calls, upstream.requests) == ([], [])


@pytest.mark.parametrize(
    ("length", "status"),
    [pytest.param(65536, 200, id="at-the-bound"), pytest.param(65537, 413, id="one-more")],
)
async def test_body_bound(caller, upstream, length, status):
    """C2: a body that may hold credentials is read up to 64 KiB, not a byte further."""
    body = b"username=john&password=doe&pad="

    response = await caller.send(request("POST", "/", [FORM], body + b"x" * (length - len(body))))

    assert status == response.status
    assert (1 if status == 200 else 0) == len(upstream.requests)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([(b"Content-Type", b"multipart/form-data; boundary=x")], id="C5-multipart"),
        pytest.param([(b"Content-Type", b"text/plain")], id="text"),
        pytest.param([], id="no-type"),
    ],
)
async def test_other_bodies_carry_no_credentials(caller, provider, upstream, headers):
    """C5: a body of another type is not searched, so the request has no credentials."""
    response = await caller.send(request("POST", "/", headers, b"username=john&password=doe"))

    assert (response.status, response.json()["error"]) == (401, "missing_credentials")
    assert (provider.token_calls, upstream.requests) == ([], [])


async def test_other_bodies_are_streamed_on(caller, upstream):
    """With the credentials in the header, a body of another type goes on as it is."""
    response = await caller.send(
        request("POST", "/", [JOHN, (b"Content-Type", b"text/plain")], b"password=doe")
    )

    assert response.status == 200
    assert upstream.requests[0].body == b"password=doe"


@pytest.mark.parametrize(
    ("target", "headers", "body"),
    [
        pytest.param("/?username=john&password=doe", [], b"", id="query"),
        pytest.param("/", [FORM], b"username=john&password=doe", id="body"),
    ],
)
async def test_off_by_default(gateway, call, provider, upstream, target, headers, body):
    """C1: query and body carry no credentials unless the operator says so."""
    caller = await call(gateway)

    response = await caller.send(request("POST", target, headers, body))

    assert (response.status, response.json()["error"]) == (401, "missing_credentials")
    assert (provider.token_calls, upstream.requests) == ([], [])


async def test_credentials_can_be_left_in_place(start_gateway, call, upstream):
    """HIDE_CREDENTIALS=false leaves query and body as they were; Authorization is still set."""
    gateway = await start_gateway(**EVERYWHERE, HIDE_CREDENTIALS="false")
    caller = await call(gateway)

    await caller.send(request("GET", "/?username=john&password=doe"))
    await caller.send(request("POST", "/", [FORM], b"username=john&password=doe"))

    by_query, by_body = upstream.requests
    assert by_query.target == b"/?username=john&password=doe"
    assert by_body.body == b"username=john&password=doe"
    assert by_query.values(b"authorization")[0].startswith(b"Bearer ")


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"Basic", id="nothing"),
        pytest.param(b"Basic\tam9objpkb2U=", id="B1-tab"),
        pytest.param(b"Basic am9objpkb2U", id="B7-no-padding"),
        pytest.param(b"Basic am9objpkb2V=", id="B7-trailing-bits"),
        pytest.param(b"Basic am9obmRvZQ==", id="B2-no-colon"),
        pytest.param(b"Basic OmRvZQ==", id="B6-empty-user"),
        pytest.param(b"Basic am9objo=", id="B6-empty-password"),
        pytest.param(b"Basic am9objoKZG9l", id="B5-control-character"),
        pytest.param(b"Basic am9objr/", id="B3-not-utf-8"),
    ],
)
async def test_unreadable_basic(gateway, call, provider, upstream, value):
    """An unreadable Basic value is 401 with a challenge, and nobody else hears of it."""
    caller = await call(gateway)

    response = await caller.send(request("GET", "/", [(b"Authorization", value)]))

    assert (response.status, response.json()["error"]) == (401, "invalid_credentials")
    assert len(response.values(b"www-authenticate")) == 1
    assert (provider.token_calls, upstream.requests) == ([], [])


async def test_bearer_from_the_caller_is_off(gateway, call, provider, upstream):
    """B12: a caller's own Bearer token is not taken and never forwarded."""
    caller = await call(gateway)
    token = provider.mint("john", "gateway")

    response = await caller.send(
        request("GET", "/", [(b"Authorization", f"Bearer {token}".encode())])
    )

    assert (response.status, response.json()["error"]) == (401, "missing_credentials")
    assert upstream.requests == []


async def test_names_are_taken_as_they_are(gateway, call, provider):
    """B4: no trimming, folding or normalisation between the caller and the provider."""
    caller = await call(gateway)
    pairs = {"Jo\u0308hn ": " p:\u00e4 %+&", "JOHN": "doe", "x&grant_type=y": "a=b"}
    provider.users.update(pairs)

    statuses = {
        (await caller.send(request("GET", "/", [basic(name, password)]))).status
        for name, password in pairs.items()
    }

    assert {200} == statuses
    sent = {call.form["username"]: call.form["password"] for call in provider.token_calls}
    assert pairs == sent
