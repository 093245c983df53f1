"""What a refresh token was redeemed for: judged, purged and kept to oneself like any token."""

from __future__ import annotations

from contextlib import AsyncExitStack
from urllib.parse import quote

import pytest

from tests.authentication.composed import compose_all
from tests.fakes.caller import RawCaller, basic, request
from tests.fakes.signing import take_key
from tests.journeys.refreshing import (
    EVERYWHERE,
    FIELD,
    FORM,
    JSON,
    METHOD,
    UNCACHED,
    get,
    purge,
    send,
    spent,
    two_sessions,
    while_redis_answers,
)
from tests.journeys.test_policy_cached import head_with


@pytest.fixture
async def provider(provider):
    """Return a provider that rotates, and where two people have logged in already."""
    return two_sessions(provider)


@pytest.mark.parametrize("name", ["sub-of-mary", "mary@example.com", "MARY@example.com"])
async def test_purged_by_verified_names(start_gateway, call, provider, name):
    """A7: a purge by any name of the token reaches it, and the chain goes on from where it was."""
    provider.claims = {"sub": "sub-of-mary", "preferred_username": "mary@example.com"}
    gateway = await start_gateway(**METHOD, REVOKE_ON_PURGE="true")
    caller = await call(gateway)
    await caller.send(get())

    assert {"purged": 0} == await purge(gateway, "?user=somebody")
    assert 200 == (await caller.send(get())).status
    assert ["marys-first"] == spent(provider)
    assert {"purged": 1} == await purge(gateway, f"?user={quote(name)}")

    assert 200 == (await caller.send(get())).status
    assert 2 == len(spent(provider)) == len(set(spent(provider)))


@pytest.mark.parametrize("shared", [True, False], ids=["redis", "memory"])
@while_redis_answers
async def test_the_callers_session_is_not_ended(start_gateway, call, provider, start_redis, shared):
    """T7: REVOKE_ON_PURGE ends sessions that the gateway began, and this is the caller's."""
    redis = {"REDIS_URL": start_redis().url, "CACHE_SECRET": "s" * 32} if shared else {}
    gateway = await start_gateway(**METHOD, **redis, REVOKE_ON_PURGE="true")
    caller = await call(gateway)
    await caller.send(get())
    await caller.send(request("GET", "/", [basic("john", "doe")]))

    assert {"purged": 2} == await purge(gateway)

    assert 1 == len(provider.revoked)
    assert 200 == (await caller.send(get())).status


async def test_a_token_that_does_not_verify(start_gateway, call, provider, upstream):
    """What the provider rotated to is kept before its access token is looked at."""
    caller = await call(await start_gateway(**METHOD))
    provider.access_token = provider.mint("mary", "another-client")

    assert 502 == (await caller.send(get())).status
    provider.access_token = None

    assert 200 == (await caller.send(get())).status
    assert 2 == len(spent(provider)) == len(set(spent(provider)))
    assert 1 == len(upstream.requests)


async def test_id_token(start_gateway, call, provider, upstream):
    """T9: the ID token that comes for a refresh token is verified, kept and told like a login's."""
    provider.id_claims = {}
    caller = await call(await start_gateway(**METHOD, UPSTREAM_ID_TOKEN_HEADER="X-Who"))

    assert [200, 200] == [(await caller.send(get())).status for _ in range(2)]

    first, second = [each.values(b"x-who") for each in upstream.requests]
    assert first == second
    assert first[0].startswith(b"eyJ")
    provider.id_claims = {"aud": "somebody-else"}
    assert 502 == (await caller.send(get("pauls-first"))).status


async def test_withdrawn_key(start_gateway, call, provider):
    """K4: an access token whose key was withdrawn is not sent on; the chain gives another one."""
    caller = await call(await start_gateway(**METHOD))
    await caller.send(get())
    provider.rotate(keep_old=False)
    assert 200 == (await caller.send(get("pauls-first"))).status  # by the new key: it is fetched

    assert 200 == (await caller.send(get())).status
    assert 3 == len(set(spent(provider))) == len(spent(provider))


