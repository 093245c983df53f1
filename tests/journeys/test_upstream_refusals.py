"""A 401 of the upstream: passed on, and no reason to log in again (P28)."""

from __future__ import annotations

import pytest

from tests.fakes.caller import basic, request
from tests.fakes.upstream_answers import response

JOHN = basic("john", "doe")
CHALLENGE = 'Bearer realm="api", error="invalid_token"'
REFUSED = response(401, b"no", [("WWW-Authenticate", CHALLENGE)])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(request("GET", "/", [JOHN]), id="P28-idempotent"),
        pytest.param(
            request("POST", "/", [JOHN, ("Content-Length", "4")]) + b"body", id="P28-with-a-body"
        ),
    ],
)
async def test_refusals_of_the_upstream(gateway, call, upstream, provider, data):
    """P28: the upstream's 401 passes through; nothing is sent again, and nobody logs in again."""
    upstream.answer_next(REFUSED, times=None)
    caller = await call(gateway)

    answers = [await caller.send(data) for _ in range(3)]

    assert [(401, b"no")] * 3 == [(each.status, each.body) for each in answers]
    assert [[CHALLENGE.encode()]] * 3 == [each.values("www-authenticate") for each in answers]
    assert (3, 1) == (len(upstream.requests), len(provider.token_calls))
