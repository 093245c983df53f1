"""The request target, the method and Host: refused, or sent on byte for byte (P10-P14)."""

from __future__ import annotations

import pytest

from gateway.request import METHODS
from tests.fakes.caller import basic, request
from tests.settings.environments import written

JOHN = basic("john", "doe")

FORWARDED = [
    b"/",
    b"/a/b",
    b"/a/",
    b"//a",
    b"/a//b",
    b"/a?",
    b"/?",
    b"/?x",
    b"/a?x=1&y=%20;z",
    b"/a??b?",
    b"/a%20b",
    b"/%41",
    b"/%7euser",
    b"/a%3Fb",
    b"/a%23b",
    b"/a;v=1/b",
    b"/a;..",
    b"/a..b",
    b"/...",
    b"/.well-known/x",
    b"/a/.hidden",
    b"/..a",
    b"/a.",
    b"/a%25b",
    b"/%c3%a9",
    b"/%ff",
    b"/a+b",
    b"/a:b@c",
    b"/a?../../b",
    b"/a?x=%2e%2e%2f",
    b"/a?x=/../",
    b"/a?x=\\",
    b"/a?x=%00",
    b"/a?http://other/",
    b"/a!$&'()*+,;=:@b",
    b"/a|b",
    b"/a{b}",
    b'/a"b',
    b"/a<b>",
    b"/a^b",
    b"/a`b",
    b"/[::1]",
    b"/" + b"a" * 8000,
]


@pytest.mark.parametrize("target", [pytest.param(v, id=repr(v[:20])) for v in FORWARDED])
async def test_target_is_forwarded_byte_for_byte(gateway, call, upstream, target):
    """P10, P11: the target that was matched is the target that is sent, byte for byte."""
    caller = await call(gateway)

    response = await caller.send(request("GET", target, [JOHN]))

    assert 200 == response.status
    assert [target] == [seen.target for seen in upstream.requests]


REFUSED = [
    b"/.",
    b"/..",
    b"/./a",
    b"/../a",
    b"/a/.",
    b"/a/..",
    b"/a/./b",
    b"/a/../b",
    b"/a/../../b",
    b"/%2e",
    b"/%2E%2e/a",
    b"/a/.%2e/b",
    b"/a/%2e./b",
    b"/a/%2e%2e",
    b"/..;/a",
    b"/a/..;x=y/b",
    b"/.;/a",
    b"/a/%2e%2e;/b",
    b"/a/..%3b/b",
    b"/%2e%3bx/a",
    b"/a\\b",
    b"/a\\..\\b",
    b"/a%5cb",
    b"/a%5Cb",
    b"/a%2fb",
    b"/a%2Fb",
    b"/..%2fa",
    b"/a%00",
    b"/a%00b",
    b"/a%",
    b"/a%4",
    b"/a%zz",
    b"/%%41",
    b"/a#b",
    b"/a?b#c",
    b"/#",
    b"/\xc3\xa9",
    b"/a\xff",
    b"/a\x7f",
    b"/a\tb",
    b"/a\x01",
    b"a",
    b"",
    b"*",
    b"a/b",
    b"http://gateway.test/",
    b"http://other.test/",
    b"https://gateway.test/a",
    b"http://u:p@gateway.test/",
    b"gateway.test:80",
    b"//",
    b"?a",
    b"#",
    b"\\a",
    b".",
    b"..",
]
REFUSED.remove(b"//")  # an empty first segment, no authority: origin-form


@pytest.mark.parametrize("target", [pytest.param(v, id=repr(v)) for v in REFUSED])
async def test_target_is_refused(gateway, call, provider, upstream, target):
    """P10, P11, P13, C10: a target that can be read two ways is 400 and nothing is called."""
    caller = await call(gateway)

    response = await caller.send(request("GET", target, [JOHN]))

    assert (400, True) == (response.status, response.closed)
    assert "invalid_request" == response.json()["error"]
    assert ([], []) == (upstream.requests, provider.token_calls)


SLASHED = """
routes:
- {name: public, paths: [/projects/open], auth_methods: []}
- {name: projects, paths: [/projects], encoded_slashes: keep}
- {name: registry, paths: [/registry], strip_path: true, encoded_slashes: keep}
- name: rest
"""


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        pytest.param(b"/projects/a%2Fb/c?x=%2F", b"/projects/a%2Fb/c?x=%2F", id="as-it-is"),
        pytest.param(b"/projects/a%2fb", b"/projects/a%2fb", id="lower-case"),
        pytest.param(b"/registry/@a%2Fb", b"/@a%2Fb", id="stripped"),
        pytest.param(b"/projects/open%2Fb", None, id="P10-decoded-it-is-a-public-route"),
        pytest.param(b"/projects/open/a%2Fb", None, id="P10-the-public-route-refuses"),
        pytest.param(b"/registry%2Fa", None, id="P10-no-border"),
        pytest.param(b"/projects/a%2F..%2F..%2Fopen", None, id="P10-dot-segments"),
        pytest.param(b"/projects/..%2fa", None, id="P10-dot-segment-at-the-border"),
        pytest.param(b"/projects/a%2F%2e%2e", None, id="P10-encoded-dot-segment"),
        pytest.param(b"/projects/a%5Cb", None, id="P10-no-backslash"),
        pytest.param(b"/other/a%2Fb", None, id="P10-the-default-refuses"),
    ],
)
async def test_encoded_slashes(start_gateway, call, provider, upstream, tmp_path, target, sent):
    """P10: ``encoded_slashes: keep`` sends ``%2F`` on, to the route of each reading or nowhere."""
    caller = await call(await start_gateway(written(tmp_path, SLASHED)))

    response = await caller.send(request("GET", target, [JOHN]))

    assert (200 if sent else 400) == response.status
    assert ([sent] if sent else []) == [seen.target for seen in upstream.requests]
    assert sent or not provider.token_calls


