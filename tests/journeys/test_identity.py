"""What upstream and caller are told about who is calling, through the composed gateway."""

from __future__ import annotations

import base64
import json

import pytest

from tests.fakes.asked_provider import AskedProvider
from tests.fakes.caller import basic, request
from tests.fakes.websocket import WebSocketUpstream, receive, websocket
from tests.settings.environments import written as file_of

JOHN, SERVICE = basic("john", "doe"), basic("service", "service-secret")
FIELDS = {"UPSTREAM_HEADERS": "X-User=preferred_username,X-Email=email,X-Groups=groups"}
PUBLIC = """
routes:
- {name: public, paths: [/public], auth_methods: []}
- {name: other, paths: [/other], upstream_headers: {X-Other: sub}}
- name: rest
"""
CONSUMERS = """
consumers:
- {username: john, custom_id: c-1, id: id-1, groups: [gold]}
- {username: guest, groups: [guests]}
consumer_claims: [preferred_username]
"""


@pytest.fixture
def send(start_gateway, call, tmp_path, upstream):
    """Return a function that sends a request through a gateway with this file and settings."""

    async def send(data, text="", **settings):
        caller = await call(await start_gateway(file_of(tmp_path, text), **settings))
        return await caller.send(data), upstream.requests

    return send


def seen(recorded, *names):
    """Return the values of these fields, each once or none."""
    return [b"|".join(recorded.values(name)) for name in names]


async def test_claims(send, provider):
    """Claims arrive as fields, the same from the cache, and a list in one of them."""
    provider.claims = {"email": "jörg@x.example", "groups": ["a", "b,c"]}
    response, requests = await send(request("GET", "/", [JOHN]), **FIELDS)

    assert response.status == 200
    values = seen(requests[0], b"x-user", b"x-email", b"x-groups")
    assert [b"john", b"j%C3%B6rg@x.example", b"a, b%2Cc"] == values
    assert requests[0].values(b"authorization")[0].startswith(b"Bearer ey")


async def test_claims_of_a_cached_caller(start_gateway, call, provider, upstream):
    """A cached caller is told about like a new one, and each caller as itself."""
    provider.users["anna"] = "anna"
    caller = await call(await start_gateway(**FIELDS))

    for user in (JOHN, basic("anna", "anna"), JOHN, SERVICE, basic("anna", "anna")):
        assert (await caller.send(request("GET", "/", [user]))).status == 200

    names = [b"".join(each.values(b"x-user")) for each in upstream.requests]
    assert [b"john", b"anna", b"john", b"service", b"anna"] == names
    assert 4 >= len(provider.token_calls)


FORGED = [
    pytest.param("X-User", id="P3-as-configured"),
    pytest.param("x-uSER", id="P3-case"),
    pytest.param("X.User", id="P3-dot"),
    pytest.param("X--User", id="P3-dashes"),
    pytest.param("-X-User-", id="P3-dashes-around"),
    pytest.param("X'User", id="P3-quote"),
    pytest.param("X-Other", id="P3-of-another-route"),
    pytest.param("X-Consumer-ID", id="P3-consumer"),
    pytest.param("X-Anonymous-Consumer", id="P3-anonymous"),
    pytest.param("X-Authenticated-Userid", id="P3-user"),
]


@pytest.mark.parametrize("name", FORGED)
async def test_forged(start_gateway, call, tmp_path, upstream, name):
    """P3, P4: no caller sends a field that some route fills, with a claim for it or without."""
    file = file_of(tmp_path, PUBLIC)
    caller = await call(await start_gateway(file, UPSTREAM_HEADERS="X-User=no.such.claim"))
    for path in ("/public", "/other", "/rest"):
        for more in ([], [("Connection", "X-User")], [("Connection", "keep-alive, " + name)]):
            fields = [(name, "CANARY"), (name, "CANARY"), *more, JOHN]
            assert (await caller.send(request("GET", path, fields))).status == 200

    assert not [each for each in upstream.requests if b"CANARY" in repr(each.headers).encode()]
    assert 9 == len(upstream.requests)


async def test_underscores(send):
    """P3: a field name with an underscore is refused."""
    response, requests = await send(request("GET", "/", [("X_User", "a"), JOHN]), **FIELDS)

    assert (400, []) == (response.status, requests)


async def test_absent_claim(send):
    """P4: of a claim that is not there nothing arrives."""
    fields = [("X-Email", "CANARY"), JOHN]
    _, requests = await send(request("GET", "/", fields), **FIELDS)

    assert [b"john", b""] == seen(requests[0], b"x-user", b"x-email")


