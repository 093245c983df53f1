"""What proxies say about the hops before them: ``X-Forwarded-*``, else ``Forwarded`` (RFC 7239).

Rule: it is read only from a proxy that is trusted, and what cannot be read says nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.request import RequestHead

# RFC 7239 §4: a parameter with a token or a quoted string without escapes.
_PARAMETER = re.compile(rb'(for|by|host|proto)=(?:"([^"\\]*)"|([^\s",;]+))', re.IGNORECASE)
_SCHEMES = (b"http", b"https")


@dataclass(frozen=True, slots=True)
class Hops:
    """The addresses before the proxy, farthest first, and what was asked of the first of it."""

    addresses: tuple[bytes, ...] = ()
    proto: bytes | None = None
    host: bytes | None = None


def read_hops(head: RequestHead) -> Hops:
    """Return what the nearest proxy says; ``X-Forwarded-*`` wins over ``Forwarded``."""
    listed = _elements(head.values(b"x-forwarded-for"))
    protos, hosts = head.values(b"x-forwarded-proto"), head.values(b"x-forwarded-host")
    if not (listed or protos or hosts):
        return _read_forwarded(_elements(head.values(b"forwarded")))
    return Hops(
        tuple(listed),
        protos[0] if len(protos) == 1 and protos[0] in _SCHEMES else None,
        hosts[0] if len(hosts) == 1 else None,
    )


def read_address(node: bytes) -> str | None:
    """Return the IP address of a node, with or without a port (RFC 7239 §6); None = it has none."""
    text = node.decode("latin-1").strip('" ')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return None


def _read_forwarded(elements: Sequence[bytes]) -> Hops:
    """Return the hops of ``Forwarded`` elements; one that is not understood says nothing at all."""
    read = [_read_element(element) for element in elements]
    if not read or any(element is None for element in read):
        return Hops()
    known = [element for element in read if element is not None]
    last = known[-1]
    proto = last.get(b"proto", b"").lower()
    return Hops(
        tuple(element.get(b"for", b"unknown") for element in known),
        proto if proto in _SCHEMES else None,
        last.get(b"host"),
    )


def _read_element(element: bytes) -> dict[bytes, bytes] | None:
    parameters: dict[bytes, bytes] = {}
    for part in element.split(b";"):
        match = _PARAMETER.fullmatch(part.strip(b" \t"))
        if match is None or match[1].lower() in parameters:
            return None
        parameters[match[1].lower()] = match[3] if match[2] is None else match[2]
    return parameters


def _elements(values: Sequence[bytes]) -> list[bytes]:
    """Return the elements of a list field, in order (RFC 9110 §5.6.1)."""
    return [part.strip(b" \t") for value in values for part in value.split(b",") if part.strip()]
