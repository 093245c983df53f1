"""Which addresses the provider's names may have, looked at when a connection is made.

Rule: a provider that was on a public address is never looked for on a private one, whatever its
name resolves to later (DNS rebinding). An issuer that is an IP literal is not resolved at all.
"""

from __future__ import annotations

import logging
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult

_log = logging.getLogger(__name__)

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1


def read_address(text: str) -> IPv4Address | IPv6Address:
    """Read an address; of an IPv4 address inside an IPv6 one, the former (RFC 4291 §2.5.5)."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_public(text: str) -> bool:
    """Tell whether the address belongs to the public Internet (RFC 6890)."""
    address = read_address(text)
    return address.is_global and not address.is_multicast


def is_usable(text: str, *, public: bool) -> bool:
    """Tell whether a provider may be looked for there.

    Link-local addresses, where clouds keep their instances' secrets, are never used.
    """
    address = read_address(text)
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    return is_public(text) or not public


class ProviderResolver(AbstractResolver):
    """Resolves the provider's names to usable addresses, and to none of the others.

    The issuer's host is public if all the addresses it resolves to first are.
    """

    def __init__(self, issuer: str, inner: AbstractResolver | None = None) -> None:
        self._host = urlsplit(issuer).hostname or ""
        self._inner = inner if inner is not None else ThreadedResolver()
        self._public = _is_public_literal(self._host)
        self._warned = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the usable addresses of ``host``; none at all raises ``OSError``."""
        found = await self._inner.resolve(host, port, family)
        if self._public is None and found and host == self._host:
            self._public = all(is_public(each["host"]) for each in found)
        public = self._public is not False
        usable = [each for each in found if is_usable(each["host"], public=public)]
        if not usable and not self._warned:
            _log.warning(
                "the provider's host %s resolves to addresses that are not used: %s",
                host,
                "no public ones" if public else "link-local ones",
            )
        self._warned = not usable
        if not usable:
            raise OSError(None, "no usable address")
        return usable

    async def close(self) -> None:
        """Release the resolver."""
        await self._inner.close()


def _is_public_literal(host: str) -> bool | None:
    """Tell whether an IP literal is public; of a name nobody can tell yet."""
    try:
        return is_public(host)
    except ValueError:
        return None
