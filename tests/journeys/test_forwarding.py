"""What of a request passes the gateway, and what is said in its place (P1-P4, P6-P8)."""

from __future__ import annotations

import re

import pytest

from tests.fakes.caller import basic, request

JOHN = basic("john", "doe")

HOP_BY_HOP = [
    ("Connection", "close, X-Named"),
    ("Keep-Alive", "timeout=5"),
    ("Proxy-Connection", "keep-alive"),
    ("Proxy-Authenticate", "Basic"),
    ("Proxy-Authorization", "Basic YTpi"),
    ("TE", "trailers"),
    ("Trailer", "X-T"),
    ("Upgrade", "h2c"),
    ("HTTP2-Settings", "AAMAAABk"),
    ("X-Named", "1"),
]


@pytest.mark.parametrize("field", [pytest.param(v, id=v[0]) for v in HOP_BY_HOP])
async def test_hop_by_hop_field(gateway, call, upstream, field):
    """P1: hop-by-hop fields and what Connection names are not sent on; the rest is."""
    caller = await call(gateway)
    named = ("Connection", "keep-alive, x-named ,X-OTHER")

    await caller.send(request("GET", "/", [JOHN, named, field, ("X-Other", "1"), ("X-Kept", "1")]))

    (seen,) = upstream.requests
    assert ([], [], [b"1"]) == (
        seen.values(field[0].encode()),
        seen.values(b"x-other"),
        seen.values(b"x-kept"),
    )


@pytest.mark.parametrize(
    "value",
    [
        "Authorization",
        "authorization",
        "AUTHORIZATION, close",
        "X-Request-Id",
        "X-Forwarded-For",
        "host",
        "x-forwarded-proto,x-forwarded-host",
        "Content-Length",
        " , ,",
    ],
)
async def test_connection_cannot_delete_what_the_gateway_sets(gateway, call, upstream, value):
    """P2: naming a field in Connection never removes what the gateway says."""
    caller = await call(gateway)

    await caller.send(request("POST", "/", [JOHN, ("Connection", value)], b"hello"))

    (seen,) = upstream.requests
    for name in (
        b"Authorization",
        b"X-Request-Id",
        b"X-Forwarded-For",
        b"X-Forwarded-Proto",
        b"X-Forwarded-Host",
        b"Host",
        b"Content-Length",
    ):
        assert 1 == len(seen.values(name))
    assert b"hello" == seen.body


CLAIMED = [
    "Forwarded",
    "X-Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Access-Token",
    "X-Forwarded-Uri",
    "X-Forwarded-Prefix",
    "X-Real-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "True-Client-IP",
    "X-Original-URL",
    "X-Original-URI",
    "X-Original-Host",
    "X-Original-Method",
    "X-Original-Forwarded-For",
    "X-Rewrite-URL",
    "X-Envoy-External-Address",
    "X-Consumer-Id",
    "X-Consumer-Username",
    "X-Credential-Identifier",
    "X-Authenticated-Userid",
    "X-Authenticated-Scope",
    "X-Anonymous-Consumer",
    "X-Userinfo",
    "X-Id-Token",
    "X-Access-Token",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "Remote-User",
    "X-Remote-User",
    "X-Remote-Group",
    "X-Remote-Groups",
    "X-Request-Id",
    "Proxy",
]
SPELLINGS = {
    "plain": str,
    "lower": str.lower,
    "upper": str.upper,
    "mixed": lambda name: "".join(c.upper() if i % 2 else c.lower() for i, c in enumerate(name)),
    "doubled": lambda name: name.replace("-", "--"),
    "tripled": lambda name: name.replace("-", "---", 1),
    "leading": lambda name: "-" + name,
    "trailing": lambda name: name + "-",
    "dots": lambda name: name.replace("-", ".", 1) if "-" in name else name + ".",
    "bangs": lambda name: name.replace("-", "!"),
    "dash_and_bang": lambda name: name.replace("-", "-!"),
    "tildes": lambda name: name.replace("-", "~"),
}


