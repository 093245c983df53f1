"""What trusted proxies say about the hops before them."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from gateway.request import read_head
from gateway.server.hops import Hops, read_address, read_hops
from gateway.server.trust import TrustedProxies

TRUSTED = TrustedProxies((ip_network("10.0.0.0/8"), ip_network("fd00::/8")))


def head(*fields, peer="10.0.0.1"):
    """Read a head with these fields."""
    return read_head(
        method="GET",
        target=b"/",
        version=(1, 1),
        headers=((b"Host", b"gateway.test"), *fields),
        peer=peer,
        max_header_bytes=8192,
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param((), Hops(), id="nothing"),
        pytest.param(
            ((b"X-Forwarded-For", b"192.0.2.1, 10.0.0.9"), (b"X-Forwarded-Proto", b"https")),
            Hops((b"192.0.2.1", b"10.0.0.9"), b"https"),
            id="x-forwarded",
        ),
        pytest.param(
            ((b"X-Forwarded-Host", b"api.example"), (b"Forwarded", b"for=1.2.3.4")),
            Hops((), None, b"api.example"),
            id="x-forwarded-wins",
        ),
        pytest.param(
            ((b"X-Forwarded-Proto", b"gopher"),), Hops(), id="another-scheme-says-nothing"
        ),
        pytest.param(
            ((b"Forwarded", b'for=192.0.2.43, For="[2001:db8:cafe::17]:4711";proto=HTTPS'),),
            Hops((b"192.0.2.43", b"[2001:db8:cafe::17]:4711"), b"https"),
            id="RFC-7239-example",
        ),
        pytest.param(
            ((b"Forwarded", b"by=203.0.113.43;host=api.example"),),
            Hops((b"unknown",), None, b"api.example"),
            id="forwarded-without-for",
        ),
        pytest.param(((b"Forwarded", b"for=1.2.3.4;for=4.3.2.1"),), Hops(), id="given-twice"),
        pytest.param(((b"Forwarded", b"for=1.2.3.4, nonsense"),), Hops(), id="nonsense"),
        pytest.param(((b"Forwarded", b'for="1.2.3.4'),), Hops(), id="unclosed-quote"),
    ],
)
def test_hops(fields, expected):
    """P7: either form is read, and one that is not understood says nothing."""
    assert expected == read_hops(head(*fields))


@pytest.mark.parametrize(
    ("node", "address"),
    [
        (b"192.0.2.43", "192.0.2.43"),
        (b"192.0.2.43:47011", "192.0.2.43"),
        (b"[2001:db8::17]:4711", "2001:db8::17"),
        (b"2001:DB8::17", "2001:db8::17"),
        (b"unknown", None),
        (b"_hidden", None),
        (b"\xff", None),
    ],
)
def test_address(node, address):
    """An address is read with or without its port; a name is none (RFC 7239 §6)."""
    assert address == read_address(node)


@pytest.mark.parametrize(
    ("fields", "peer", "expected"),
    [
        pytest.param((), "192.0.2.7", "192.0.2.7", id="direct"),
        pytest.param(
            ((b"X-Forwarded-For", b"1.1.1.1"),), "192.0.2.7", "192.0.2.7", id="untrusted-peer"
        ),
        pytest.param(((b"X-Forwarded-For", b"1.1.1.1"),), "10.0.0.1", "1.1.1.1", id="one-proxy"),
        pytest.param(
            ((b"X-Forwarded-For", b"6.6.6.6, 1.1.1.1, 10.0.0.2"),),
            "10.0.0.1",
            "1.1.1.1",
            id="two-proxies-and-a-forged-hop",
        ),
        pytest.param(
            ((b"X-Forwarded-For", b"1.1.1.1, nonsense"),), "10.0.0.1", "10.0.0.1", id="unreadable"
        ),
        pytest.param(
            ((b"Forwarded", b'for="[2001:db8::1]:80"'),), "fd00::1", "2001:db8::1", id="forwarded"
        ),
        pytest.param(
            ((b"X-Forwarded-For", b"10.0.0.3"),), "10.0.0.1", "10.0.0.3", id="all-trusted"
        ),
    ],
)
def test_caller(fields, peer, expected):
    """R4, P7: refused attempts count for who called the outermost trusted proxy."""
    assert expected == TRUSTED.caller(head(*fields, peer=peer))
