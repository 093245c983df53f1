"""Who may be the provider: hosts, certificates, and that no caller has a say in it."""

from __future__ import annotations

import datetime as dt
import gzip
import ssl

import pytest
import trustme

from tests.fakes.answers import Answer, granted
from tests.fakes.caller import basic, request
from tests.fakes.provider import FakeProvider
from tests.journeys.test_outages import readiness

JOHN = basic("john", "doe")
AUTHORITY = trustme.CA()
YESTERDAY = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)


async def test_endpoint_on_another_host(start_gateway, call, provider, written):
    """D3: a token endpoint on another host is refused, and the log names the setting."""
    provider.metadata = {"token_endpoint": f"http://localhost:{provider.port}/token"}
    gateway = await start_gateway()
    response = await (await call(gateway)).send(request("GET", "/", [JOHN]))

    assert (response.status, (await readiness(gateway))[0]) == (503, 503)
    assert provider.token_calls == []
    assert any("IDP_ENDPOINT_HOSTS" in str(line) for line in written())


async def test_endpoint_on_a_listed_host(start_gateway, call, provider):
    """D3: with IDP_ENDPOINT_HOSTS the same endpoint is used."""
    provider.metadata = {"token_endpoint": f"http://localhost:{provider.port}/token"}
    caller = await call(await start_gateway(IDP_ENDPOINT_HOSTS="LocalHost"))

    assert (await caller.send(request("GET", "/", [JOHN]))).status == 200


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(lambda url: [("Host", url)], id="D6-host"),
        pytest.param(lambda url: [("X-Forwarded-Host", url)], id="D6-forwarded-host"),
        pytest.param(lambda url: [("Forwarded", f"host={url}")], id="D6-forwarded"),
        pytest.param(lambda url: [("X-Original-URL", f"http://{url}/")], id="D6-original"),
        pytest.param(lambda url: [("Issuer", f"http://{url}")], id="D6-issuer"),
    ],
)
async def test_callers_choose_no_provider(gateway, call, provider, upstream, fields):
    """D6: neither field nor query of a request leads to another provider."""
    async with FakeProvider() as other:
        place = f"127.0.0.1:{other.port}"
        target = f"/?issuer=http://{place}&iss=http://{place}&jwks_uri=http://{place}/jwks"
        response = await (await call(gateway)).send(request("GET", target, [JOHN, *fields(place)]))

        assert (other.discovery_calls, other.jwks_calls, other.token_calls) == (0, 0, [])
    assert response.status == 200


async def test_tokens_choose_no_key(gateway, call, provider, upstream):
    """D6, J4: a token that brings or names its own key causes no fetch of it."""
    async with FakeProvider() as other:
        url = f"{other.issuer}/jwks"
        provider.header = {"jku": url, "x5u": url, "jwk": other.key.jwk(), "kid": other.key.kid}
        provider.key = other.key
        response = await (await call(gateway)).send(request("GET", "/", [JOHN]))

        assert (other.discovery_calls, other.jwks_calls) == (0, 0)
    assert (response.status, upstream.requests) == (502, [])


async def test_token_of_another_issuer(gateway, call, provider, upstream):
    """D7: a token of issuer B answered by issuer A's endpoint is 502, though A signed it."""
    async with FakeProvider() as other:
        provider.claims = {"iss": other.issuer}
        response = await (await call(gateway)).send(request("GET", "/", [JOHN]))

    assert (response.status, upstream.requests) == (502, [])


def server_side(certificate):
    """Make the TLS side of a provider."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context


@pytest.mark.parametrize(
    "certificate",
    [
        pytest.param(AUTHORITY.issue_cert("127.0.0.1", not_after=YESTERDAY), id="F7-expired"),
        pytest.param(AUTHORITY.issue_cert("other.example"), id="F7-wrong-host"),
        pytest.param(trustme.CA().issue_cert("127.0.0.1"), id="F7-other-authority"),
    ],
)
async def test_certificate_that_turns_bad(start_gateway, call, tmp_path, certificate):
    """D8, F7: a provider whose certificate turns bad is 503 and receives nothing; then it heals."""
    AUTHORITY.cert_pem.write_to_path(tmp_path / "ca.pem")
    good = server_side(AUTHORITY.issue_cert("127.0.0.1"))
    async with FakeProvider(ssl_context=good) as provider:
        settings = {"ISSUER": provider.issuer, "IDP_CA_FILE": str(tmp_path / "ca.pem")}
        caller = await call(await start_gateway(**settings))
        await provider.down()
        provider._ssl = server_side(certificate)
        await provider.up()

        response = await caller.send(request("GET", "/", [JOHN]))

        assert (response.status, provider.token_calls) == (503, [])
        await provider.down()
        provider._ssl = good
        await provider.up()
        assert (await caller.send(request("GET", "/", [JOHN]))).status == 200


async def test_only_the_access_token_is_sent_on(gateway, call, provider, upstream):
    """T7, T9: neither a refresh token nor an ID token of the answer reaches the upstream."""
    provider.answer_next_token(
        granted(refresh_token="CANARY-refresh", id_token=provider.mint("john", "x", typ="ID"))
    )
    await (await call(gateway)).send(request("GET", "/", [JOHN]))
    [seen] = upstream.requests
    token = seen.values(b"authorization")[0].removeprefix(b"Bearer ")

    assert b"CANARY" not in b"".join(name + value for name, value in seen.headers)
    assert token.count(b".") == 2


async def test_id_token_in_place_of_the_access_token(gateway, call, provider, upstream):
    """T9, J17: an ID token is not taken for an access token."""
    token = provider.mint("john", "gateway", typ="ID")
    provider.answer_next_token(granted(access_token=token, id_token=token))

    response = await (await call(gateway)).send(request("GET", "/", [JOHN]))

    assert (response.status, upstream.requests) == (502, [])


async def test_inflating_answer(gateway, call, provider):
    """T3, F4: an answer that would have to be inflated is 502; the next login works."""
    bomb = gzip.compress(b" " * (1 << 24))
    provider.answer_next_token(Answer(200, bomb, headers=(("Content-Encoding", "gzip"),)))
    caller = await call(gateway)

    statuses = [(await caller.send(request("GET", "/", [JOHN]))).status for _ in range(2)]

    assert statuses == [502, 200]
