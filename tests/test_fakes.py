"""The scripted provider: what the other tests rely on when they speak to it."""

from __future__ import annotations

import asyncio
import base64
import json
import logging

import aiohttp
import jwt
import pytest

from tests.fakes.answers import ANSWERS, REMOVED, Answer, granted
from tests.fakes.caller import RawCaller, basic, request
from tests.fakes.provider import FakeProvider
from tests.fakes.upstream import RecordingUpstream

FORM = (b"Content-Type", b"application/x-www-form-urlencoded")
JOHN = b"grant_type=password&username=john&password=doe&scope=openid"
GATEWAY = basic("gateway", "gateway-secret")


def token_request(body=JOHN, *headers):
    """Write a token request with the gateway's own authentication unless other fields are given."""
    return request("POST", "/token", headers or (GATEWAY, FORM), body)


async def call(port, data):
    """Send one request on a connection of its own."""
    async with RawCaller(port) as caller:
        return await caller.send(data)


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"])
async def test_password_grant_gives_a_token_its_key_set_verifies(alg):
    """The provider signs with a key it publishes, whatever the algorithm."""
    async with FakeProvider(alg=alg) as provider:
        answer = (await call(provider.port, token_request())).json()
        key_set = jwt.PyJWKSet.from_dict(
            (await call(provider.port, request("GET", "/jwks"))).json()
        )
        header = jwt.get_unverified_header(answer["access_token"])
        claims = jwt.decode(
            answer["access_token"],
            key_set[header["kid"]],
            algorithms=[alg],
            issuer=provider.issuer,
            audience="api",
        )
    assert claims["sub"] == "john"
    assert claims["azp"] == "gateway"
    assert (answer["token_type"], answer["expires_in"], answer["scope"]) == (
        "Bearer",
        300,
        "openid",
    )
    assert provider.jwks_calls == 1


async def test_client_credentials_by_post_gives_a_token_for_the_client():
    """The caller's pair is the client authentication, and the token is the client's."""
    async with FakeProvider() as provider:
        form = b"grant_type=client_credentials&client_id=service&client_secret=service-secret"
        answer = await call(provider.port, token_request(form, FORM))
    claims = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
    assert (claims["sub"], claims["azp"]) == ("service", "service")
    (seen,) = provider.token_calls
    assert (seen.grant_type, seen.client_id, seen.auth_method) == (
        "client_credentials",
        "service",
        "client_secret_post",
    )


@pytest.mark.parametrize(
    ("body", "headers", "status", "error"),
    [
        pytest.param(JOHN, (GATEWAY, FORM), 200, None, id="good"),
        pytest.param(JOHN + b"&scope=a", (GATEWAY, FORM), 400, "invalid_request", id="duplicate"),
        pytest.param(JOHN, (GATEWAY,), 400, "invalid_request", id="no_content_type"),
        pytest.param(JOHN + b"%zz", (GATEWAY, FORM), 400, "invalid_request", id="stray_percent"),
        pytest.param(JOHN + "é".encode(), (GATEWAY, FORM), 400, "invalid_request", id="raw_utf8"),
        pytest.param(
            JOHN + b"&client_secret=x", (GATEWAY, FORM), 400, "invalid_request", id="two_methods"
        ),
        pytest.param(
            JOHN, (basic("gateway", "no"), FORM), 401, "unauthorized_client", id="wrong_secret"
        ),
        pytest.param(JOHN, (FORM,), 401, "unauthorized_client", id="no_client"),
        pytest.param(
            JOHN,
            (basic("service", "service-secret"), FORM),
            400,
            "unauthorized_client",
            id="password_by_another_client",
        ),
        pytest.param(
            b"grant_type=password&username=john&password=Doe",
            (GATEWAY, FORM),
            400,
            "invalid_grant",
            id="wrong_password",
        ),
        pytest.param(
            b"grant_type=password&username=jane&password=doe",
            (GATEWAY, FORM),
            400,
            "invalid_grant",
            id="unknown_user",
        ),
        pytest.param(b"grant_type=x", (GATEWAY, FORM), 400, "unsupported_grant_type", id="grant"),
    ],
)
async def test_token_endpoint_is_strict(body, headers, status, error):
    """What a strict authorization server refuses is refused, with its error code."""
    async with FakeProvider() as provider:
        answer = await call(provider.port, token_request(body, *headers))
    assert (answer.status, answer.json().get("error")) == (status, error)


