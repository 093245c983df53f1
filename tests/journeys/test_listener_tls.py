"""HTTPS on the proxy port: what is spoken, what is refused, and certificates renewed (S4)."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import warnings
from contextlib import suppress

import pytest
import trustme
from aiohttp import web

from gateway.app.listening import ListeningSite, bind
from tests.fakes.caller import RawCaller, basic, request
from tests.fakes.waiting import until
from tests.journeys.running import RunningGateway

JOHN = basic("john", "doe")
GET = request("GET", "/", [JOHN])


class Authority:
    """A certificate authority, and the files of a certificate it issued."""

    def __init__(self, folder):
        self._ca = trustme.CA()
        self.cert_file, self.key_file = folder / "cert.pem", folder / "key.pem"

    def issue(self):
        """Write a certificate chain and its key in place of those that are there."""
        issued = self._ca.issue_cert("127.0.0.1")
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        for path, data in (
            (self.cert_file, chain),
            (self.key_file, issued.private_key_pem.bytes()),
        ):
            draft = path.with_suffix(".new")
            draft.write_bytes(data)
            draft.chmod(0o600)
            draft.replace(path)

    def context(self):
        """Return what a caller needs who trusts this authority."""
        context = ssl.create_default_context()
        self._ca.configure_trust(context)
        return context

    @property
    def settings(self):
        """What the gateway is told about the files."""
        return {"TLS_CERT_FILE": str(self.cert_file), "TLS_KEY_FILE": str(self.key_file)}


@pytest.fixture
def authority(tmp_path):
    """Return an authority with a certificate for the gateway."""
    authority = Authority(tmp_path)
    authority.issue()
    return authority


async def test_https(start_gateway, authority, upstream):
    """S4: the port speaks HTTPS and HTTP/1.1 only, and the upstream is told so."""
    gateway = await start_gateway(**authority.settings)
    context = authority.context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with RawCaller(gateway.port, ssl_context=context) as caller:
        answers = [await caller.send(GET) for _ in range(3)]
        chosen = caller.secured.selected_alpn_protocol()

    assert [200] * 3 == [each.status for each in answers]
    assert "http/1.1" == chosen
    assert [b"https"] == upstream.requests[0].values(b"X-Forwarded-Proto")


def speaking(authority, version, ciphers):
    """Return a caller's context for this version and these ciphers alone."""
    context = authority.context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of what is tried here
        context.minimum_version = context.maximum_version = version
    context.set_ciphers(ciphers + ":@SECLEVEL=0")
    return context


@pytest.mark.parametrize(
    ("version", "ciphers", "spoken"),
    [
        pytest.param(ssl.TLSVersion.TLSv1_3, "DEFAULT", True, id="TLS 1.3"),
        pytest.param(ssl.TLSVersion.TLSv1_2, "DEFAULT", True, id="TLS 1.2"),
        pytest.param(ssl.TLSVersion.TLSv1_2, "ECDHE+CHACHA20", True, id="TLS 1.2 ChaCha20"),
        pytest.param(ssl.TLSVersion.TLSv1_2, "ECDHE+AES:!AESGCM:!AESCCM", False, id="CBC"),
        pytest.param(ssl.TLSVersion.TLSv1_2, "kRSA", False, id="no forward secrecy"),
        pytest.param(ssl.TLSVersion.TLSv1_2, "DHE", False, id="finite field"),
        pytest.param(ssl.TLSVersion.TLSv1_2, "AECDH", False, id="anonymous"),
        pytest.param(ssl.TLSVersion.TLSv1_1, "ALL", False, id="TLS 1.1"),
        pytest.param(ssl.TLSVersion.TLSv1, "ALL", False, id="TLS 1.0"),
    ],
)
async def test_versions_and_ciphers(start_gateway, authority, version, ciphers, spoken):
    """S4: TLS 1.2 with forward secrecy and AEAD, and TLS 1.3, are spoken; nothing else is."""
    gateway = await start_gateway(**authority.settings)
    caller = RawCaller(gateway.port, ssl_context=speaking(authority, version, ciphers))

    if spoken:
        async with caller:
            assert 200 == (await caller.send(GET)).status
    else:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await caller.__aenter__()


