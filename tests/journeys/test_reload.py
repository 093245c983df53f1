"""A configuration that changes while the gateway runs."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from tests.fakes.caller import RawCaller, basic, request
from tests.fakes.provider import FakeProvider
from tests.fakes.upstream import RecordingUpstream
from tests.fakes.upstream_answers import response
from tests.fakes.waiting import until
from tests.journeys.running import RunningGateway
from tests.settings.environments import written

JOHN = basic("john", "doe")
BEFORE = "routes: [{name: before, paths: [/a]}]"


@pytest.fixture
async def other():
    """Return another upstream."""
    async with RecordingUpstream() as fake:
        yield fake


@pytest.fixture
async def partner():
    """Return another provider that knows john."""
    async with FakeProvider() as fake:
        yield fake


@pytest.fixture
def start(start_gateway, tmp_path):
    """Return a function that starts a gateway with a file, and one that changes it."""

    async def start(text, **settings):
        gateway = await start_gateway(written(tmp_path, text), **settings)

        async def change(text):
            written(tmp_path, text)
            gateway.reloads.start()
            await gateway.reloads.aclose()

        return gateway, change

    return start


def replaced(file, text):
    """Put another file in the place of this one, in one step."""
    written(file.parent, text, "new.yaml").rename(file)


async def statuses(gateway, *targets):
    """Return the status of a request to each target."""
    seen = []
    for target in targets:
        async with RawCaller(gateway.port) as caller:
            seen.append((await caller.send(request("GET", target, [JOHN]))).status)
    return seen


async def test_new_routes(start, call, upstream, other):
    """After a reload the new routes hold, on connections that are open too."""
    gateway, change = await start(BEFORE)
    caller = await call(gateway)
    assert 200 == (await caller.send(request("GET", "/a", [JOHN]))).status

    assert [200, 404] == await statuses(gateway, "/a", "/b")
    await change(f"routes: [{{name: after, paths: [/b], upstream: '{other.url}'}}]")

    assert 200 == (await caller.send(request("GET", "/b", [JOHN]))).status
    assert [404, 200] == await statuses(gateway, "/a", "/b")
    assert [2, 2] == [len(upstream.requests), len(other.requests)]


async def test_what_stays_the_same_keeps_its_tokens(start, provider):
    """Tokens of routes whose credentials mean the same are kept over a reload."""
    gateway, change = await start(BEFORE)
    await statuses(gateway, "/a")

    await change("routes: [{name: a, paths: [/a], roles_required: []}, {name: b, paths: [/b]}]")

    assert [200, 200] == await statuses(gateway, "/a", "/b")
    assert 1 == len(provider.token_calls)
    assert 1 == provider.discovery_calls


async def test_shorter_life_holds_at_once(start, provider):
    """A10: what was kept for longer is not served after a reload with a shorter CACHE_TTL_MAX."""
    gateway, change = await start(BEFORE)
    await statuses(gateway, "/a")

    await change("cache_ttl_max: 60\n" + BEFORE)

    assert [200] == await statuses(gateway, "/a")
    assert 2 == len(provider.token_calls)


async def test_new_rule_holds_at_once(start):
    """J23: a rule that is added refuses who was admitted a moment ago."""
    gateway, change = await start(BEFORE)

    assert [200] == await statuses(gateway, "/a")
    await change("routes: [{name: a, paths: [/a], scopes_required: [admin]}]")

    assert [403] == await statuses(gateway, "/a")


async def test_new_provider(start, provider, partner):
    """A reload may bring another provider; the one before is not asked again."""
    gateway, change = await start(BEFORE)
    await statuses(gateway, "/a")

    await change(f"""
        providers:
          p:
            issuer: "{partner.issuer}"
            client_id: gateway
            client_secret: {partner.client_secret}
        routes: [{{name: a, paths: [/a], provider: p}}]
    """)

    assert [200] == await statuses(gateway, "/a")
    assert [1, 1] == [len(provider.token_calls), len(partner.token_calls)]


async def test_sessions_of_a_provider_that_is_gone(start, partner):
    """REVOKE_ON_PURGE: sessions of a provider that a reload took away are left to end there."""
    partner.refresh_tokens = True
    gateway, change = await start(
        f"""
        providers:
          p:
            issuer: "{partner.issuer}"
            client_id: gateway
            client_secret: {partner.client_secret}
        routes: [{{name: a, paths: [/a], provider: p}}]
        """,
        REVOKE_ON_PURGE="true",
    )
    await statuses(gateway, "/a")
    await change("routes: [{name: b, paths: [/b]}]")
    await until(lambda: partner.open_connections == 0, within=60)

    async with RawCaller(gateway.admin_port) as caller:
        purged = await caller.send(request("DELETE", "/cache"))

    assert (200, {"purged": 1}) == (purged.status, purged.json())
    assert [] == partner.revoked


async def test_login_under_way(start, provider):
    """A login that is under way ends where it began, after the routes are others."""
    gateway, change = await start(BEFORE)
    provider.gate.clear()
    asking = asyncio.create_task(statuses(gateway, "/a"))
    await until(lambda: provider.token_calls, within=60)

    await change("leeway: 1\nroutes: [{name: after, paths: [/b]}]")
    assert [404] == await statuses(gateway, "/a")
    provider.gate.set()

    assert [200] == await asking


async def test_request_under_way(start, upstream):
    """A request that is with the upstream is answered, after its route is gone."""
    gateway, change = await start(BEFORE)
    answer = asyncio.Event()

    async def late(_, writer, __):
        await answer.wait()
        writer.write(response(200, b"late"))

    upstream.answer_next(late)
    asking = asyncio.create_task(statuses(gateway, "/a"))
    await until(lambda: upstream.requests, within=60)

    await change("routes: [{name: after, paths: [/b]}]")
    answer.set()

    assert [200] == await asking


BROKEN = [
    pytest.param("routes: [", "line 1 of the file is not YAML", id="not-yaml"),
    pytest.param("- a", "the file must hold settings", id="no-mapping"),
    pytest.param("routess: []", "routess (line 1): there is no such setting", id="top-key"),
    pytest.param("leeway: x\n" + BEFORE, "leeway (line 1): write a number", id="top-value"),
    pytest.param("routes: x", "routes (line 1): write a list", id="no-list"),
    pytest.param("routes: [x]", "routes[1] (line 1): write the", id="no-route"),
    pytest.param("routes:\n- paths: [/a]", "routes[1].name (line 2): it is req", id="no-name"),
    pytest.param("routes:\n- name: a\n  foo: b", "routes.a.foo (line 3): there is", id="key"),
    pytest.param("routes:\n- name: a\n  name: a", "routes.a.name (line 3): it is in", id="twice"),
    pytest.param("routes:\n- name: a\n  leeway: x", "routes.a.leeway (line 3): wri", id="value"),
    pytest.param("routes:\n- name: a\n  hosts: [a/b]", "routes.a.hosts (line 3): write", id="host"),
    pytest.param("routes:\n- name: a\n  paths: [b]", "routes.a.paths (line 3): write", id="path"),
    pytest.param("routes:\n- name: a\n  methods: x", "routes.a.methods (line 3): w", id="method"),
    pytest.param(
        "routes:\n- name: a\n  upstream: x", "routes.a.upstream (line 3): w", id="upstream"
    ),
    pytest.param(
        "routes:\n- name: a\n  provider: x", "routes.a.provider (line 3): th", id="provider"
    ),
    pytest.param(
        "routes:\n- name: a\n- name: b", "routes.b.name (line 3): / is never", id="shadow"
    ),
    pytest.param(
        "routes:\n- name: a\n  auth_methods:", "routes.a.auth_methods (line 3): w", id="null"
    ),
    pytest.param(
        "routes:\n- name: a\n  upstream_ca_file: /nonexistent",
        "routes.a.upstream_ca_file (line 3): the file cannot be read",
        id="missing-file",
    ),
    pytest.param(
        "providers:\n  p: {issuer: https://p}\nroutes:\n- name: a\n  provider: p",
        "providers.p.client_id (line 2): it is required",
        id="registration",
    ),
    pytest.param(
        "providers:\n  p: {issuer: https://p, client_secret_file: /nonexistent}",
        "providers.p.client_secret_file (line 2): the file cannot be read",
        id="missing-secret",
    ),
    pytest.param(
        "routes:\n- name: a\n  scopes_required: ['\"']",
        "routes.a.scopes_required (line 3): a scope",
        id="scope",
    ),
]


@pytest.mark.parametrize(("text", "problem"), BROKEN)
async def test_broken_file(start, written, text, problem):
    """A file that cannot be run changes nothing, and each problem is logged with key and line."""
    gateway, change = await start(BEFORE)

    await change(text)

    assert [200, 404] == await statuses(gateway, "/a", "/b")
    errors = [each["message"] for each in written() if each["level"] == "error"]
    assert any(problem in each for each in errors)
    assert all("what was there stays" in each for each in errors)


async def test_missing_file(start, tmp_path):
    """A file that is gone changes nothing."""
    gateway, _ = await start(BEFORE)
    (tmp_path / "gateway.yaml").unlink()
    gateway.reloads.start()
    await gateway.reloads.aclose()

    assert [200, 404] == await statuses(gateway, "/a", "/b")


async def test_what_takes_a_restart(start, written):
    """A setting that cannot change in a run is warned about; the routes are renewed."""
    gateway, change = await start("max_header_bytes: 4096\n" + BEFORE)

    await change("max_header_bytes: 8192\nshutdown_grace: 2\nroutes: [{name: b, paths: [/b]}]")

    assert [404, 200] == await statuses(gateway, "/a", "/b")
    warned = [each["message"] for each in written() if each["level"] == "warning"]
    assert ["MAX_HEADER_BYTES has changed: that takes a restart"] == [
        each for each in warned if "restart" in each
    ]


@pytest.mark.parametrize("arguments", [(), ("--watch",)], ids=["SIGHUP", "watch"])
async def test_no_request_fails(provider, upstream, tmp_path, arguments):
    """Reloads while requests come in: each has an answer of one of the two configurations."""
    texts = [
        f"leeway: {leeway}\nroutes: [{{name: a, paths: [/a]}}, {{name: r{leeway}, paths: [/b]}}]"
        for leeway in (1, 2)
    ]
    file = written(tmp_path, texts[0])
    settings = {
        "ISSUER": provider.issuer,
        "CLIENT_ID": provider.client_id,
        "CLIENT_SECRET": provider.client_secret,
        "UPSTREAM_URL": upstream.url,
    }
    async with RunningGateway("--config", str(file), *arguments, **settings) as gateway:
        seen = []

        async def send():
            async with RawCaller(gateway.port) as caller:
                while reloads() < 4:
                    seen.append((await caller.send(request("GET", "/a", [JOHN]))).status)
                    seen.append((await caller.send(request("GET", "/b", [JOHN]))).status)

        def reloads():
            return gateway.events.count("the configuration is reloaded")

        sending = [asyncio.create_task(send()) for _ in range(4)]
        for turn in range(4):
            replaced(file, texts[(turn + 1) % 2])
            if not arguments:
                gateway.signal(signal.SIGHUP)
            await until(lambda turn=turn: reloads() > turn, within=60)
        await asyncio.gather(*sending)

    assert {200} == set(seen)


@pytest.mark.parametrize("arguments", [(), ("--watch",)], ids=["SIGHUP", "watch"])
async def test_every_worker(provider, upstream, tmp_path, arguments):
    """Each worker reloads, and one that is started later has what was read last."""
    file = written(tmp_path, BEFORE)
    settings = {
        "ISSUER": provider.issuer,
        "CLIENT_ID": provider.client_id,
        "CLIENT_SECRET": provider.client_secret,
        "UPSTREAM_URL": upstream.url,
        "WORKERS": "2",
    }
    async with RunningGateway("--config", str(file), *arguments, **settings) as gateway:
        replaced(file, "routes: [{name: after, paths: [/b]}]")
        if not arguments:
            gateway.signal(signal.SIGHUP)
        await until(lambda: gateway.events.count("the configuration is reloaded") >= 2, within=60)
        reloaded = await statuses(gateway, *["/a", "/b"] * 4)
        before = set(gateway.workers)
        os.kill(min(before), signal.SIGKILL)
        await until(lambda: len(set(gateway.workers) - before) == 1, within=60)
        later = await statuses(gateway, *["/a", "/b"] * 8)

    assert [404, 200] * 4 == reloaded
    assert [404, 200] * 8 == later
