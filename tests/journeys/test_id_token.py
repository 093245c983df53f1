"""The ID token in a header field of the upstream request, through the composed gateway."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack

import pytest

from tests.authentication.composed import compose_all
from tests.fakes.answers import REMOVED
from tests.fakes.caller import basic, request
from tests.fakes.signing import take_key
from tests.journeys.test_policy_cached import head_with
from tests.journeys.test_shared_cache import stored
from tests.settings.environments import written as file_of

JOHN, SERVICE = basic("john", "doe"), basic("service", "service-secret")
FIELD = {"UPSTREAM_ID_TOKEN_HEADER": "X-Who"}
SECRET = "n" * 32
ROUTES = """
routes:
- {name: public, paths: [/public], auth_methods: []}
- {name: other, paths: [/other], upstream_id_token_header: ""}
- name: rest
"""


@pytest.fixture
def provider(provider):
    """Return a provider with ID tokens, whose texts differ."""
    provider.id_claims = {}
    provider.key = take_key("ES256")
    provider.keys = [provider.key]
    return provider


def arrived(upstream):
    """Return what each request said in the field, and in Authorization."""
    return [
        (b"|".join(each.values(b"x-who")), b"|".join(each.values(b"authorization")))
        for each in upstream.requests
    ]


@pytest.mark.parametrize(
    "pair", [pytest.param(JOHN, id="user"), pytest.param(SERVICE, id="client")]
)
async def test_sent(start_gateway, call, upstream, pair):
    """T9: it arrives beside the access token, the same from the cache, and not the caller's own."""
    caller = await call(await start_gateway(**FIELD))
    for _ in range(2):
        response = await caller.send(request("GET", "/", [pair, ("x-who", "CANARY")]))
        assert response.status == 200

    (first, token), (second, _) = arrived(upstream)
    assert first == second
    assert [b"eyJ", 2] == [first[:3], first.count(b".")]
    assert f"Bearer {first.decode()}".encode() != token


async def test_absent(start_gateway, call, provider, upstream):
    """P4: where the provider gives none nothing arrives, whatever the caller says."""
    provider.id_claims = None
    caller = await call(await start_gateway(**FIELD))
    for name in ("X-Who", "x.who", "X--Who", "-x-who"):
        assert (await caller.send(request("GET", "/", [JOHN, (name, "CANARY")]))).status == 200

    assert [b""] * 4 == [value for value, _ in arrived(upstream)]
    assert b"CANARY" not in repr([each.headers for each in upstream.requests]).encode()


async def test_other_routes(start_gateway, call, tmp_path, upstream, provider):
    """P3, P4: other routes neither pass the field on nor are told, and log in apart."""
    caller = await call(await start_gateway(file_of(tmp_path, ROUTES), **FIELD))
    for path in ("/public", "/other", "/rest"):
        forged = [("X-Who", "CANARY"), ("x-WHO", "CANARY"), JOHN]
        assert (await caller.send(request("GET", path, forged))).status == 200

    assert [b"", b"", True] == [*[value for value, _ in arrived(upstream)][:2],
                                arrived(upstream)[2][0].startswith(b"eyJ")]  # fmt: skip
    assert 2 == len(provider.token_calls)


WRONG = [
    pytest.param({"aud": "other", "azp": REMOVED}, id="T9-aud"),
    pytest.param({"iss": "https://other.example"}, id="T9-iss"),
    pytest.param({"exp": 1}, id="T9-expired"),
    pytest.param({"at_hash": "AAAA"}, id="T9-of-another-access-token"),
    pytest.param({"at_hash": REMOVED, "sub": "anna"}, id="T9-of-somebody-else"),
    pytest.param({"typ": "Bearer"}, id="T9-no-ID-token"),
]


@pytest.mark.parametrize("changes", WRONG)
async def test_not_verified(start_gateway, call, provider, upstream, written, changes):
    """T9: one that does not verify is sent nowhere: 502, and the log says why."""
    provider.id_claims = changes
    response = await (await call(await start_gateway(**FIELD))).send(request("GET", "/", [JOHN]))

    assert (502, "provider_error") == (response.status, response.json()["error"])
    assert [] == upstream.requests
    assert written()[-1]["cause"].startswith("the provider's ID token does not verify: ")