async def test_withdrawn_key_of_the_id_token(provider):
    """T9, K4: an entry whose ID token was verified by a key that is gone is not used."""
    signs_tokens, signs_id_tokens, next_one = (take_key("ES256") for _ in range(3))
    provider.key, provider.keys = signs_tokens, [signs_tokens, signs_id_tokens]
    provider.id_claims, provider.id_key = {}, signs_id_tokens
    only = METHOD | {"AUTH_METHODS": "refresh_token", "UPSTREAM_ID_TOKEN_HEADER": "X-Who"}
    async with AsyncExitStack() as stack:
        composed = await compose_all(stack, provider, **only)
        [authenticator] = composed.routes[0].authenticators
        head = head_with((FIELD, b"marys-first"))
        before = [await authenticator.authenticate(head, None) for _ in range(2)]
        provider.keys, provider.id_key = [signs_tokens, next_one], next_one
        await composed.known["default"].keys.load(f"{provider.issuer}/jwks")
        after = await authenticator.authenticate(head, None)

    assert ["provider", "memory", "provider"] == [each.source for each in (*before, after)]
    assert 2 == len(set(spent(provider))) == len(spent(provider))


async def test_denied_by_a_rule(start_gateway, call, provider, upstream):
    """J15, J23: rules are asked about the redeemed token's claims, cached or not."""
    caller = await call(await start_gateway(**METHOD, AUDIENCE_REQUIRED="other"))

    statuses = [(await caller.send(get())).status for _ in range(2)]

    assert [403, 403] == statuses
    assert ([], 1) == (upstream.requests, len(provider.token_calls))


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"scope": "orders"}, id="scope"),
        pytest.param({"scope": "orders", "level": "2"}, id="forbidden"),
        pytest.param({"scope": "other"}, id="other-scope"),
        pytest.param({"scope": ["orders"], "aud": ["api"]}, id="lists"),
        pytest.param({"realm_access": {"roles": ["admin"]}}, id="role"),
    ],
)
async def test_same_decision_without_the_cache(start_gateway, call, provider, claims):
    """J23: the decision with a warm cache is that without one, and that about a password."""
    rules = {"SCOPES_REQUIRED": "orders", "CLAIMS_FORBIDDEN": "level=2"}
    cached = await call(await start_gateway(**METHOD, **rules))
    uncached = await call(await start_gateway(**UNCACHED, **rules))
    provider.claims = claims

    warm = [(await cached.send(get())).status for _ in range(2)]
    cold = [(await uncached.send(get("pauls-first"))).status for _ in range(2)]
    pair = (await cached.send(request("GET", "/", [basic("john", "doe")]))).status

    assert {pair} == {*warm, *cold}


async def test_no_secret_in_any_line(start_gateway, provider, written):
    """L1: neither the caller's token nor what came of it is in a line, an answer or a metric."""
    gateway = await start_gateway(**EVERYWHERE, LOG_LEVEL="debug", CACHE_TTL_MAX="0")
    provider.sessions["CANARY-first"] = "mary"
    messages = [
        request("GET", "/", [("refresh", "CANARY-first")]),
        request("GET", "/?refresh=CANARY-first"),
        request("POST", "/", [FORM], b"refresh=CANARY-first"),
        request("POST", "/", [JSON], b'{"refresh":"CANARY-first"'),
        request("GET", "/?refresh=CANARY-first", [("refresh", "CANARY-first")]),
        request("GET", "/", [("refresh", "CANARY-invented")]),
    ]
    answers = [await send(gateway, message) for message in messages]
    async with RawCaller(gateway.admin_port) as admin:
        metrics = (await admin.send(request("GET", "/metrics"))).body.decode()
    texts = [repr(written()), metrics, *(repr((a.headers, a.body)) for a in answers[3:])]

    assert [200, 200, 200, 400, 400, 401] == [each.status for each in answers]
    secrets = {"CANARY", *provider.sessions, *(each for each in spent(provider) if each)}
    assert [] == [secret for secret in secrets for text in texts if secret in text]
    assert 'grant="refresh_token"' in metrics


async def test_invented_tokens(start_gateway, provider):
    """R4: refresh tokens the provider refused count for the address, like opaque tokens."""
    gateway = await start_gateway(**METHOD, FAILED_LOGINS_MAX="1", FAILED_LOGINS_WINDOW="600")
    assert 200 == (await send(gateway, get())).status

    answers = [await send(gateway, get(f"invented-{n}")) for n in range(25)]

    assert [401] * 20 + [429] * 5 == [each.status for each in answers]
    assert 1 + 20 == len(provider.token_calls)
    assert 200 == (await send(gateway, get())).status
    assert 429 == (await send(gateway, get("pauls-first"))).status
    assert 200 == (await send(gateway, get("pauls-first"), "127.0.0.2")).status
