"""Responses that were valid before they were changed, read in one piece and in many (P20, P27).

``FUZZ_RESPONSES=1000000 FUZZ_SEED=7 python -m pytest tests/forwarding/test_response_fuzz.py``
runs it longer.
"""

from __future__ import annotations

import os
from random import Random

from gateway.errors import UpstreamError
from gateway.forwarding.response_reader import ResponseReader
from tests.fakes.mutations import mutate
from tests.fakes.upstream_answers import chunked, response

SEED = int(os.environ.get("FUZZ_SEED", "20261121"))
COUNT = int(os.environ.get("FUZZ_RESPONSES", "20000"))
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
VALID = (
    response(200, b"hello"),
    response(200, b"hello", [("Content-Type", "text/plain"), ("X-A", "b")]),
    response(204),
    response(304, headers=[("ETag", '"a"')]),
    chunked([b"hello", b"x" * 40]),
    chunked([b"hello"], [("Trailer", "X-A")]).removesuffix(b"\r\n") + b"X-A: b\r\n\r\n",
    INTERIM + response(200, b"hello"),
    response(200, b"hello", close=True),
    b"HTTP/1.1 200 OK\r\n\r\nhello",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
)
METHODS = ("GET", "GET", "GET", "HEAD", "POST")


def read(reader, method, pieces):
    """Return what became of a response: status, head, body, and whether another may follow."""
    reader.begin(method)
    body = b""
    try:
        for piece in pieces:
            reader.feed(piece)
            body += reader.take()
    except UpstreamError:
        body += reader.take()
        return reader.head and reader.head.status, None, body, False
    head = reader.head
    follows = reader.complete and reader.keep_alive
    return head and head.status, head and (head.start, head.framing), body, follows


def in_pieces(random, data):
    """Return the bytes in up to five pieces."""
    cuts = sorted(random.randrange(len(data) + 1) for _ in range(random.randrange(5)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def test_changed_responses():
    """P20, P27: pieces make no difference, nor does what came before on a connection."""
    random = Random(SEED)  # noqa: S311 - to be the same each time
    used = ResponseReader()
    for _ in range(COUNT):
        method, valid = random.choice(METHODS), random.choice(VALID)
        data = mutate(random, valid)
        if not data:
            continue
        read(used, "GET", [random.choice((valid, VALID[0]))])
        if not (used.complete and used.keep_alive):
            used = ResponseReader()

        fresh = read(ResponseReader(), method, in_pieces(random, data))
        again = read(used, method, [data])

        assert fresh[:1] + fresh[3:] == again[:1] + again[3:], (method, valid, data)
        if None not in {fresh[1], again[1]}:
            assert fresh == again, (method, valid, data)
        if not again[3]:
            used = ResponseReader()
