"""Which addresses a provider's name may have when a connection is made (D3)."""

from __future__ import annotations

import socket

import pytest
from aiohttp.abc import AbstractResolver

from gateway.errors import ProviderUnavailableError
from gateway.provider.addresses import ProviderResolver, is_public, is_usable
from gateway.provider.transport import Transport

PUBLIC, PUBLIC_6 = "93.184.216.34", "2606:2800:220:1::1"
ISSUER = "https://sso.example/realms/r"


class Names(AbstractResolver):
    """A name server with a table that may change."""

    def __init__(self, **table):
        self.table = table
        self.closed = False

    async def resolve(self, host, port=0, family=socket.AF_UNSPEC):  # noqa: ARG002 - aiohttp's
        """Return the addresses of a name, its dots written as underscores."""
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
            for address in self.table[host.replace(".", "_")]
        ]

    async def close(self):
        """Note that it was closed."""
        self.closed = True


async def addresses(resolver, host):
    """Return the addresses a name resolves to."""
    return [each["host"] for each in await resolver.resolve(host, 443)]


@pytest.mark.parametrize(
    ("address", "public", "usable_by_private"),
    [
        pytest.param(PUBLIC, True, True, id="public"),
        pytest.param(PUBLIC_6, True, True, id="public-6"),
        pytest.param("64:ff9b::5db8:d822", True, True, id="NAT64"),
        pytest.param("127.0.0.1", False, True, id="D3-loopback"),
        pytest.param("::1", False, True, id="D3-loopback-6"),
        pytest.param("10.1.2.3", False, True, id="D3-private"),
        pytest.param("192.168.1.1", False, True, id="D3-private-192"),
        pytest.param("100.64.0.1", False, True, id="D3-carrier"),
        pytest.param("fd00::1", False, True, id="D3-private-6"),
        pytest.param("::ffff:10.0.0.1", False, True, id="D3-private-mapped"),
        pytest.param("64:ff9b::7f00:1", False, True, id="D3-loopback-NAT64"),
        pytest.param("169.254.169.254", False, False, id="D3-link-local"),
        pytest.param("::ffff:169.254.169.254", False, False, id="D3-link-local-mapped"),
        pytest.param("fe80::1%2", False, False, id="D3-link-local-6"),
        pytest.param("0.0.0.0", False, False, id="D3-unspecified"),
        pytest.param("224.0.0.1", False, False, id="D3-multicast"),
        pytest.param("ff0e::1", False, False, id="D3-multicast-6"),
    ],
)
def test_addresses(address, public, usable_by_private):
    """A public provider is on public addresses, a private one on any but link-local."""
    assert public == is_public(address)
    assert public == is_usable(address, public=True)
    assert usable_by_private == is_usable(address, public=False)


async def test_public_issuer_stays_public():
    """D3: a name that was public and resolves to a private address later is not followed."""
    names = Names(sso_example=[PUBLIC, PUBLIC_6])
    resolver = ProviderResolver(ISSUER, names)
    assert await addresses(resolver, "sso.example") == [PUBLIC, PUBLIC_6]

    names.table["sso_example"] = ["127.0.0.1", PUBLIC]
    assert await addresses(resolver, "sso.example") == [PUBLIC]

    names.table["sso_example"] = ["127.0.0.1"]
    with pytest.raises(OSError, match="no usable address"):
        await resolver.resolve("sso.example")


async def test_other_hosts_are_as_public_as_the_issuer():
    """D3: an endpoint's host has private addresses only where the issuer has."""
    names = Names(sso_example=[PUBLIC], token_example=["10.0.0.1"])
    resolver = ProviderResolver(ISSUER, names)
    with pytest.raises(OSError, match="no usable address"):
        await resolver.resolve("token.example")
    await resolver.resolve("sso.example")
    with pytest.raises(OSError, match="no usable address"):
        await resolver.resolve("token.example")

    private = ProviderResolver(ISSUER, Names(sso_example=["10.0.0.2"], token_example=["10.0.0.1"]))
    await private.resolve("sso.example")

    assert await addresses(private, "token.example") == ["10.0.0.1"]


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(["10.0.0.2"], id="private"),
        pytest.param(["127.0.0.1"], id="loopback"),
        pytest.param([PUBLIC_6, "10.0.0.2"], id="both-kinds"),
    ],
)
async def test_private_issuer(first):
    """An issuer inside a network is used there, and never link-local (D3)."""
    names = Names(sso_example=first)
    resolver = ProviderResolver(ISSUER, names)
    assert await addresses(resolver, "sso.example") == first

    names.table["sso_example"] = ["169.254.169.254", *first]

    assert await addresses(resolver, "sso.example") == first


async def test_literal_issuer():
    """An issuer that is an address has told by it what it is."""
    names = Names(token_example=["10.0.0.1"])

    assert await addresses(ProviderResolver("https://10.0.0.9", names), "token.example")
    with pytest.raises(OSError, match="no usable address"):
        await ProviderResolver("https://9.9.9.9", names).resolve("token.example")


async def test_warns_once(caplog):
    """One warning per outage of the name, without the addresses."""
    names = Names(sso_example=["169.254.169.254"])
    resolver = ProviderResolver(ISSUER, names)
    for _ in range(3):
        with pytest.raises(OSError, match="no usable address"):
            await resolver.resolve("sso.example")

    assert len(caplog.records) == 1


async def test_refused_address_gets_no_connection(provider):
    """D3: through the door to the provider, a refused address is an outage and gets nothing."""
    names = Names(sso_example=[PUBLIC])
    resolver = ProviderResolver("http://sso.example", names)
    await resolver.resolve("sso.example")
    names.table["sso_example"] = ["127.0.0.1"]

    async with Transport(timeout=2, connect_timeout=2, resolver=resolver) as transport:
        with pytest.raises(ProviderUnavailableError):
            await transport.get(f"http://sso.example:{provider.port}/jwks", max_bytes=9999)
    await resolver.close()

    assert (provider.jwks_calls, names.closed) == (0, True)


async def test_private_address_of_a_private_issuer_is_used(provider):
    """A provider found by a name inside the network is reached as before."""
    resolver = ProviderResolver("http://sso.example", Names(sso_example=["127.0.0.1"]))

    async with Transport(timeout=2, connect_timeout=2, resolver=resolver) as transport:
        url = f"http://sso.example:{provider.port}/jwks"

        assert (await transport.get(url, max_bytes=9999)).status == 200


async def test_real_names():
    """Without a table the machine's own resolver is asked."""
    resolver = ProviderResolver("http://localhost")

    assert set(await addresses(resolver, "localhost")) <= {"127.0.0.1", "::1"}
    await resolver.close()