async def test_client_secret_is_form_decoded_after_base64():
    """RFC 6749 §2.3.1: a secret with a percent sign and a plus arrives only when form-encoded."""
    async with FakeProvider(client_secret="a%b:c+d e") as provider:
        encoded = base64.b64encode(b"gateway:a%25b%3Ac%2Bd+e")
        good = await call(
            provider.port, token_request(JOHN, (b"Authorization", b"Basic " + encoded), FORM)
        )
        bad = await call(provider.port, token_request(JOHN, basic("gateway", "a%b:c+d e"), FORM))
    assert (good.status, bad.status) == (200, 400)
    assert [refused.error for refused in provider.refused_calls] == ["invalid_client"]


@pytest.mark.parametrize("name", ANSWERS)
async def test_every_answer_of_the_table_is_sent_as_written(name, caplog):
    """Each scripted answer arrives with its status, its content type and its body, once."""
    caplog.set_level(logging.WARNING)
    answer = ANSWERS[name]
    async with FakeProvider() as provider:
        provider.answer_next_token(answer)
        first = await call(provider.port, token_request())
        second = await call(provider.port, token_request())
    assert first.status == (answer.status if answer.drop is None else 0)
    assert [value.decode() for value in first.values("content-type")] == (
        [answer.content_type] if answer.content_type and not answer.drop else []
    )
    assert first.body == (first.body if answer.body is None else answer.body)
    assert (second.status, len(provider.token_calls)) == (200, 2)
    assert not caplog.records


async def test_members_of_a_genuine_answer_can_be_changed():
    """One member at a time is wrong while the rest of the answer stays genuine."""
    async with FakeProvider() as provider:
        provider.answer_next_token(ANSWERS["expires_in_1e400"])
        infinite = await call(provider.port, token_request())
        provider.answer_next_token(ANSWERS["duplicate_members"])
        repeated = await call(provider.port, token_request())
        provider.answer_next_token(granted(token_type=REMOVED), times=None)
        for _ in range(3):
            bare = await call(provider.port, token_request())
            assert "token_type" not in bare.json()
        provider.behave()
        good = await call(provider.port, token_request())
    assert b'"expires_in":1e400' in infinite.body
    assert repeated.body.count(b'"access_token":') == 2
    assert good.json()["token_type"] == "Bearer"


@pytest.mark.parametrize(
    ("answer", "received"),
    [
        pytest.param(Answer(200, b"x" * 100, drop="before"), (0, b""), id="before"),
        pytest.param(Answer(200, b"x" * 100, drop="mid_body"), (200, b"x" * 50), id="mid_body"),
        pytest.param(Answer(200, b"x" * 100, dribble=0.001), (200, b"x" * 100), id="dribble"),
        pytest.param(Answer(200, b"x" * 100, delay=0.01), (200, b"x" * 100), id="delay"),
    ],
)
async def test_answers_can_be_slow_or_cut(answer, received):
    """A dropped connection, half a body and a slow body arrive as what they are."""
    async with FakeProvider() as provider:
        provider.answer_jwks(answer)
        seen = await call(provider.port, request("GET", "/jwks"))
    assert (seen.status, seen.body) == received
    assert seen.truncated == (answer.drop is not None)


