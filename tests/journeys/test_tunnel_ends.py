"""Tunnels whose ends leave in the middle of what the other one says (P21, P25)."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import struct
from contextlib import suppress

import pytest
import trustme

from tests.fakes.caller import RawCaller
from tests.fakes.upstream import RecordingUpstream
from tests.fakes.waiting import until
from tests.fakes.websocket import HANDSHAKE, SWITCHED
from tests.journeys.running import RunningGateway

WAYS = ("reset", "close") * 3
PIECE = bytes(1 << 16)
NO_LINGER = struct.pack("ii", 1, 0)
TROUBLE = re.compile("Traceback|never retrieved|was destroyed|Fatal error|ResourceWarning|failed")


@pytest.fixture
def certificates(tmp_path):
    """Return the settings of TLS on both sides, and the contexts of caller and upstream."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    paths = {name: str(tmp_path / name) for name in ("ca", "certificate", "key")}
    authority.cert_pem.write_to_path(paths["ca"])
    certificate.cert_chain_pems[0].write_to_path(paths["certificate"])
    certificate.private_key_pem.write_to_path(paths["key"])
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(serving)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    settings = {
        "TLS_CERT_FILE": paths["certificate"],
        "TLS_KEY_FILE": paths["key"],
        "UPSTREAM_CA_FILE": paths["ca"],
    }
    return settings, trusting, serving


async def pour(writer):
    """Write without end."""
    with suppress(ConnectionError, RuntimeError):
        while not writer.is_closing():
            writer.write(PIECE)
            await writer.drain()
            await asyncio.sleep(0)  # over a broken TLS connection the line before lets nobody in


def reset(writer):
    """Tear a connection down with a reset, if it is still there."""
    connection = writer.get_extra_info("socket")
    if connection is not None:
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    writer.transport.abort()


@pytest.mark.parametrize("secured", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("who", ["caller", "upstream", "both"])
async def test_end_in_the_middle(provider, certificates, secured, who):
    """P21, P25: whoever leaves, and however much is on the way, both are let go without a word."""
    settings, trusting, serving = certificates
    way = ""
    left = asyncio.Event()

    async def switch(_reader, writer, _request):
        writer.write(SWITCHED)
        pouring = asyncio.create_task(pour(writer))
        await asyncio.sleep(0.01)
        if who != "caller":
            reset(writer) if way == "reset" else writer.close()
        else:
            await left.wait()
        pouring.cancel()
        writer.transport.abort()

    async with RecordingUpstream(ssl_context=serving if secured else None) as upstream:
        upstream.answer_next(switch, times=None)
        known = {
            "ISSUER": provider.issuer,
            "CLIENT_ID": provider.client_id,
            "CLIENT_SECRET": provider.client_secret,
            "UPSTREAM_URL": upstream.url,
            "WEBSOCKET_MAX_PER_USER": "1000",
            "PYTHONDEVMODE": "1",
        }
        async with RunningGateway(**known, **(settings if secured else {})) as gateway:
            for way in WAYS:
                context = trusting if secured else None
                async with RawCaller(gateway.port, ssl_context=context) as caller:
                    await caller.write(HANDSHAKE)
                    assert (await caller.read_some()).startswith(b"HTTP/1.1 101 ")
                    pouring = asyncio.create_task(pour(caller._writer))
                    if who != "upstream":
                        await asyncio.sleep(0.01)
                        reset(caller._writer) if way == "reset" else caller.leave()
                    else:
                        while await caller.read_some():
                            pass
                    pouring.cancel()
                    caller._writer.transport.abort()
                left.set()
                await asyncio.sleep(0)
                left.clear()
            await until(lambda: upstream.open_connections == 0)

            assert not TROUBLE.search(gateway.events), gateway.events[-4000:]
