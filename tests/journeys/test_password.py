"""A user name and a password go in, a verified access token comes out at the upstream."""

from __future__ import annotations

from tests.fakes.caller import basic, request

JOHN = basic("john", "doe")


async def test_basic_in_bearer_out(gateway, call, provider, upstream):
    """The upstream receives the provider's access token instead of the Basic credentials."""
    caller = await call(gateway)

    response = await caller.send(request("GET", "/anything?x=1", [JOHN]))

    assert response.status == 200
    (seen,) = upstream.requests
    (authorization,) = seen.values(b"authorization")
    assert authorization.startswith(b"Bearer ey")
    assert seen.target == b"/anything?x=1"
    assert [each.grant_type for each in provider.token_calls] == ["password"]


async def test_second_request_costs_no_provider_call(gateway, call, provider, upstream):
    """A repeated request is served from memory: same token, no second login."""
    caller = await call(gateway)

    for _ in range(3):
        await caller.send(request("GET", "/", [JOHN]))

    assert len(provider.token_calls) == 1
    assert len({tuple(each.values(b"authorization")) for each in upstream.requests}) == 1
