"""What ``doctor`` says about Redis, and about a provider that is not there or odd."""

from __future__ import annotations

import dataclasses
import time

import pytest

from gateway.doctor import Asked, Severity, examine, has_failed, telling
from gateway.doctor.redis import probe_redis
from gateway.settings import load
from tests.fakes.answers import ANSWERS
from tests.fakes.provider import FakeProvider
from tests.peers.children import free_port
from tests.token_cache.redis_server import RedisServer


async def findings_of(provider, **more):
    """Return what is found with these settings."""
    environ = {
        "ISSUER": provider.issuer,
        "CLIENT_ID": provider.client_id,
        "CLIENT_SECRET": provider.client_secret,
        "UPSTREAM_URL": "http://127.0.0.1:1",
        **more,
    }
    loaded = load(None, environ)
    asked = Asked(time.time, "john", "doe")
    return [finding async for finding in examine(loaded, asked)]


async def test_a_sound_provider(provider):
    """With a provider that works and a user who can log in nothing has failed."""
    found = await findings_of(provider)

    assert not has_failed(found)
    assert "john can log in with the password grant" in [each.what for _, each in found]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        pytest.param(None, (Severity.FINE, "may redeem refresh tokens", ""), id="good"),
        pytest.param(
            "unsupported_grant_type",
            (Severity.FAILURE, "unsupported_grant_type", "take it out of AUTH_METHODS"),
            id="no-such-grant",
        ),
        pytest.param(
            "keycloak_unknown_client",
            (Severity.FAILURE, "the client gateway is refused", "CLIENT_SECRET"),
            id="client-refused",
        ),
        pytest.param("genuine", (Severity.FAILURE, "made up", "AUTH_METHODS"), id="takes-anything"),
    ],
)
async def test_refresh_tokens(provider, answer, told):
    """The provider is asked with a refresh token that nobody has, and not without the method."""
    method = {"AUTH_METHODS": "refresh_token", "REFRESH_TOKEN_PARAM_NAME": "X-Refresh-Token"}
    if answer is not None:
        provider.answer_next_token(ANSWERS[answer], times=None)

    found = await findings_of(provider, **method)
    asked = [call.grant_type for call in provider.token_calls]
    severity, what, fix = told

    assert [
        each
        for _, each in found
        if (each.severity is severity and what in each.what and fix in each.fix)
    ], found
    assert {"refresh_token"} == set(asked)
    provider.behave()
    await findings_of(provider)
    assert "refresh_token" not in {call.grant_type for call in provider.token_calls[len(asked) :]}


async def test_a_provider_that_is_down(provider):
    """One failure, which names ISSUER, and nothing else is guessed at."""
    await provider.down()

    ((about, finding),) = await findings_of(provider)

    assert (about, finding.severity) == ("default", Severity.FAILURE)
    assert "cannot be reached" in finding.what
    assert "ISSUER" in finding.fix


@pytest.mark.parametrize(
    ("cluster", "scheme", "word"),
    [
        pytest.param(False, "redis", "as REDIS_URL says", id="good"),
        pytest.param(True, "redis", "redis+cluster://", id="a-cluster"),
        pytest.param(False, "redis+cluster", "does not answer", id="no-cluster"),
    ],
)
async def test_redis_modes(tmp_path, cluster, scheme, word):
    """A server of another kind than the URL says is found, with what to write there."""
    # Without a port of its own for the nodes it would take one that may be beyond the last.
    options = ("cluster-enabled yes", f"cluster-port {free_port()}") if cluster else ()
    server = RedisServer(tmp_path, *options)
    server.start()
    try:
        found = [each async for each in probe_redis(f"{scheme}://127.0.0.1:{server.port}")]
    finally:
        server.stop()

    assert [each for each in found if word in each.what + each.fix], found


async def test_redis_is_away():
    """A Redis that nobody listens as is a failure with REDIS_URL in its fix."""
    url = f"redis://:CANARY@127.0.0.1:{free_port()}"

    (finding,) = [each async for each in probe_redis(url)]

    assert finding.severity is Severity.FAILURE
    assert "REDIS_URL" in finding.fix
    assert "CANARY" not in repr(finding)


async def test_what_is_shown(provider, capsys):
    """Each finding is one line, its fix another, and the JSON says the same."""
    found = await findings_of(provider, AUDIENCE_REQUIRED="nowhere")

    telling.tell(found)
    lines = capsys.readouterr().out.splitlines()

    assert len(lines) == len(found) + sum(bool(each.fix) for _, each in found)
    for _, each in found:
        assert telling.write_json(found).count(each.what)
        assert [line for line in lines if each.what in line]
    assert has_failed(found)


def test_secrets_have_no_representation():
    """Neither password nor token is in the representation of what was asked."""
    asked = Asked(time.time, "john", "CANARY-1", "CANARY-2")

    assert "CANARY" not in repr(asked) + repr(dataclasses.replace(asked, user=""))


@pytest.fixture
async def provider():
    """Run a fake provider."""
    async with FakeProvider() as fake:
        yield fake