async def test_plain_http_to_the_tls_port(start_gateway, authority, upstream, written):
    """S4: plain HTTP is no request: the connection ends, with one line at level debug."""
    gateway = await start_gateway(**authority.settings)
    async with RawCaller(gateway.port) as caller:
        await caller.write(GET)
        assert b"" == await until_end(caller)

    lines = [line for line in written() if line["logger"] == "gateway.tls"]
    assert [("debug", "a TLS handshake failed: HTTP_REQUEST")] == [
        (line["level"], line["message"]) for line in lines
    ]
    assert [] == upstream.requests


async def until_end(caller):
    """Read to the end of the connection, leaving out TLS alerts; return what is not one."""
    seen = b""
    while data := await caller.read_some():
        seen += data
    return b"" if seen.startswith(b"\x15\x03") and len(seen) == 7 else seen


async def test_slow_handshake(authority):
    """P23, S4: a handshake that does not come to its end in time is cut."""
    runner = web.ServerRunner(web.Server(None))
    await runner.setup()
    ((listener,),) = bind("PORT", "127.0.0.1", 0)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.cert_file, authority.key_file)
    site = ListeningSite(runner, listener, ssl_context=context, handshake_timeout=0.1)
    await site.start()
    async with RawCaller(listener.getsockname()[1]) as caller:
        await caller.write(b"\x16\x03\x01\x02\x00")

        assert await caller.closed()
    await runner.cleanup()


@pytest.mark.parametrize("workers", [1, 2])
async def test_certificate_is_renewed_under_load(provider, upstream, authority, tmp_path, workers):
    """S4: SIGHUP shows the new certificate; no request fails, and what is open stays open."""
    (tmp_path / "next").mkdir()
    following = Authority(tmp_path / "next")
    following.cert_file, following.key_file = authority.cert_file, authority.key_file
    settings = process(provider, upstream, authority) | {"WORKERS": str(workers)}
    async with RunningGateway(**settings) as gateway:
        load = Load(gateway.port, authority.context(), following.context())
        async with RawCaller(gateway.port, ssl_context=authority.context()) as kept, load:
            assert 200 == (await kept.send(GET)).status
            await until(lambda: load.seen["old"] > 3)
            following.issue()
            gateway.signal(signal.SIGHUP)
            await until(lambda: gateway.events.count("TLS_CERT_FILE is reloaded") == workers)
            await until(lambda: load.seen["new"] > 3)
            following.cert_file.write_text("broken")
            gateway.signal(signal.SIGHUP)
            await until(lambda: gateway.events.count("TLS_CERT_FILE is not reloaded") == workers)
            before = load.seen["new"]
            await until(lambda: load.seen["new"] > before + 3)

            assert 200 == (await kept.send(GET)).status
        assert [] == load.failures
        assert "certificate or key is not in PEM" in gateway.events

        gateway.signal(signal.SIGTERM)
        assert 0 == await gateway.exited()


def process(provider, upstream, authority):
    """Return the settings of a gateway process with this certificate."""
    return {
        "ISSUER": provider.issuer,
        "CLIENT_ID": provider.client_id,
        "CLIENT_SECRET": provider.client_secret,
        "UPSTREAM_URL": upstream.url,
        **authority.settings,
    }


class Load:
    """Connections one after the other; each trusts whichever of two authorities it takes."""

    def __init__(self, port, old, new):
        self._port = port
        self._contexts = {"old": old, "new": new}
        self._current = "old"
        self.seen = {"old": 0, "new": 0}
        self.failures = []

    async def __aenter__(self):
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self):
        while True:
            with suppress(ssl.SSLCertVerificationError):
                await self._ask(self._current)
                continue
            self._current = {"old": "new", "new": "old"}[self._current]

    async def _ask(self, name):
        async with RawCaller(self._port, ssl_context=self._contexts[name]) as caller:
            answer = await caller.send(GET)
        self.seen[name] += 1
        if answer.status != 200:
            self.failures.append(answer)


async def test_worker_started_later_shows_the_newest_good_certificate(
    provider, upstream, authority
):
    """S4: a worker that is started while the files are broken shows what was good last."""
    settings = process(provider, upstream, authority) | {"WORKERS": "2"}
    async with RunningGateway(**settings) as gateway:
        old = authority.context()
        authority.cert_file.write_text("broken")
        gateway.signal(signal.SIGHUP)
        await until(lambda: gateway.events.count("TLS_CERT_FILE is not reloaded") == 2)
        for worker in gateway.workers:
            os.kill(worker, signal.SIGKILL)
        await until(lambda: gateway.events.count("was killed") == 2)

        async with RawCaller(gateway.port, ssl_context=old, within=30.0) as caller:
            assert 200 == (await caller.send(GET)).status
