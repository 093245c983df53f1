"""TRUSTED_PROXIES: who is believed about where a request came from (P7)."""

from __future__ import annotations

import pytest

from tests.fakes.caller import basic, request

JOHN = basic("john", "doe")


async def test_trusted_proxy(start_gateway, call, upstream):
    """P7: what a proxy in TRUSTED_PROXIES says is passed on, its own address behind it."""
    gateway = await start_gateway(TRUSTED_PROXIES="127.0.0.0/8,::1")
    caller = await call(gateway)
    fields = [
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Forwarded-For", "192.0.2.2, 192.0.2.3"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "api.example"),
        ("X-Request-Id", "from-the-proxy-1"),
        ("X-Forwarded-User", "root"),
    ]

    answer = await caller.send(request("GET", "/", [JOHN, *fields]))

    (seen,) = upstream.requests
    forwarded = b"192.0.2.1, 192.0.2.2, 192.0.2.3, 127.0.0.1"
    assert [forwarded] == seen.values(b"x-forwarded-for")
    assert [b"https"] == seen.values(b"x-forwarded-proto")
    assert [b"api.example"] == seen.values(b"x-forwarded-host")
    assert [b"from-the-proxy-1"] == seen.values(b"x-request-id") == answer.values("x-request-id")
    assert [] == seen.values(b"x-forwarded-user")


async def test_untrusted_proxy(start_gateway, call, upstream):
    """P7: a peer outside TRUSTED_PROXIES is not believed."""
    gateway = await start_gateway(TRUSTED_PROXIES="192.0.2.0/24")
    caller = await call(gateway)
    fields = [
        ("X-Forwarded-For", "forged"),
        ("X-Request-Id", "forged"),
        ("X-Forwarded-Host", "forged"),
    ]

    await caller.send(request("GET", "/", [JOHN, *fields]))

    assert b"forged" not in upstream.requests[0].head


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Request-Id", "a b"),
        ("X-Request-Id", "x" * 129),
        ("X-Forwarded-Proto", "gopher"),
        ("X-Request-Id", 'a"b'),
    ],
)
async def test_nonsense_of_a_trusted_proxy(start_gateway, call, upstream, name, value):
    """P7: a request id or protocol that is none is replaced, whoever sent it."""
    gateway = await start_gateway(TRUSTED_PROXIES="127.0.0.1")
    caller = await call(gateway)

    await caller.send(request("GET", "/", [JOHN, (name, value)]))

    assert value.encode() not in upstream.requests[0].values(name.encode())


@pytest.mark.parametrize("trusted", ["", "127.0.0.1"])
@pytest.mark.parametrize("told", ["false", "true"])
async def test_provider_told_the_callers_address(start_gateway, call, provider, trusted, told):
    """R5, P7: when configured, a login says for whom it is: who is believed to be calling."""
    gateway = await start_gateway(TRUSTED_PROXIES=trusted, IDP_TELL_CALLER_ADDRESS=told)
    caller = await call(gateway)

    await caller.send(request("GET", "/", [JOHN, ("X-Forwarded-For", "192.0.2.7")]))

    address = "192.0.2.7" if trusted else "127.0.0.1"
    (login,) = provider.token_calls
    assert login.field_values("X-Forwarded-For") == ([address] if told == "true" else [])