async def test_preflight(send):
    """P3: a preflight that goes on without credentials brings no identity either."""
    fields = [
        ("Origin", "https://app.example"), ("Access-Control-Request-Method", "PUT"),
        ("X-User", "CANARY"),
    ]  # fmt: skip
    _, requests = await send(request("OPTIONS", "/", fields), **FIELDS, RUN_ON_PREFLIGHT="false")

    assert [b""] == seen(requests[0], b"x-user")


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param("a\r\nX-Admin: true", id="line"),
        pytest.param("a\u0085X-Admin: true", id="next-line"),
        pytest.param("x" * 9000, id="long"),
        pytest.param(["a", "b\n"], id="list"),
    ],
)
@pytest.mark.parametrize("name", ["UPSTREAM_HEADERS", "DOWNSTREAM_HEADERS"])
async def test_untellable(send, provider, written, claim, name):
    """P27: a claim that cannot be told is a 403, and the access line says which; never a line."""
    provider.claims = {"email": claim}
    response, requests = await send(request("GET", "/", [JOHN]), **{name: "X-Email=email"})

    assert (403, []) == (response.status, requests)
    line = written()[-1]
    assert line["cause"].startswith("X-Email: the claim ")
    assert line["user"]


async def test_downstream(send, provider, upstream):
    """The caller is told too, in place of what the upstream says."""
    provider.claims = {"email": "john@x.example"}
    upstream.answer_next(
        b"HTTP/1.1 200 OK\r\nX-Email: CANARY\r\nx-tenant: CANARY\r\nContent-Length: 0\r\n\r\n"
    )
    response, requests = await send(
        request("GET", "/", [JOHN]), DOWNSTREAM_HEADERS="X-Email=email,X-Tenant=tenant"
    )

    assert [b"john@x.example"] == response.values("x-email")
    assert [] == response.values("x-tenant") == requests[0].values(b"x-email")


@pytest.mark.parametrize(
    ("header", "arrived"),
    [
        pytest.param("authorization:bearer", (True, False), id="default"),
        pytest.param("none", (False, False), id="none"),
        pytest.param("X-Token", (False, True), id="another"),
        pytest.param("X-Token:bearer", (False, True), id="another-with-scheme"),
    ],
)
async def test_token_header(send, header, arrived):
    """The access token goes where it is said, and the caller's Authorization nowhere."""
    data = request("GET", "/", [JOHN, ("x-token", "CANARY")])
    _, requests = await send(data, **FIELDS, UPSTREAM_ACCESS_TOKEN_HEADER=header)

    usual, other = seen(requests[0], b"authorization", b"x-token")
    begin = b"Bearer ey" if header.endswith(":bearer") else b"ey"
    assert arrived == (usual.startswith(b"Bearer ey"), other.startswith(begin))
    assert b"Basic" not in usual + other


async def test_authenticated(send, provider):
    """Kong's fields about credentials arrive with Kong's meaning."""
    provider.claims = {"groups": ["a", "b"]}
    _, requests = await send(
        request("GET", "/", [JOHN]),
        AUTHENTICATED_HEADERS="true",
        AUTHENTICATED_GROUPS_CLAIM="groups",
        CREDENTIAL_CLAIM="azp",
    )

    assert [b"gateway", b"openid", b"john", b"a, b"] == seen(
        requests[0],
        b"x-credential-identifier",
        b"x-authenticated-scope",
        b"x-authenticated-userid",
        b"x-authenticated-groups",
    )


async def test_consumer(send):
    """A caller that is a consumer arrives as one."""
    _, requests = await send(request("GET", "/", [JOHN]), CONSUMERS)

    names = (b"x-consumer-id", b"x-consumer-username", b"x-consumer-custom-id")
    assert [b"id-1", b"john", b"c-1"] == seen(requests[0], *names)
    assert [b"gold", b""] == seen(requests[0], b"x-consumer-groups", b"x-anonymous-consumer")


@pytest.mark.parametrize(("optional", "status"), [("false", 403), ("true", 200)])
async def test_no_consumer(send, optional, status):
    """Who is no consumer is refused, unless that is optional; then nothing is said."""
    forged = ("X-Consumer-Username", "john")
    response, requests = await send(
        request("GET", "/", [SERVICE, forged]), CONSUMERS, CONSUMER_OPTIONAL=optional
    )

    assert response.status == status
    assert [] == [value for each in requests for value in each.values(b"x-consumer-username")]


async def test_anonymous(send, provider):
    """A request without credentials goes on as the anonymous consumer, its body with it."""
    data = request("POST", "/?a=1", [("X-Anonymous-Consumer", "false")], b"hello")
    response, requests = await send(data, CONSUMERS, ANONYMOUS="guest")

    assert response.status == 200
    assert [b"guest", b"guests", b"true", b"", b""] == seen(
        requests[0],
        b"x-consumer-username",
        b"x-consumer-groups",
        b"x-anonymous-consumer",
        b"x-consumer-id",
        b"authorization",
    )
    assert (b"hello", b"/?a=1") == (requests[0].body, requests[0].target)
    assert [] == provider.token_calls


