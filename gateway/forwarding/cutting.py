"""A connection ended so that whoever is at its other end sees that something is missing."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

_NO_LINGER = struct.pack("ii", 1, 0)


def reset(transport: asyncio.Transport) -> None:
    """End the connection with a TCP reset.

    A body that lasts until the close has no other way to be seen cut short (RFC 9112 §8), and an
    end in order would wait behind what the other side does not read.
    """
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()
