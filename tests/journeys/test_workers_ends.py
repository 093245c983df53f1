"""Workers that die, hang, or are told to end (F19, F20)."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from tests.fakes.upstream_answers import response
from tests.fakes.waiting import until
from tests.journeys.running import RunningGateway
from tests.journeys.working import (
    CONCURRENCY,
    LONG,
    Load,
    all_ready,
    ask,
    cached_by_both,
    has_ended,
    lookups,
    stops,
)


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
