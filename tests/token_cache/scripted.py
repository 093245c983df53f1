"""A server that answers what a test tells it to, command by command."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class ScriptedRedis:
    """Answers each command by its name; one it has no answer for is left without."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        self.seen: list[str] = []
        self.port = 0

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()

    def layout(self, *, host: bytes = b"", last: int = 16383) -> bytes:
        """Return the answer to CLUSTER SLOTS that gives this server every slot."""
        node = b"*2\r\n$%d\r\n%s\r\n:%d\r\n" % (len(host), host, self.port)
        return b"*1\r\n*3\r\n:0\r\n:%d\r\n%s" % (last, node)

    async def _serve(self, reader, writer):
        with suppress(asyncio.IncompleteReadError, ConnectionError, ValueError):
            while True:
                count = int((await reader.readline())[1:])
                parts = []
                for _ in range(count):
                    size = int((await reader.readline())[1:])
                    parts.append((await reader.readexactly(size + 2))[:-2])
                name = parts[0].decode()
                self.seen.append(name)
                if name in self.answers:
                    writer.write(self.answers[name])
        writer.close()
