"""WORKERS: several processes on one port, restarted when they die, drained together (F19, F20)."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from itertools import pairwise
from pathlib import Path

import aiohttp
import pytest

from tests.fakes.caller import RawCaller, basic, request
from tests.fakes.upstream_answers import response
from tests.fakes.waiting import until
from tests.journeys.running import RunningGateway

JOHN = basic("john", "doe")
GET = request("GET", "/", [JOHN])
CONCURRENCY = 8
LONG = 30.0


@pytest.fixture
def settings(provider, upstream):
    """Return the settings of a gateway of two workers."""
    return {
        "ISSUER": provider.issuer,
        "CLIENT_ID": provider.client_id,
        "CLIENT_SECRET": provider.client_secret,
        "UPSTREAM_URL": upstream.url,
        "SHUTDOWN_GRACE": "10",
        "WORKERS": "2",
    }


async def ask(gateway):
    """Send one request on a connection of its own; return its status, 0 without an answer."""
    async with RawCaller(gateway.port, within=LONG) as caller:
        return (await caller.send(GET)).status


async def admin(gateway, path, method="GET"):
    """Ask the admin port; return status and text."""
    url = f"http://127.0.0.1:{gateway.admin_port}{path}"
    async with aiohttp.ClientSession() as session, session.request(method, url) as response:
        return response.status, await response.text()


async def all_ready(gateway):
    """Wait until both workers are ready."""
    async with asyncio.timeout(LONG):
        text = ""
        while "2 of 2 ready" not in text:
            _, text = await admin(gateway, "/readyz")


async def lookups(gateway):
    """Return how many look-ups in memory the metrics tell of."""
    _, page = await admin(gateway, "/metrics")
    lines = [line for line in page.splitlines() if "lookups_total" in line and "memory" in line]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def cached_by_both(gateway, provider):
    """Send requests until both workers have logged john in; return how many it took."""
    for count in range(1, 200):
        assert 200 == await ask(gateway)
        if len(provider.token_calls) == 2:
            return count
    raise AssertionError("one worker gets every connection")


async def stops(gateway):
    """End a gateway as an operator does; tell whether it says that all went well."""
    gateway.signal(signal.SIGTERM)
    return await gateway.exited() == 0


def has_ended(pid):
    """Tell whether a process is gone, or nothing but its exit status is left of it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


async def test_one_gateway(settings, provider):
    """Both workers serve; metrics, readiness and purges are of both, whichever is asked."""
    async with RunningGateway(**settings) as gateway:
        sent = await cached_by_both(gateway, provider)

        assert {float(sent)} == {await lookups(gateway) for _ in range(6)}
        ready = [await admin(gateway, "/readyz") for _ in range(6)]
        assert {(200, True)} == {(status, "2 of 2 ready" in text) for status, text in ready}
        assert (200, '{"purged": 2}') == await admin(gateway, "/cache?user=john", "DELETE")
        for calls in (3, 4):
            await until_called(gateway, provider, calls)

        assert await stops(gateway)


async def until_called(gateway, provider, calls):
    """Send requests until the provider has been asked so often."""
    for _ in range(200):
        await ask(gateway)
        if len(provider.token_calls) == calls:
            return
    raise AssertionError("a purged worker still knows the pair")


async def test_not_ready_until_all_are(settings, provider):
    """Without a provider no worker is ready, with it all become so."""
    await provider.down()
    async with RunningGateway(**settings) as gateway:
        status, text = await admin(gateway, "/readyz")
        assert (503, True) == (status, "0 of 2 ready" in text)

        await provider.up()
        await all_ready(gateway)


async def test_with_redis(settings, provider, start_redis):
    """A10, A7: workers that share Redis are one to the provider, and a purge reaches both."""
    settings |= {"REDIS_URL": start_redis().url, "CACHE_SECRET": "s" * 32}
    async with RunningGateway(**settings) as gateway:
        provider.gate.clear()
        crowd = [asyncio.create_task(ask(gateway)) for _ in range(40)]
        await provider.token_called(1)
        provider.gate.set()

        assert [200] * 40 == await asyncio.gather(*crowd)
        assert 1 == len(provider.token_calls)
        assert (200, '{"purged": 1}') == await admin(gateway, "/cache", "DELETE")
        assert [200] * 40 == await asyncio.gather(*[ask(gateway) for _ in range(40)])
        assert 2 == len(provider.token_calls)


