"""TOKEN_POST_ARGS_CLIENT: what a caller may say in the gateway's token request."""

from __future__ import annotations

import pytest

from tests.fakes.caller import basic, request

JOHN = basic("john", "doe")


@pytest.fixture
async def caller(start_gateway, call):
    """Return a connection to a gateway that copies ``scope`` and ``otp``."""
    return await call(await start_gateway(TOKEN_POST_ARGS_CLIENT="scope,otp"))


async def test_named_parameters_are_copied(caller, provider, upstream):
    """They reach the provider, ``scope`` in place of the gateway's, and stay in the request."""
    response = await caller.send(request("GET", "/x?a=1&otp=12%2034&scope=orders", [JOHN]))

    form = provider.token_calls[0].form
    assert response.status == 200
    assert ("12 34", "orders") == (form["otp"], form["scope"])
    assert "a" not in form
    assert b"/x?a=1&otp=12%2034&scope=orders" == upstream.requests[0].target


async def test_they_are_part_of_the_key(caller, provider):
    """A2: another value is another entry; the same values, in any order, are the same."""
    for query in ("scope=a", "scope=b", "otp=1&scope=b", "scope=b&otp=1", "scope=a"):
        await caller.send(request("GET", f"/?{query}", [JOHN]))

    assert ["a", "b", "b"] == [call.form["scope"] for call in provider.token_calls]


async def test_given_twice(caller, provider, upstream):
    """C3: a copied parameter that is given twice is refused."""
    response = await caller.send(request("GET", "/?otp=1&otp=2", [JOHN]))

    assert response.status == 400
    assert ([], []) == (provider.token_calls, upstream.requests)


async def test_off_by_default(gateway, call, provider):
    """Nothing of a caller's query goes into the token request unless it is named."""
    await (await call(gateway)).send(request("GET", "/?scope=admin", [JOHN]))

    assert provider.token_calls[0].form["scope"] == "openid"