@pytest.mark.parametrize("spell", [pytest.param(v, id=k) for k, v in SPELLINGS.items()])
async def test_claims_of_the_caller_are_dropped(gateway, call, upstream, spell):
    """P3, P4, P7: identity and forwarded fields of the caller are dropped in every spelling."""
    caller = await call(gateway)
    fields = [(spell(name), "forged") for name in CLAIMED]

    answer = await caller.send(request("GET", "/", [JOHN, *fields]))

    assert 200 == answer.status
    (seen,) = upstream.requests
    assert b"forged" not in seen.head


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "HEAD"])
@pytest.mark.parametrize(
    "name", ["X_Forwarded_For", "X-Forwarded_For", "x_user", "_", "Authorization_"]
)
async def test_underscore_is_refused(gateway, call, provider, upstream, name, method):
    """P3: a field name with an underscore is 400, on every method."""
    caller = await call(gateway)

    answer = await caller.send(request(method, "/", [JOHN, (name, "forged")]))

    assert (400, True) == (answer.status, answer.closed)
    assert ([], []) == (upstream.requests, provider.token_calls)


async def test_dotted_name_is_dropped(gateway, call, upstream):
    """P3: a field name with a dot is dropped."""
    caller = await call(gateway)

    await caller.send(request("GET", "/", [JOHN, ("X.Anything", "forged")]))

    assert b"forged" not in upstream.requests[0].head


async def test_one_bearer_upstream(gateway, call, upstream):
    """P6: Authorization upstream is exactly one Bearer token; the caller's password is gone."""
    caller = await call(gateway)

    await caller.send(request("GET", "/", [JOHN, ("Cookie", "a=b"), ("Authorization-", "x")]))

    (seen,) = upstream.requests
    (value,) = seen.values(b"authorization")
    assert re.fullmatch(rb"Bearer [\w-]+\.[\w-]+\.[\w-]+", value)
    assert JOHN[1] not in seen.head
    assert [b"a=b"] == seen.values(b"cookie")


async def test_forwarded_fields(gateway, call, upstream):
    """P7: the upstream learns the caller's address, protocol and host from the gateway alone."""
    caller = await call(gateway)

    answer = await caller.send(request("GET", "/", [JOHN, ("X-Forwarded-For", "192.0.2.1")]))

    (seen,) = upstream.requests
    assert [b"127.0.0.1"] == seen.values(b"x-forwarded-for")
    assert [b"http"] == seen.values(b"x-forwarded-proto")
    assert [b"gateway.test"] == seen.values(b"x-forwarded-host")
    assert answer.values("x-request-id") == seen.values(b"x-request-id")
    assert re.fullmatch(rb"[0-9a-f]{24}", answer.values("x-request-id")[0])


OBS_TEXT = bytes(range(0x80, 0x100))


async def test_every_octet_of_a_value(gateway, call, upstream):
    """P8, trap 4: octets 0x80-0xff, tabs and visible ASCII arrive identical in both directions."""
    value = b"adm\xffin " + OBS_TEXT + b"\t" + bytes(range(0x20, 0x7F)) + b"!"
    upstream.answer_next(
        b"HTTP/1.1 200 caf\xe9 ok\r\nX-Value: " + value + b"\r\nContent-Length: 0\r\n\r\n"
    )
    caller = await call(gateway)

    answer = await caller.send(request("GET", "/", [JOHN, ("X-Value", value)]))

    assert [value] == upstream.requests[0].values(b"x-value")
    assert ([value], b"caf\xe9 ok") == (answer.values("x-value"), answer.reason)


@pytest.mark.parametrize("octet", [*range(0x09), *range(0x0A, 0x20), 0x7F])
async def test_control_octet_of_a_value(gateway, call, upstream, octet):
    """P8: a control character in a field value never reaches the upstream."""
    caller = await call(gateway)

    answer = await caller.send(
        request("GET", "/", [JOHN, ("X-Value", b"a" + bytes([octet]) + b"b")])
    )

    assert (400, True) == (answer.status, answer.closed)
    assert [] == upstream.requests


async def test_field_names_keep_their_case_and_order(gateway, call, upstream):
    """P8: fields arrive with the spelling, order and repetition they were sent with."""
    caller = await call(gateway)
    fields = [
        ("x-lower", "1"),
        ("X-UPPER", "2"),
        ("X-Twice", "a"),
        ("x-Between", ""),
        ("X-Twice", "b"),
    ]

    await caller.send(request("GET", "/", [JOHN, *fields]))

    expected = [(name.encode(), value.encode()) for name, value in fields]
    seen = upstream.requests[0].headers
    assert expected == [
        pair
        for pair in seen
        if pair[0].lower() in {b"x-lower", b"x-upper", b"x-twice", b"x-between"}
    ]