async def test_wrong_passwords_are_counted_together(settings, provider):
    """R2: without Redis, too, five of many wrong passwords reach the provider, and apart."""
    settings |= {"FAILED_LOGINS_SPACING": "0.05"}
    async with RunningGateway(**settings) as gateway:
        guesses = [guess(gateway, f"wrong-{number}") for number in range(60)]
        statuses = sorted(await asyncio.gather(*guesses))
        assert await stops(gateway)

    assert [401] * 5 + [429] * 55 == statuses
    calls = [call.at for call in provider.token_calls if call.grant_type == "password"]
    assert 5 == len(calls)
    assert all(later - earlier >= 0.05 for earlier, later in pairwise(calls))


async def guess(gateway, password):
    """Try a password on a connection of its own; return the status."""
    async with RawCaller(gateway.port, within=LONG) as caller:
        return (await caller.send(request("GET", "/", [basic("john", password)]))).status


def command_line(pid):
    """Return what a process was started with."""
    return Path(f"/proc/{pid}/cmdline").read_text()


async def test_one_key_and_no_secret_in_sight(settings, tmp_path):
    """S6: a generated client key is one for all workers, and no command line has a secret."""
    settings |= {"CLIENT_AUTH": "private_key_jwt", "CLIENT_KEY_FILE": str(tmp_path / "key.pem")}
    async with RunningGateway(**settings) as gateway:
        published = {await admin(gateway, "/openid-connect/jwks") for _ in range(6)}
        seen = map(command_line, (gateway.pid, *gateway.workers))

        assert 1 == len(published)
        assert 1 == gateway.events.count("was generated")
        assert not any(settings["CLIENT_SECRET"] in text for text in seen)


class Load:
    """Callers who connect, ask once, and come again; ``failures`` had no answer, or another."""

    def __init__(self, gateway):
        self._gateway = gateway
        self._tasks = []
        self.answered = 0
        self.refused = 0
        self.failures = []

    async def __aenter__(self):
        self._tasks = [asyncio.create_task(self._come_again()) for _ in range(CONCURRENCY)]
        return self

    async def __aexit__(self, *_):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def finished(self):
        """Wait until no caller can connect any more."""
        await asyncio.wait_for(asyncio.gather(*self._tasks), LONG)

    async def more(self, count=50):
        """Wait until so many more have been answered."""
        goal = self.answered + count
        await until(lambda: self.answered >= goal, LONG)

    async def _come_again(self):
        while not self.refused:
            status = await self._once()
            if status is None:
                self.refused += 1
            elif status == 200:
                self.answered += 1
            else:
                self.failures.append(status)

    async def _once(self):
        """Return the status; None when nobody listens."""
        with socket.socket() as caller:
            try:  # in one go, so that a request follows its connection at once
                caller.connect(("127.0.0.1", self._gateway.port))
                caller.sendall(GET)
            except ConnectionRefusedError:
                return None
            except ConnectionError:
                return 0
            caller.setblocking(False)
            return await self._read(caller)

    async def _read(self, caller):
        seen = b""
        try:
            async with asyncio.timeout(LONG):
                while b"\r\n\r\n" not in seen:
                    data = await asyncio.get_running_loop().sock_recv(caller, 65536)
                    if not data:
                        return 0
                    seen += data
        except (ConnectionError, TimeoutError):
            return 0
        return int(seen.split(b" ")[1])


async def test_killed_worker_is_replaced(settings):
    """F19: kill -9 fails no request but those in the worker's hands; another takes its place."""
    async with RunningGateway(**settings) as gateway:
        async with Load(gateway) as load:
            await load.more()
            before = gateway.workers
            os.kill(before[0], signal.SIGKILL)
            await until(
                lambda: len(gateway.workers) == 2 and before[0] not in gateway.workers, LONG
            )
            await all_ready(gateway)
            failed = len(load.failures)
            await load.more()
        assert await stops(gateway)

        assert failed <= CONCURRENCY
        assert failed == len(load.failures)
        assert 0 == load.refused
        assert f"(pid {before[0]}) was killed by SIGKILL; it is started again" in gateway.events


async def test_queue_of_a_dead_worker_is_served(settings):
    """F19: connections waiting for a worker that was stopped and killed are taken by others."""
    async with RunningGateway(**settings) as gateway:
        victim = gateway.workers[0]
        os.kill(victim, signal.SIGSTOP)
        waiting = [asyncio.create_task(ask(gateway)) for _ in range(40)]
        await until(lambda: sum(task.done() for task in waiting) > 0, LONG)
        await asyncio.sleep(0.3)  # those that can be are answered; the rest wait for the victim
        os.kill(victim, signal.SIGKILL)

        assert [200] * 40 == await asyncio.gather(*waiting)
        assert await stops(gateway)