async def test_tokens_can_be_wrong_in_claims_and_header():
    """Claims and header members are replaced or left out; a whole token can be replaced."""
    async with FakeProvider() as provider:
        provider.claims = {"aud": ["x"], "exp": "soon", "sub": REMOVED, "iss": None}
        provider.header = {"kid": None, "typ": "at+jwt", "crit": ["b64"]}
        token = (await call(provider.port, token_request())).json()["access_token"]
        provider.access_token = "opaque"
        opaque = (await call(provider.port, token_request())).json()["access_token"]
    header, claims, _signature = token.split(".")
    assert json.loads(base64.urlsafe_b64decode(header + "==")) == {
        "alg": "RS256",
        "typ": "at+jwt",
        "crit": ["b64"],
    }
    written = json.loads(base64.urlsafe_b64decode(claims + "=="))
    assert (written["aud"], written["exp"], written["iss"]) == (["x"], "soon", None)
    assert "sub" not in written
    assert opaque == "opaque"


async def test_rotation_adds_a_key_and_keeps_or_drops_the_old():
    """A rotated provider signs with a new ``kid``; the old key stays published if wanted."""
    async with FakeProvider() as provider:
        old = provider.key.kid
        new = provider.rotate().kid
        both = [key["kid"] for key in provider.jwk_set()["keys"]]
        newest = provider.rotate(keep_old=False, alg="ES256").kid
        alone = [key["kid"] for key in provider.jwk_set()["keys"]]
        header = jwt.get_unverified_header(provider.mint("john", "gateway"))
    assert both == [old, new]
    assert alone == [newest]
    assert (header["kid"], header["alg"]) == (newest, "ES256")


async def test_two_providers_never_share_a_key():
    """Keys are used again only after their provider has closed, and under a new name."""
    async with FakeProvider() as one, FakeProvider() as other:
        assert one.key.jwk()["n"] != other.key.jwk()["n"]
        kids = {one.key.kid, other.key.kid}
    async with FakeProvider() as third:
        assert third.key.kid not in kids


async def test_provider_goes_down_and_comes_up_on_its_port():
    """While it is down nothing listens; established connections end too."""
    async with FakeProvider() as provider, RawCaller(provider.port) as caller:
        assert (await caller.send(request("GET", "/jwks"))).status == 200
        await provider.down()
        assert await caller.closed()
        with pytest.raises(ConnectionRefusedError):
            await call(provider.port, request("GET", "/jwks"))
        await provider.up()
        document = (
            await call(provider.port, request("GET", "/.well-known/openid-configuration"))
        ).json()
    assert document["issuer"] == provider.issuer
    assert provider.discovery_calls == 1


async def test_token_calls_wait_at_the_gate():
    """Requests are counted on arrival and answered when the gate opens."""
    async with FakeProvider() as provider:
        provider.gate.clear()
        waiting = [asyncio.create_task(call(provider.port, token_request())) for _ in range(3)]
        await provider.token_called(3)
        assert not any(task.done() for task in waiting)
        provider.gate.set()
        assert [answer.status for answer in await asyncio.gather(*waiting)] == [200] * 3


async def test_one_user_can_have_an_answer_of_their_own():
    """A scripted user leaves the others alone."""
    async with FakeProvider() as provider:
        provider.users["jane"] = "roe"
        provider.answers_for["john"] = ANSWERS["keycloak_disabled_user"]
        refused = await call(provider.port, token_request())
        let_in = await call(
            provider.port, token_request(b"grant_type=password&username=jane&password=roe")
        )
    assert (refused.json()["error_description"], let_in.status) == ("Account disabled", 200)


async def test_an_ordinary_client_understands_both_servers():
    """The provider and the upstream speak HTTP that aiohttp's own client takes."""
    async with (
        FakeProvider() as provider,
        RecordingUpstream() as upstream,
        aiohttp.ClientSession() as session,
    ):
        auth = {"Authorization": GATEWAY[1].decode()}
        form = {"grant_type": "password", "username": "john", "password": "doe"}
        async with session.post(f"{provider.issuer}/token", data=form, headers=auth) as answer:
            token = (await answer.json())["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        async with session.post(f"{upstream.url}/x", data=b"x", headers=headers) as answer:
            seen = await answer.json()
    assert ["Authorization", f"Bearer {token}"] in seen["headers"]