@pytest.mark.parametrize("form", [b"a=1&b=2", b""])
async def test_anonymous_where_bodies_are_read(send, form):
    """A body that credentials were looked for in arrives whole."""
    fields = [("Content-Type", "application/x-www-form-urlencoded")]
    _, requests = await send(
        request("POST", "/", fields, form),
        CONSUMERS,
        ANONYMOUS="guest",
        PASSWORD_PARAM_TYPE="header,body",
    )

    assert (form, [b"true"]) == (requests[0].body, seen(requests[0], b"x-anonymous-consumer"))


@pytest.mark.parametrize(
    "field",
    [
        pytest.param(basic("john", "wrong"), id="wrong-password"),
        pytest.param(("Authorization", "Bearer ey.a.b"), id="no-such-method"),
        pytest.param(("Authorization", ""), id="empty"),
        pytest.param(("authorization", "Digest x"), id="another-scheme"),
    ],
)
async def test_not_anonymous(send, field):
    """Who shows anything and is not let in by it is 401, not anonymous."""
    response, requests = await send(request("GET", "/", [field]), CONSUMERS, ANONYMOUS="guest")

    assert (True, []) == (response.status in {400, 401}, requests)


async def test_rules_hold_for_the_anonymous(send):
    """Where a rule asks for a claim nobody is anonymous."""
    response, requests = await send(
        request("GET", "/"), CONSUMERS, ANONYMOUS="guest", SCOPES_REQUIRED="openid"
    )

    assert (401, []) == (response.status, requests)


async def test_known_callers_beside_the_anonymous(send):
    """Who has credentials is told about by them."""
    _, requests = await send(request("GET", "/", [JOHN]), CONSUMERS, ANONYMOUS="guest")

    assert [b"john", b""] == seen(requests[0], b"x-consumer-username", b"x-anonymous-consumer")


async def test_websocket(start_gateway):
    """P3, P4: a handshake tells the upstream and the caller the same as any request."""
    async with WebSocketUpstream() as server:
        gateway = await start_gateway(
            UPSTREAM_URL=server.url, **FIELDS, DOWNSTREAM_HEADERS="X-Me=preferred_username"
        )
        forged = {"X-User": "CANARY", "X-Email": "CANARY", "X--Groups": "CANARY"}
        async with websocket(gateway.port, headers=forged) as socket:
            await socket.send_str("a")
            assert "a" == (await receive(socket)).data
            told = socket._response.headers

    [request_] = server.requests
    assert ["john"] == request_.headers.getall("X-User")
    assert "CANARY" not in request_.headers.values()
    assert ["john"] == told.getall("X-Me")


async def test_reload(start_gateway, call, tmp_path, upstream):
    """After a reload the new settings speak, of cached callers too, and new consumers are known."""
    file = file_of(tmp_path, CONSUMERS)
    gateway = await start_gateway(file, UPSTREAM_HEADERS="X-User=sub")
    caller = await call(gateway)
    await caller.send(request("GET", "/", [JOHN]))
    file.write_text(CONSUMERS.replace("gold", "silver"))
    file.chmod(0o600)
    gateway.reloads.start()
    await gateway.reloads.aclose()
    await caller.send(request("GET", "/", [JOHN]))

    first, second = (seen(each, b"x-consumer-groups", b"x-user") for each in upstream.requests)
    assert [[b"gold", b"john"], [b"silver", b"john"]] == [first, second]


@pytest.mark.parametrize("kind", ["introspected", "verified"])
async def test_answers_of_the_provider(start_gateway, call, upstream, kind):
    """P4: an answer of the provider arrives in base64 where it was asked, else nothing does."""
    async with AskedProvider() as asked:
        asked.opaque = kind == "introspected"
        gateway = await start_gateway(
            ISSUER=asked.issuer,
            SEARCH_USER_INFO="true",
            UPSTREAM_INTROSPECTION_HEADER="X-Introspection",
            UPSTREAM_USER_INFO_HEADER="X-Userinfo",
        )
        forged = ("x-introspection", "CANARY")
        response = await (await call(gateway)).send(request("GET", "/", [JOHN, forged]))

    assert response.status == 200
    answer, profile = seen(upstream.requests[0], b"x-introspection", b"x-userinfo")
    assert "john" == json.loads(base64.b64decode(profile))["sub"]
    if kind == "verified":
        assert b"" == answer
    else:
        said = json.loads(base64.b64decode(answer))
        assert (True, "john") == (said["active"], said["sub"])
        assert "email" not in said
