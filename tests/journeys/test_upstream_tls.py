"""Upstreams reached over TLS: who is spoken to, and who is not (F17, P26)."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime

import pytest
import trustme

from tests.fakes.caller import basic, request
from tests.fakes.upstream import RecordingUpstream
from tests.fakes.upstream_answers import cut, response

JOHN = basic("john", "doe")
GET = request("GET", "/", [JOHN])


def server_context(certificate):
    """Give a server's TLS context with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@pytest.fixture
def authority(tmp_path):
    """Return a certificate authority and the file with its certificate."""
    authority = trustme.CA()
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return authority, file


async def test_https_upstream(start_gateway, call, authority):
    """F17: an https upstream whose certificate is issued by UPSTREAM_CA_FILE is spoken to."""
    ca, file = authority
    async with RecordingUpstream(
        ssl_context=server_context(ca.issue_cert("127.0.0.1"))
    ) as upstream:
        gateway = await start_gateway(UPSTREAM_URL=upstream.url, UPSTREAM_CA_FILE=str(file))
        caller = await call(gateway)

        answers = [await caller.send(request("POST", "/", [JOHN], b"hello")) for _ in range(3)]

        assert [200, 200, 200] == [each.status for each in answers]
        assert 1 == upstream.connections


BAD_CERTIFICATES = {
    "wrong_host": lambda ca: ca.issue_cert("other.example"),
    "expired": lambda ca: ca.issue_cert("127.0.0.1", not_after=datetime(2020, 1, 1, tzinfo=UTC)),
    "other_authority": lambda _: trustme.CA().issue_cert("127.0.0.1"),
}


@pytest.mark.parametrize("issue", [pytest.param(v, id=k) for k, v in BAD_CERTIFICATES.items()])
async def test_https_upstream_with_bad_certificate(start_gateway, call, authority, issue):
    """F17: a certificate that does not verify is 502, and not a byte of the request is sent."""
    ca, file = authority
    async with RecordingUpstream(ssl_context=server_context(issue(ca))) as upstream:
        gateway = await start_gateway(UPSTREAM_URL=upstream.url, UPSTREAM_CA_FILE=str(file))
        caller = await call(gateway)

        seen = await caller.send(GET)

        assert (502, "bad_gateway") == (seen.status, seen.json()["error"])
        assert [] == upstream.requests


@pytest.fixture
def own(tmp_path):
    """Write a certificate of the gateway's own, with its key; return its authority and the file."""
    authority, file = trustme.CA(), tmp_path / "own.pem"
    certificate = authority.issue_cert("gateway.example")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(file))
    return authority, file


@pytest.mark.parametrize(
    ("shown", "status"),
    [
        pytest.param("own", 200, id="shown"),
        pytest.param("own-with-key-file", 200, id="key-apart"),
        pytest.param("none", 502, id="none"),
        pytest.param("another", 502, id="of-another-authority"),
    ],
)
async def test_client_certificate(start_gateway, call, authority, own, tmp_path, shown, status):
    """UPSTREAM_CERT_FILE: an upstream that asks for a certificate gets the gateway's."""
    ca, file = authority
    trusted, cert_file = own
    context = server_context(ca.issue_cert("127.0.0.1"))
    context.verify_mode = ssl.CERT_REQUIRED
    (trusted if shown != "another" else trustme.CA()).configure_trust(context)
    settings = {"UPSTREAM_CA_FILE": str(file), "UPSTREAM_CERT_FILE": str(cert_file)}
    if shown == "own-with-key-file":
        settings["UPSTREAM_KEY_FILE"] = str(cert_file)
    if shown == "none":
        del settings["UPSTREAM_CERT_FILE"]
    async with RecordingUpstream(ssl_context=context) as upstream:
        gateway = await start_gateway(UPSTREAM_URL=upstream.url, **settings)
        caller = await call(gateway)

        seen = await caller.send(GET)

        assert status == seen.status
        assert (status == 200) is bool(upstream.requests)


async def test_http_upstream_where_https_is_expected(start_gateway, call):
    """F17: an upstream that does not speak TLS is 502."""

    async def speak(_reader, writer):
        writer.write(response(400))
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        gateway = await start_gateway(UPSTREAM_URL=f"https://127.0.0.1:{port}")
        caller = await call(gateway)

        seen = await caller.send(GET)

    assert (502, "bad_gateway") == (seen.status, seen.json()["error"])


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "close"])
async def test_close_delimited_body_over_tls(start_gateway, call, authority, reset):
    """P26: over TLS too, a reset in a body without length is a body that is cut short."""
    ca, file = authority
    async with RecordingUpstream(
        ssl_context=server_context(ca.issue_cert("127.0.0.1"))
    ) as upstream:
        gateway = await start_gateway(UPSTREAM_URL=upstream.url, UPSTREAM_CA_FILE=str(file))
        upstream.answer_next(cut(b"HTTP/1.1 200 OK\r\n\r\nhello", reset=reset))
        caller = await call(gateway)

        seen = await caller.send(GET)

        assert (b"hello", reset) == (seen.body, seen.truncated)
