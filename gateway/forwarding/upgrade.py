"""The WebSocket handshake, and the one way a connection to an upstream stops speaking HTTP.

Rule: bytes go across unread only behind a 101 that answers exactly the handshake that was sent
(RFC 9110 §7.8, RFC 6455 §4); whatever else the upstream says is an HTTP response.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httptools

from gateway.errors import UpstreamError
from gateway.forwarding.connection import UpstreamConnection
from gateway.forwarding.headers import (
    NOTHING_SAID,
    ResponseFraming,
    read_response_head,
    write_response_head,
)
from gateway.forwarding.response_reader import ResponseReader

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from gateway.forwarding.headers import ResponseHead
    from gateway.request import RequestHead

SWITCHING_PROTOCOLS = 101

# What may be switched to. Never h2c, another HTTP or TLS: what goes across behind those are
# requests, and nobody would authenticate them.
_WEBSOCKET = b"websocket"
_ANNOUNCED = b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

# RFC 6455 §4.1: 16 bytes in base64, so the last digit before the padding holds two bits.
_KEY = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")
_VERSION = re.compile(rb"[0-9]{1,3}")
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
_DEFAULT_PORTS = {b"http": b":80", b"https": b":443", b"ws": b":80", b"wss": b":443"}


@dataclass(frozen=True, slots=True)
class Handshake:
    """A caller's wish to switch, and the ``Sec-WebSocket-Accept`` that grants it."""

    accept: bytes = field(repr=False)


def read_handshake(head: RequestHead, version: tuple[int, int]) -> Handshake | None:
    """Return the handshake if the request is exactly one (RFC 6455 §4.2.1), else ``None``.

    A request that is not goes on as a plain one, without its ``Upgrade`` field.
    """
    keys = head.values(b"sec-websocket-key")
    versions = head.values(b"sec-websocket-version")
    if (
        not _names_websocket(head.values(b"upgrade"), head.values(b"connection"))
        or head.method != "GET"
        or version != (1, 1)
        or head.body_length != 0
        or len(keys) != 1
        or not _KEY.fullmatch(keys[0])
        or len(versions) != 1
        or not _VERSION.fullmatch(versions[0])
    ):
        return None
    digest = hashlib.sha1(keys[0] + _GUID, usedforsecurity=False).digest()
    return Handshake(base64.b64encode(digest))


def write_handshake(data: bytes) -> bytes:
    """Return the request head ``data`` with the fields that ask the upstream to switch."""
    return data[:-2] + _ANNOUNCED


def write_switching(
    response: ResponseHead,
    request_id: bytes,
    said: tuple[frozenset[bytes], bytes] = NOTHING_SAID,
) -> bytes:
    """Return the head that tells the caller that the upstream has switched."""
    data = write_response_head(
        response,
        request_id=request_id,
        framing=ResponseFraming.NONE,
        keep_alive=True,
        version=(1, 1),
        said=said,
    )
    return data[:-2] + _ANNOUNCED


def is_same_origin(origin: bytes, host: bytes) -> bool:
    """Return whether a page of ``origin`` came from ``host`` (RFC 6454 §4; the scheme apart)."""
    scheme, _, authority = origin.lower().partition(b"://")
    port = _DEFAULT_PORTS.get(scheme, b"\0")
    return bool(authority) and authority.removesuffix(port) == host.lower().removesuffix(port)


def _names_websocket(upgrades: Sequence[bytes], connection: Sequence[bytes]) -> bool:
    if len(upgrades) != 1 or upgrades[0].lower() != _WEBSOCKET:
        return False
    options = b",".join(connection).lower().split(b",")
    return b"upgrade" in [option.strip(b" \t") for option in options]


class SwitchingReader(ResponseReader):
    """Reads the response to a handshake; behind its 101 bytes are kept as they are."""

    __slots__ = ("_handshake", "_switched")

    def __init__(self, handshake: Handshake) -> None:
        super().__init__()
        self._handshake = handshake
        self._switched = False

    def feed(self, data: bytes) -> None:
        """Read bytes; anything wrong with them raises ``UpstreamError``."""
        if self._switched:
            self._keep(data)
            return
        try:
            super().feed(data)
        except httptools.HttpParserUpgrade as exc:
            self._keep(data[exc.args[0] :])

    def _keep(self, data: bytes) -> None:
        if data:
            self._parts.append(data)
            self.buffered += len(data)

    def _drop_interim(self, status: int) -> None:
        """Take the 101 that was asked for for the final response; drop any other interim one."""
        if status != SWITCHING_PROTOCOLS:
            super()._drop_interim(status)
            return
        if (
            not self._parser.should_upgrade()
            or self._parser.get_http_version() != "1.1"
            or not _names_websocket(self._values(b"upgrade"), self._values(b"connection"))
            or self._values(b"sec-websocket-accept") != [self._handshake.accept]
        ):
            self._refuse("the upstream switched to something it was not asked for")
        head = read_response_head("GET", status, self._reason, self._fields)
        if head.framing is not ResponseFraming.CLOSE:
            self._refuse("the upstream switched protocols and announced a body")
        self.head = head
        self._switched = True

    def _values(self, name: bytes) -> Sequence[bytes]:
        return [value for found, value in self._fields if found.lower() == name]


class SwitchingConnection(UpstreamConnection):
    """A connection for one handshake; it carries no other request, whatever the answer."""

    def __init__(self, handshake: Handshake) -> None:
        super().__init__()
        self._reader = SwitchingReader(handshake)

    @property
    def reusable(self) -> bool:
        """Never: the upstream may think of it as switched."""
        return False

    @property
    def closed(self) -> bool:
        """Whether the connection has ended, so that nobody will be told of it again."""
        return self._closed

    def hand_over(self, protocol: asyncio.BaseProtocol) -> tuple[asyncio.Transport, bytes]:
        """Give the switched connection to ``protocol``; return it and what has arrived already."""
        if self._drained is not None:
            raise UpstreamError("the upstream switched before it had read the request")
        transport = self._open_transport
        data = self._take()
        transport.set_protocol(protocol)
        return transport, data