async def test_crash_loop_is_slowed_down(settings):
    """F19: a worker that keeps dying is started again, later each time, and that is said."""
    async with RunningGateway(**settings) as gateway:
        for times in (1, 2, 3):
            await all_ready(gateway)
            victim = gateway.workers[-1] if times > 1 else gateway.workers[0]
            os.kill(victim, signal.SIGKILL)
            await until(lambda pid=victim: f"(pid {pid}) was killed" in gateway.events, LONG)
        await all_ready(gateway)

        assert await stops(gateway)
        assert "for the 2. time soon after its start; it is started again in 0.5" in gateway.events
        assert "for the 3. time soon after its start; it is started again in 1 s" in gateway.events


async def test_counts_of_a_dead_worker_are_kept(settings, provider):
    """What a worker had counted when the metrics were last asked for outlives it."""
    async with RunningGateway(**settings) as gateway:
        sent = await cached_by_both(gateway, provider)
        assert sent == await lookups(gateway)

        os.kill(gateway.workers[0], signal.SIGKILL)
        await until(lambda: "was killed" in gateway.events, LONG)
        await all_ready(gateway)

        assert sent == await lookups(gateway)
        assert await stops(gateway)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_drain_under_load(settings, workers):
    """F20: who could connect is answered, though the gateway is being stopped; the status is 0."""
    async with RunningGateway(**settings | {"WORKERS": workers}) as gateway, Load(gateway) as load:
        await load.more()

        gateway.signal(signal.SIGTERM)
        await load.finished()

        assert [] == load.failures
        assert 0 == await gateway.exited()


async def test_signal_to_everybody(settings, upstream):
    """F20: Ctrl-C reaches the workers as well: requests under way are finished all the same."""
    go = asyncio.Event()

    async def answer(_reader, writer, _request):
        await go.wait()
        writer.write(response(200, b"hello"))

    async with RunningGateway(**settings) as gateway:
        upstream.answer_next(answer)
        asked = asyncio.create_task(ask(gateway))
        await until(lambda: upstream.requests, LONG)
        for pid in (*gateway.workers, gateway.pid):
            os.kill(pid, signal.SIGINT)
        await until(lambda: "draining" in gateway.events, LONG)
        go.set()

        assert (200, 0) == (await asked, await gateway.exited())


async def test_second_signal_ends_it(settings, provider):
    """F20: a second signal ends all processes at once, with status 1."""
    provider.gate.clear()
    async with RunningGateway(**settings) as gateway:
        workers = gateway.workers
        asked = asyncio.create_task(ask(gateway))
        await provider.token_called(1)
        gateway.signal(signal.SIGTERM)
        await until(lambda: "draining" in gateway.events, LONG)
        gateway.signal(signal.SIGTERM)

        assert (1, 0) == (await gateway.exited(), await asked)
        assert all(map(has_ended, workers))


async def test_worker_that_hangs_is_killed(settings):
    """F20: a worker that does not end with the others is killed, and the status is 0."""
    async with RunningGateway(**settings | {"SHUTDOWN_GRACE": "0"}) as gateway:
        victim = gateway.workers[0]
        os.kill(victim, signal.SIGSTOP)

        gateway.signal(signal.SIGTERM)

        assert 0 == await gateway.exited()
        assert "do not end; they are killed" in gateway.events
        assert has_ended(victim)


async def test_workers_do_not_outlive_the_supervisor(settings):
    """F19, S6: when the process above them is killed the workers end, and the port is free."""
    async with RunningGateway(**settings) as gateway:
        workers = gateway.workers
        gateway.signal(signal.SIGKILL)

        await until(lambda: all(map(has_ended, workers)), LONG)
        with pytest.raises(ConnectionRefusedError):
            await ask(gateway)


@pytest.mark.parametrize("name", ["PORT", "ADMIN_PORT"])
async def test_port_of_another_gateway(settings, name):
    """A port is not shared with another gateway: one message, status 2."""
    async with RunningGateway(**settings) as first:
        taken = {"PORT": first.port, "ADMIN_PORT": first.admin_port}[name]
        async with RunningGateway(**settings | {name: str(taken)}) as second:
            assert 2 == await second.exited()
            await until(lambda: second.events.count("cannot be listened on") == 1, LONG)