async def test_not_looked_at(start_gateway, call, provider, upstream):
    """T9: where no field is configured it is not looked at, and not kept."""
    provider.id_claims = {"aud": "other"}
    response = await (await call(await start_gateway())).send(request("GET", "/", [JOHN]))

    assert response.status == 200
    assert [b""] == [value for value, _ in arrived(upstream)]


async def test_expiry(start_gateway, call, provider):
    """T9: nothing is kept past the end of the ID token, however long the access token lives."""
    provider.id_claims = {"exp": int(time.time()) + 5}
    caller = await call(await start_gateway(**FIELD, CACHE_MARGIN="10"))
    for _ in range(2):
        assert (await caller.send(request("GET", "/", [JOHN]))).status == 200

    assert 2 == len(provider.token_calls)


async def test_shared_cache(start_gateway, call, provider, upstream, start_redis):
    """T9, A4: in Redis it is sealed with its access token, and another gateway has it from there.

    One without the field takes nothing from there, nor leaves anything.
    """
    redis = start_redis()
    settings = {"REDIS_URL": redis.url, "CACHE_SECRET": SECRET}
    for more in ({}, FIELD, FIELD, {}):
        caller = await call(await start_gateway(**settings, **more))
        assert (await caller.send(request("GET", "/", [JOHN]))).status == 200

    values = [value for value, _ in arrived(upstream)]
    assert [b"", values[1], values[1], b""] == values
    assert values[1].startswith(b"eyJ")
    assert 2 == len(provider.token_calls)
    dump = b"\n".join(await stored(redis))
    assert [] == [word for word in (b"eyJ", b"id_token", b"john") if word in dump]


async def test_withdrawn_key(provider):
    """T9: an entry whose ID token was verified by a key that is gone is not used."""
    signs_tokens, signs_id_tokens, next_one = (take_key("ES256") for _ in range(3))
    provider.key, provider.keys = signs_tokens, [signs_tokens, signs_id_tokens]
    provider.id_key = signs_id_tokens
    async with AsyncExitStack() as stack:
        composed = await compose_all(stack, provider, **FIELD)
        [authenticator] = composed.routes[0].authenticators
        known = composed.known["default"]
        head = head_with(basic("john", "doe"))
        before = [await authenticator.authenticate(head, None) for _ in range(2)]
        provider.keys, provider.id_key = [signs_tokens, next_one], next_one
        await known.keys.load(f"{provider.issuer}/jwks")
        after = await authenticator.authenticate(head, None)

    assert ["provider", "memory", "provider"] == [each.source for each in (*before, after)]
    assert before[1].principal.id_token.thumbprint != after.principal.id_token.thumbprint


async def test_new_key(provider):
    """T9: keys are fetched again for an ID token that names one not seen before."""
    async with AsyncExitStack() as stack:
        composed = await compose_all(stack, provider, **FIELD)
        [authenticator] = composed.routes[0].authenticators
        provider.id_key = take_key("ES256")
        provider.keys = [provider.key, provider.id_key]
        admitted = await authenticator.authenticate(head_with(basic("john", "doe")), None)

    assert provider.id_key.kid
    assert admitted.principal.id_token is not None


async def test_callers_tokens(start_gateway, call, provider, upstream):
    """P4: with a token of the caller's own there is no ID token, and nothing arrives."""
    settings = {"AUTH_METHODS": "password,bearer", "INSECURE_ACCEPT_ANY_AUDIENCE": "true"}
    caller = await call(await start_gateway(**FIELD, **settings))
    field = ("Authorization", f"Bearer {provider.mint('john', 'app', 'openid')}")
    response = await caller.send(request("GET", "/", [field, ("X-Who", "CANARY")]))

    assert response.status == 200
    assert [b""] == [value for value, _ in arrived(upstream)]
