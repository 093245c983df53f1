"""The admin port's metrics page."""

from __future__ import annotations

import secrets
import sys

import aiohttp
import pytest

from gateway import metrics
from tests.fakes.caller import RawCaller, basic, request

JOHN = basic("john", "doe")


async def page(gateway):
    """Return the answer of the metrics page and its text."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{gateway.admin_port}/metrics") as response,
    ):
        return response, await response.text()


def series(text):
    """Return the names and labels of every series of a page."""
    return {
        line.rpartition(" ")[0] for line in text.splitlines() if line and not line.startswith("#")
    }


async def test_metrics_page(gateway, call):
    """The page is text for Prometheus, not cached, and shows what happened."""
    await (await call(gateway)).send(request("GET", "/", [JOHN]))

    response, text = await page(gateway)

    assert response.status == 200
    assert response.headers["Content-Type"] == metrics.CONTENT_TYPE
    assert response.headers["Cache-Control"] == "no-store"
    assert 'endpoint="token",grant="password",outcome="ok"' in text
    assert "bearergate_breaker_state 0.0" in text


async def test_labels_stay_bounded(gateway, call, provider):
    """L4: random users, paths, methods and hosts add no series and are nowhere on the page."""
    caller = await call(gateway)
    await caller.send(request("GET", "/", [JOHN]))
    await caller.send(request("GET", "/", [basic("nobody", "wrong")]))
    _, before = await page(gateway)
    words = [f"CANARY{secrets.token_hex(4)}" for _ in range(100)]
    for word in words:
        provider.users[word] = word
        fields = [basic(word, word), ("Host", f"{word}.example"), ("X-Request-Id", word)]
        await caller.send(request("GET", f"/{word}?{word}={word}", fields))
        await caller.send(request("GET", f"/{word}", [basic(word, "wrong")]))

    _, after = await page(gateway)

    assert series(before) == series(after)
    assert "CANARY" not in after


async def test_metrics_are_not_on_the_proxy_port(gateway, call, upstream):
    """L6: the proxy port has no metrics page; the path is the upstream's."""
    response = await (await call(gateway)).send(request("GET", "/metrics", [JOHN]))

    assert b"bearergate_" not in response.body
    assert [each.target for each in upstream.requests] == [b"/metrics"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 is nobody's address")
async def test_address(start_gateway):
    """ADMIN_HOST: the admin port is on that address."""
    gateway = await start_gateway(ADMIN_HOST="127.0.0.2")
    async with RawCaller(gateway.admin_port, "127.0.0.2") as caller:
        alive = await caller.send(request("GET", "/livez"))

    assert 200 == alive.status
