"""An upstream for large bodies: sends 1 GiB of ``/large``, takes what is PUT, then answers."""

from __future__ import annotations

import re
import socketserver
import sys
from typing import BinaryIO, cast

from tests.benchmarks.site import BODY

BLOCK = bytes(1 << 20)
SIZE = 1 << 30
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
SENT = f"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: {SIZE}\r\n\r\n".encode()
TAKEN = f"HTTP/1.1 200 OK\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}".encode()


class Sink(socketserver.StreamRequestHandler):
    """One connection of a proxy."""

    def handle(self) -> None:
        """Answer requests until the proxy closes."""
        while head := read_head(cast("BinaryIO", self.rfile)):
            if head.startswith(b"GET /large "):
                self.send()
            else:
                self.take(head)

    def send(self) -> None:
        """Send the large body."""
        self.wfile.write(SENT)
        for _ in range(SIZE // len(BLOCK)):
            self.wfile.write(BLOCK)

    def take(self, head: bytes) -> None:
        """Read a body to its end and answer."""
        length = LENGTH.search(head)
        left, block = int(length[1]) if length else 0, memoryview(bytearray(1 << 18))
        while left:
            got = self.rfile.readinto(block[: min(left, len(block))])  # type: ignore[attr-defined]
            if not got:
                return
            left -= got
        self.wfile.write(TAKEN)  # the answer of the other upstream


def read_head(lines: BinaryIO) -> bytes:
    """Read a request's head; empty when the connection has ended."""
    head = b""
    while line := lines.readline():
        head += line
        if line == b"\r\n":
            return head
    return b""


class Server(socketserver.ThreadingTCPServer):
    """A thread for each connection."""

    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    Server(("127.0.0.1", int(sys.argv[1])), Sink).serve_forever()
