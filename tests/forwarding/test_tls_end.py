"""Bodies that last until the close, over TLS: only the upstream may end them (P26)."""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import replace
from threading import Thread

import pytest
import trustme
import uvloop

from gateway.errors import UpstreamError
from gateway.forwarding.pool import UpstreamPool
from gateway.routing import read_upstream
from tests.fakes.upstream_answers import response
from tests.forwarding.exchanging import HEAD

LOOPS = [
    pytest.param(asyncio.new_event_loop, id="asyncio"),
    pytest.param(uvloop.new_event_loop, id="uvloop"),
]
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\nhello"


class Upstream(Thread):
    """Answers one request over TLS; with ``notify`` it says that it ends the connection."""

    def __init__(self, context, answer, *, notify):
        super().__init__()
        self._context = context
        self._answer = answer
        self._notify = notify
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(20)
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"

    def run(self):
        """Serve one connection."""
        with self._listener, self._listener.accept()[0] as raw:
            raw.settimeout(20)
            secured = self._context.wrap_socket(raw, server_side=True, suppress_ragged_eofs=True)
            with secured:
                assert secured.recv(65536) == HEAD
                secured.sendall(self._answer)
                if self._notify:
                    secured.unwrap().close()
                else:
                    secured.shutdown(socket.SHUT_WR)  # of the socket: TLS says nothing


async def read_all(url, context):
    """Return the body of the answer."""
    upstream = replace(read_upstream(url), tls=context)
    pool = UpstreamPool(upstream, connect_timeout=20)
    connection = await pool.connect()
    connection.start("GET", HEAD, more=False)
    body = b""
    try:
        async with asyncio.timeout(20):
            await connection.read_head()
            while piece := await connection.read_body():
                body += piece
    finally:
        pool.release(connection)
        pool.close()
    return body


@pytest.mark.parametrize("loop_factory", LOOPS)
@pytest.mark.parametrize(
    ("answer", "notify", "cut"),
    [
        pytest.param(UNTIL_CLOSE, True, False, id="said"),
        pytest.param(UNTIL_CLOSE, False, True, id="cut"),
        pytest.param(response(200, b"hello"), False, False, id="length"),
    ],
)
def test_end_of_a_body_over_tls(loop_factory, answer, notify, cut):
    """P26: a body without a length is whole if TLS says so, not if the connection just ends."""
    authority = trustme.CA()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(serving)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    upstream = Upstream(serving, answer, notify=notify)
    upstream.start()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        if cut:
            with pytest.raises(UpstreamError):
                runner.run(read_all(upstream.url, trusting))
        else:
            assert b"hello" == runner.run(read_all(upstream.url, trusting))
    upstream.join(20)