@pytest.mark.parametrize(("choice", "status"), [("keep", 200), ("refuse", 400), ("", 400)])
async def test_encoded_slashes_without_routes(start_gateway, call, upstream, choice, status):
    """P10: a gateway without routes is asked the same, and refuses unless told otherwise."""
    caller = await call(await start_gateway(ENCODED_SLASHES=choice))

    assert status == (await caller.send(request("GET", "/a%2Fb", [JOHN]))).status
    assert (status == 200) == bool(upstream.requests)


async def test_upstream_path_is_prefixed(start_gateway, call, upstream):
    """P10: the path of UPSTREAM_URL stands before the target, which stays as it is."""
    gateway = await start_gateway(UPSTREAM_URL=f"{upstream.url}/base/v1/")
    caller = await call(gateway)

    for target in ("/", "/a%20b?x=1", "/?"):
        await caller.send(request("GET", target, [JOHN]))

    expected = [b"/base/v1/", b"/base/v1/a%20b?x=1", b"/base/v1/?"]
    assert expected == [seen.target for seen in upstream.requests]


@pytest.mark.parametrize("method", sorted(METHODS))
async def test_method_is_forwarded(gateway, call, upstream, method):
    """P12: every method of the list is sent on as it is."""
    caller = await call(gateway)

    await caller.send(request(method, "/", [JOHN]))

    assert [method] == [seen.method for seen in upstream.requests]


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "SUBSCRIBE", "SOURCE"])
async def test_method_is_not_allowed(gateway, call, upstream, method):
    """P12, P13: TRACE, CONNECT and methods outside the list are 405; no connection is opened."""
    caller = await call(gateway)
    target = "other.test:443" if method == "CONNECT" else "/"

    response = await caller.send(request(method, target, [JOHN]) + request("GET", "/x", [JOHN]))

    assert (405, True) == (response.status, response.closed)
    assert b"GET" in response.values("allow")[0]
    assert 0 == upstream.connections


@pytest.mark.parametrize("method", ["get", "Get", "FOO", "GET,POST", "G ET", "GET\t"])
async def test_unknown_method(gateway, call, upstream, method):
    """P12: method names are compared exactly; another spelling or an unknown one is refused."""
    caller = await call(gateway)

    response = await caller.send(request(method, "/", [JOHN]))

    assert response.status in {400, 405}
    assert response.closed
    assert 0 == upstream.connections


async def test_options_asterisk(gateway, call, upstream):
    """P13: OPTIONS * asks about the gateway and is answered by it, with an X-Request-Id."""
    caller = await call(gateway)

    first = await caller.send(request("OPTIONS", "*"))
    second = await caller.send(request("GET", "/", [JOHN]))

    assert (204, 200) == (first.status, second.status)
    assert 1 == len(first.values("x-request-id"))
    assert [b"/"] == [seen.target for seen in upstream.requests]


HOSTS = {
    "name": b"gateway.test",
    "port": b"gateway.test:8000",
    "ipv4": b"192.0.2.1:80",
    "ipv6": b"[2001:db8::1]:80",
    "ipv6_bare": b"[::1]",
    "empty_port": b"gateway.test:",
    "upper_case": b"GATEWAY.test",
    "underscore": b"a_b",
}


@pytest.mark.parametrize("host", [pytest.param(v, id=k) for k, v in HOSTS.items()])
async def test_host(gateway, call, upstream, host):
    """P14: a valid Host is told as X-Forwarded-Host; Host itself is the upstream's."""
    caller = await call(gateway)

    response = await caller.send(request("GET", "/", [("Host", host), JOHN]))

    assert 200 == response.status
    (seen,) = upstream.requests
    assert [host] == seen.values(b"x-forwarded-host")
    assert [b"127.0.0.1:%d" % upstream.port] == seen.values(b"host")


BAD_HOSTS = {
    "userinfo": b"u:p@gateway.test",
    "path": b"gateway.test/a",
    "query": b"gateway.test?a",
    "fragment": b"gateway.test#a",
    "space": b"gateway test",
    "comma": b"a.test, b.test",
    "empty": b"",
    "port_name": b"gateway.test:http",
    "port_long": b"gateway.test:999999",
    "two_ports": b"gateway.test:80:80",
    "bare_ipv6": b"::1",
    "open_bracket": b"[::1",
    "zone": b"[fe80::1%25eth0]",
    "percent": b"a%2fb",
    "backslash": b"a\\b",
    "obs_text": b"caf\xc3\xa9",
    "only_port": b":80",
    "quote": b'a"b',
    "semicolon": b"a;b",
}


@pytest.mark.parametrize("host", [pytest.param(v, id=k) for k, v in BAD_HOSTS.items()])
async def test_bad_host(gateway, call, upstream, host):
    """P14: a Host that is not a host and port is 400."""
    caller = await call(gateway)

    response = await caller.send(request("GET", "/", [("Host", host), JOHN]))

    assert (400, True) == (response.status, response.closed)
    assert [] == upstream.requests


@pytest.mark.parametrize("hosts", [0, 2])
async def test_number_of_hosts(gateway, call, upstream, hosts):
    """P14: HTTP/1.1 without Host, or with two, is 400."""
    caller = await call(gateway)

    response = await caller.send(
        b"GET / HTTP/1.1\r\n" + b"Host: a\r\n" * hosts + b"%b: %b\r\n\r\n" % JOHN
    )

    assert (400, True) == (response.status, response.closed)
    assert [] == upstream.requests
