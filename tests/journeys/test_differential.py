"""What arrives through the gateway is what arrives without it, but for a documented list (N12)."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from random import Random

import pytest

from tests.fakes.caller import basic
from tests.fakes.valid_requests import make_request
from tests.fakes.waiting import until
from tests.journeys.running import RunningGateway

SEED = 20_261_121
COUNT = 20_000
CONNECTIONS = 8
BATCH = 25
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

# docs/operation.md, "What changes on the way".
REMOVED = {
    b"authorization", b"host", b"connection", b"keep-alive", b"te", b"x-d-hop",
    b"content-length", b"transfer-encoding",
}  # fmt: skip
ADDED = {b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-request-id"}


@dataclass(slots=True)
class Seen:
    """One request as an upstream read it."""

    line: bytes
    fields: list[tuple[bytes, bytes]]
    framing: str
    body: hashlib._Hash = field(default_factory=hashlib.sha256)

    def values(self, name):
        """Return the values of a field."""
        return [value for found, value in self.fields if found.lower() == name]

    def essence(self):
        """Return all of it that has to be the same on both ways."""
        fields = [pair for pair in self.fields if pair[0].lower() not in REMOVED | ADDED]
        return self.line, fields, self.framing, self.body.hexdigest()


class Recorder(asyncio.Protocol):
    """Reads requests strictly, keeps them by number, answers each with 200."""

    def __init__(self, seen):
        self._seen = seen
        self._buffer = bytearray()
        self._now = None
        self._left = 0

    def connection_made(self, transport):
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data):
        """Read as far as there is something whole to read."""
        self._buffer += data
        while self._head() if self._now is None else self._content():
            pass

    def _head(self):
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        line, *lines = bytes(self._buffer[:end]).split(b"\r\n")
        del self._buffer[: end + 4]
        pairs = [each.partition(b":") for each in lines]
        assert all(colon for _, colon, _ in pairs), lines
        seen = Seen(line, [(name, value.strip(b" \t")) for name, _, value in pairs], "none")
        lengths, codings = seen.values(b"content-length"), seen.values(b"transfer-encoding")
        assert len(lengths) + len(codings) <= 1, line
        self._now = seen
        self._left = int(lengths[0]) if lengths else -1 if codings else 0
        # RFC 9110 §8.6: a Content-Length of 0 may be said for a method that anticipates content.
        seen.framing = "chunked" if codings else "length" if self._left else "none"
        return True

    def _content(self):
        if self._left < 0:
            return self._chunk()
        if len(self._buffer) < self._left:
            return False
        self._take(self._left)
        self._finish()
        return True

    def _chunk(self):
        end = self._buffer.find(b"\r\n")
        if end < 0:
            return False
        size = int(bytes(self._buffer[:end]).partition(b";")[0], 16)
        if size:
            if len(self._buffer) < end + 2 + size + 2:
                return False
            del self._buffer[: end + 2]
            self._take(size)
            assert self._buffer[:2] == b"\r\n"
            del self._buffer[:2]
            return True
        finish = self._buffer.find(b"\r\n\r\n", end)
        if finish < 0:
            return False
        del self._buffer[: finish + 4]
        self._finish()
        return True

    def _take(self, size):
        self._now.body.update(self._buffer[:size])
        del self._buffer[:size]

    def _finish(self):
        seen, self._now = self._now, None
        number = int(seen.values(b"x-d-case")[0])
        assert number not in self._seen, f"request {number} arrived twice"
        self._seen[number] = seen
        self._transport.write(ANSWER)


def difference(one, other):
    """Return what only one of them has, for whoever reads a failure."""
    (line, fields, framing, _), (other_line, others, other_framing, _) = (
        one.essence(),
        other.essence(),
    )
    return (
        (line, other_line),
        (framing, other_framing),
        Counter(fields) - Counter(others),
        Counter(others) - Counter(fields),
    )


def batches(requests):
    """Yield the requests in batches to pipeline; behind a chunked one nothing is sent along."""
    batch = []
    for each in requests:
        batch.append(each)
        if each.chunked or len(batch) == BATCH:
            yield batch
            batch = []
    yield batch


async def send_all(port, requests):
    """Send requests over few connections, a batch at a time; every answer must be 200."""
    connection = None
    for batch in batches(requests):
        if connection is None:
            connection = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
        reader, writer = connection
        writer.write(b"".join(each.data for each in batch))
        async with asyncio.timeout(60):
            for each in batch:
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200 "), (SEED, each, head, await reader.read(500))
                if b"\r\nConnection: close\r\n" in head:
                    assert (True, batch[-1]) == (each.chunked, each), (SEED, each)
                    writer.close()
                    connection = None
    if connection is not None:
        connection[1].close()


@pytest.fixture
async def recorders():
    """Return two upstreams' ports and records."""
    loop = asyncio.get_running_loop()
    records = {}, {}
    servers = [
        await loop.create_server(lambda record=record: Recorder(record), "127.0.0.1")
        for record in records
    ]
    ports = [each.sockets[0].getsockname()[1] for each in servers]
    yield list(zip(ports, records, strict=True))
    for server in servers:
        server.close()


async def test_same_through_the_gateway(provider, recorders):
    """N12, P1, P8, P10, P17: 20,000 valid requests arrive as without the gateway, each once."""
    (direct_port, direct), (port, through) = recorders
    settings = {
        "ISSUER": provider.issuer,
        "CLIENT_ID": provider.client_id,
        "CLIENT_SECRET": provider.client_secret,
        "UPSTREAM_URL": f"http://127.0.0.1:{port}",
        "CACHE_TTL_MAX": "3600",
    }
    random = Random(SEED)  # noqa: S311 - a seed makes the same requests again
    requests = [make_request(random, number, basic("john", "doe")[1]) for number in range(COUNT)]
    shares = [requests[at::CONNECTIONS] for at in range(CONNECTIONS)]

    async with RunningGateway(**settings) as gateway:
        await asyncio.gather(
            *(send_all(direct_port, share) for share in shares),
            *(send_all(gateway.port, share) for share in shares),
        )
        await until(lambda: len(through) == len(direct) == COUNT)

    different = [
        (SEED, number, requests[number].data[:300], *difference(direct[number], through[number]))
        for number in range(COUNT)
        if direct[number].essence() != through[number].essence()
    ]
    assert [] == different[:3]
    tokens = {each.values(b"authorization")[0].partition(b" ")[0] for each in through.values()}
    assert {b"Bearer"} == tokens
