"""The sockets the gateway listens on: bound before anything else is begun, served by aiohttp.

Rule: a caller whose connection was made before a drain is served, so a socket is closed only when
nobody waits in its queue.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import socket
import struct
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from gateway.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl
    from contextlib import AsyncExitStack

BACKLOG: Final = 1024
HANDSHAKE_TIMEOUT: Final = 10.0  # seconds a TLS handshake may take
# Seconds for callers who connect while a drain begins: to end the handshake, to send a request.
SETTLE: Final = 0.1

Sockets = tuple[socket.socket, ...]  # of one listener: one for each address of its host

_SO_ATTACH_FILTER: Final = 26  # asm-generic/socket.h
# Classic BPF over the TCP header (linux/filter.h): drop what has the SYN flag, keep the rest.
_DROP_SYN: Final = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),
        (0x45, 0, 1, 0x02),
        (0x06, 0, 0, 0),
        (0x06, 0, 0, 0xFFFFFFFF),
    )
)


def bind(name: str, host: str, port: int, *, copies: int = 1) -> tuple[Sockets, ...]:
    """Return bound sockets, for ``copies`` processes that share the port.

    An address that cannot be had raises ``ConfigurationError`` naming the setting.
    """
    opened: list[Sockets] = []
    try:
        if copies > 1 and port:  # SO_REUSEPORT would share the port with another gateway, too
            _close([_bind_all(host, port, shared=False)])
        for _ in range(copies):
            opened.append(_bind_all(host, port, shared=copies > 1))
            port = opened[0][0].getsockname()[1]
    except OSError as exc:
        _close(opened)
        raise cannot_listen(name, host, port, exc) from exc
    return tuple(opened)


def cannot_listen(name: str, host: str, port: int, exc: OSError) -> ConfigurationError:
    """Return what the operator is told about an address that cannot be listened on.

    ``name`` is the setting of its port; where the host is wrong, that of the host is told.
    """
    if isinstance(exc, socket.gaierror) or exc.errno == errno.EADDRNOTAVAIL:
        name = name.replace("PORT", "HOST")
    return ConfigurationError(f"{name}: {host}:{port} cannot be listened on ({exc.strerror})")


class ListeningSite(web.BaseSite):
    """Serves on a bound socket; before it is closed, whoever is in its queue is let in.

    ``settle`` are the seconds that takes; with 0 nobody is.
    """

    __slots__ = ("_handshake_timeout", "_settle", "_socket")

    def __init__(
        self,
        runner: web.BaseRunner,
        listener: socket.socket,
        *,
        ssl_context: ssl.SSLContext | None = None,
        handshake_timeout: float = HANDSHAKE_TIMEOUT,
        settle: float = SETTLE,
    ) -> None:
        super().__init__(runner, ssl_context=ssl_context, backlog=BACKLOG)
        self._socket = listener
        self._handshake_timeout = handshake_timeout
        self._settle = settle

    @property
    def name(self) -> str:
        """The address it listens on."""
        return str(self._socket.getsockname())

    async def start(self) -> None:
        """Take connections from now on."""
        await super().start()
        assert self._runner.server is not None  # noqa: S101 - for the type checker
        secure = self._ssl_context is not None
        self._server = await asyncio.get_running_loop().create_server(
            self._runner.server,
            sock=self._socket,
            ssl=self._ssl_context,
            backlog=self._backlog,
            ssl_handshake_timeout=self._handshake_timeout if secure else None,
        )

    async def leave(self) -> None:
        """Take no more connections; others go on doing so on the same socket."""
        await super().stop()

    async def stop(self) -> None:
        """Take nobody new, let in who has connected, and close."""
        if self._server is not None and self._settle:
            _refuse_new(self._socket)
            await asyncio.sleep(self._settle)
        await super().stop()


class ProxyPort:
    """The proxy port as one process serves it: its own sockets, and for a while those of others."""

    def __init__(self, runner: web.BaseRunner, ssl_context: ssl.SSLContext | None) -> None:
        self._runner = runner
        self._ssl_context = ssl_context
        self._adopted: dict[int, list[ListeningSite]] = {}
        self._changing = asyncio.Lock()

    async def adopt(self, seat: int, sockets: Sockets) -> None:
        """Take the connections of a worker that is gone, too."""
        async with self._changing:
            if self._runner.server is None or seat in self._adopted:
                return
            sites = self._adopted[seat] = []
            for each in sockets:
                sites.append(ListeningSite(self._runner, each.dup(), ssl_context=self._ssl_context))
                await sites[-1].start()

    async def release(self, seat: int) -> None:
        """Leave new connections to the worker that has taken the other's place."""
        async with self._changing:
            for site in self._adopted.pop(seat, ()):
                if site in self._runner.sites:
                    await site.leave()


async def listen(
    runner: web.BaseRunner,
    sockets: Sockets,
    name: str,
    host: str,
    stack: AsyncExitStack,
    *,
    ssl_context: ssl.SSLContext | None = None,
    settle: float = SETTLE,
) -> int:
    """Serve on bound sockets until ``stack`` is closed; return the port.

    Whoever connects just then has ``settle`` seconds to be let in. An address that cannot be had
    raises ``ConfigurationError`` naming the setting.
    """
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    port: int = sockets[0].getsockname()[1]
    try:
        for each in sockets:
            await ListeningSite(runner, each, ssl_context=ssl_context, settle=settle).start()
    except OSError as exc:
        raise cannot_listen(name, host, port, exc) from exc
    return port


def _refuse_new(listener: socket.socket) -> None:
    """Let the kernel drop new connections while those in the queue are taken.

    To close with a queue would reset them. Elsewhere than on Linux that remains.
    """
    if sys.platform != "linux":
        return
    code = ctypes.create_string_buffer(_DROP_SYN, len(_DROP_SYN))
    program = struct.pack("HP", len(_DROP_SYN) // 8, ctypes.addressof(code))
    with suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def _bind_all(host: str, port: int, *, shared: bool) -> Sockets:
    """Bind each address the host has."""
    bound: list[socket.socket] = []
    try:
        for address in _addresses(host, port):
            bound.append(_bind(*address, shared=shared))
            if not port:
                break  # another address would get another port
    except OSError:
        _close([tuple(bound)])
        raise
    return tuple(bound)


def _addresses(host: str, port: int) -> list[tuple[int, Any]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except UnicodeError:  # Python's own, before anybody is asked
        raise socket.gaierror(socket.EAI_NONAME, "no host has such a name") from None
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _bind(family: int, address: Any, *, shared: bool) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _close(listeners: list[Sockets]) -> None:
    for each in listeners:
        for listener in each:
            listener.close()
