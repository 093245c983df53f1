"""What one route knows of a caller lends nothing to a route that finds out more, or otherwise."""

from __future__ import annotations

import pytest

from tests.fakes.asked_provider import AskedProvider
from tests.fakes.caller import basic, request
from tests.settings.environments import written as file_of

JOHN = basic("john", "doe")
TOKENS = "audience_required: [api], auth_methods"


@pytest.fixture
async def provider():
    """Return a provider of signed tokens that is asked about them and about its users."""
    async with AskedProvider() as fake:
        fake.opaque = False
        yield fake


def bearer(token):
    """Write the header field of a token."""
    return b"Authorization", b"Bearer " + token.encode()


@pytest.fixture
def connect(start_gateway, call, tmp_path):
    """Return a function that starts a gateway with these routes and connects to it."""

    async def connect(*routes):
        text = "routes:\n" + "".join(f"- {{{route}}}\n" for route in routes)
        return await call(await start_gateway(file_of(tmp_path, text)))

    return connect


@pytest.mark.parametrize("order", [("/a", "/b"), ("/b", "/a")])
async def test_claims_of_users(connect, order):
    """A2: a route that asks about users and one that does not keep their callers apart."""
    caller = await connect(
        "name: a, paths: [/a]",
        "name: b, paths: [/b], search_user_info: true, claims_forbidden: [email]",
    )

    statuses = {
        path: (await caller.send(request("GET", path, [JOHN]))).status for path in order * 2
    }

    assert {"/a": 200, "/b": 403} == statuses


@pytest.mark.parametrize("order", [("/a", "/b"), ("/b", "/a")])
async def test_ways_of_finding_out(connect, provider, order):
    """A2: a JWT that verifies on one route is asked about on another, which may say otherwise."""
    caller = await connect(
        f"name: a, paths: [/a], {TOKENS}: [bearer]",
        f"name: b, paths: [/b], {TOKENS}: [introspection]",
    )
    token = provider.mint("mary", "x")
    provider.issued.clear()

    statuses = {
        path: (await caller.send(request("GET", path, [bearer(token)]))).status
        for path in order * 2
    }

    assert {"/a": 200, "/b": 401} == statuses


async def test_ways_that_are_off(connect, provider, upstream):
    """B12: a token that one route takes is no credentials on another."""
    caller = await connect(f"name: a, paths: [/a], {TOKENS}: [bearer]", "name: b, paths: [/b]")
    token = provider.mint("mary", "x")
    sent = [await caller.send(request("GET", path, [bearer(token)])) for path in ("/a", "/b")]

    assert [200, 401] == [answer.status for answer in sent]
    assert 1 == len(upstream.requests)


async def test_audiences(connect, provider):
    """J15: each route asks for its own audience, whoever knows the token."""
    caller = await connect(
        "name: a, paths: [/a], audience_required: [api], auth_methods: [bearer]",
        "name: b, paths: [/b], audience_required: [orders], auth_methods: [bearer]",
    )
    token = provider.mint("mary", "x")

    paths = ("/a", "/b", "/a", "/b")
    statuses = [(await caller.send(request("GET", path, [bearer(token)]))).status for path in paths]

    assert [200, 403, 200, 403] == statuses


async def test_preflights(connect, upstream):
    """A preflight is let through on the route that says so, and on no other."""
    caller = await connect("name: a, paths: [/a], run_on_preflight: false", "name: b, paths: [/b]")
    fields = [("Origin", "https://app.example"), ("Access-Control-Request-Method", "PUT")]
    paths = ("/a", "/b")
    sent = [await caller.send(request("OPTIONS", path, fields)) for path in paths]

    assert [200, 401] == [answer.status for answer in sent]


async def test_rules_as_a_mapping(connect, provider):
    """Rules on claims are a route's own, written as a mapping."""
    caller = await connect(
        "name: a, paths: [/a], claims_required: {dept: [it, 'R&D, labs'], level: '~[1-3]'}",
        "name: b, paths: [/b], claims_forbidden: [dept]",
    )
    provider.claims = {"dept": "R&D, labs", "level": 2}

    statuses = [
        (await caller.send(request("GET", path, [JOHN]))).status for path in ("/a", "/b") * 2
    ]

    assert [200, 403, 200, 403] == statuses
