"""Upstreams reached over TLS: who is spoken to, and who is not (F17, P26)."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime

import pytest
import trustme
from cryptography.x509 import load_pem_x509_certificate

from tests.fakes.caller import basic, request
from tests.fakes.upstream import RecordingUpstream
from tests.fakes.upstream_answers import cut, response
from tests.fakes.waiting import until

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


def replaced(file, certificate, authority=None):
    """Put another certificate in the place of this one; its authority's own without a key."""
    draft = file.with_suffix(".new")
    blob = certificate.cert_pem if authority else certificate.private_key_and_cert_chain_pem
    blob.write_to_path(str(draft))
    draft.replace(file)


async def reloaded(gateway):
    """Wait until the gateway has done what SIGHUP makes it do."""
    gateway.reloads.start()
    await gateway.reloads.aclose()


class Asking:
    """An upstream that asks for certificates and notes the serial number of each."""

    def __init__(self, ca, trusted):
        self.context = server_context(ca.issue_cert("127.0.0.1"))
        self.context.verify_mode = ssl.CERT_REQUIRED
        trusted.configure_trust(self.context)
        self.shown = []

    async def answer(self, _reader, writer, _request):
        """Answer 200."""
        shown = writer.get_extra_info("ssl_object").getpeercert()["serialNumber"]
        self.shown.append(int(shown, 16))
        writer.write(response(200))


def serial_of(certificate):
    """Return the serial number of a certificate trustme issued."""
    return load_pem_x509_certificate(certificate.cert_chain_pems[0].bytes()).serial_number


async def test_client_certificate_renewed(start_gateway, call, authority, own):
    """S4: after SIGHUP new connections show the certificate that is in the file by now."""
    ca, file = authority
    trusted, cert_file = own
    asking = Asking(ca, trusted)
    async with RecordingUpstream(ssl_context=asking.context) as upstream:
        gateway = await start_gateway(
            UPSTREAM_URL=upstream.url, UPSTREAM_CA_FILE=str(file), UPSTREAM_CERT_FILE=str(cert_file)
        )
        caller = await call(gateway)
        upstream.answer_next(asking.answer, times=None)
        before = await caller.send(GET)
        await reloaded(gateway)
        same = await caller.send(GET)

        renewed = trusted.issue_cert("gateway.example")
        replaced(cert_file, renewed)
        await reloaded(gateway)
        after = await caller.send(GET)

    assert [200, 200, 200] == [each.status for each in (before, same, after)]
    assert asking.shown[0] == asking.shown[1] != asking.shown[2] == serial_of(renewed)
    assert 2 == upstream.connections


async def test_certificate_of_one_route(start_gateway, call, authority, own, tmp_path):
    """S4: a certificate that is for one route's upstream is not shown for another route."""
    ca, file = authority
    trusted, cert_file = own
    settings = tmp_path / "gateway.yaml"
    settings.write_text(
        f"upstream_ca_file: {file}\n"
        "routes:\n"
        f"- {{name: known, paths: [/known], upstream_cert_file: {cert_file}}}\n"
        "- {name: unknown}\n"
    )
    asking = Asking(ca, trusted)
    async with RecordingUpstream(ssl_context=asking.context) as upstream:
        gateway = await start_gateway(settings, UPSTREAM_URL=upstream.url)
        caller = await call(gateway)

        known = await caller.send(request("GET", "/known", [JOHN]))
        unknown = await caller.send(GET)

    assert [200, 502] == [known.status, unknown.status]


async def test_trust_anchors_renewed(start_gateway, call, authority):
    """F17: after SIGHUP upstreams are believed by the trust anchors in the file by now."""
    _, file = authority
    successor = trustme.CA()
    context = server_context(successor.issue_cert("127.0.0.1"))
    async with RecordingUpstream(ssl_context=context) as upstream:
        gateway = await start_gateway(UPSTREAM_URL=upstream.url, UPSTREAM_CA_FILE=str(file))
        caller = await call(gateway)
        before = await caller.send(GET)

        replaced(file, successor, authority=True)
        await reloaded(gateway)
        after = await caller.send(GET)

    assert [502, 200] == [before.status, after.status]


async def test_trust_anchors_withdrawn(start_gateway, call, authority, tmp_path):
    """F17: without UPSTREAM_CA_FILE, also after a reload, it is the system that is believed."""
    ca, file = authority
    settings = tmp_path / "gateway.yaml"
    settings.write_text(f"upstream_ca_file: {file}")
    context = server_context(ca.issue_cert("127.0.0.1"))
    async with RecordingUpstream(ssl_context=context) as upstream:
        gateway = await start_gateway(settings, UPSTREAM_URL=upstream.url)
        caller = await call(gateway)
        before = await caller.send(GET)

        settings.write_text("{}")
        await reloaded(gateway)
        after = await caller.send(GET)

    assert [200, 502] == [before.status, after.status]


@pytest.mark.parametrize("which", ["ca", "own"])
async def test_unusable_file_replaces_nothing(start_gateway, call, authority, own, written, which):
    """S4: a file that is not usable any more changes nothing, not for first connections either."""
    ca, file = authority
    trusted, cert_file = own
    asking = Asking(ca, trusted)
    async with RecordingUpstream(ssl_context=asking.context) as upstream:
        gateway = await start_gateway(
            UPSTREAM_URL=upstream.url, UPSTREAM_CA_FILE=str(file), UPSTREAM_CERT_FILE=str(cert_file)
        )
        (file if which == "ca" else cert_file).write_text("nothing")
        await reloaded(gateway)
        caller = await call(gateway)

        seen = await caller.send(GET)

    assert 200 == seen.status
    setting = f"UPSTREAM_{'CA' if which == 'ca' else 'CERT'}_FILE: the file holds no"
    errors = [line["message"] for line in written() if line["level"] == "error"]
    assert [True] == [setting in each and "what was there stays" in each for each in errors]


async def test_request_under_way_keeps_its_connection(start_gateway, call, authority):
    """F17: a reload with other trust anchors cuts no request that is with the upstream."""
    ca, file = authority
    answer = asyncio.Event()

    async def late(_reader, writer, _request):
        await answer.wait()
        writer.write(response(200, b"late"))

    async with RecordingUpstream(
        ssl_context=server_context(ca.issue_cert("127.0.0.1"))
    ) as upstream:
        gateway = await start_gateway(UPSTREAM_URL=upstream.url, UPSTREAM_CA_FILE=str(file))
        upstream.answer_next(late)
        caller = await call(gateway)
        asking = asyncio.create_task(caller.send(GET))
        await until(lambda: upstream.requests, within=60)

        replaced(file, trustme.CA(), authority=True)
        await reloaded(gateway)
        answer.set()

        assert b"late" == (await asking).body
        await reloaded(gateway)
        await until(lambda: upstream.open_connections == 0, within=60)


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
