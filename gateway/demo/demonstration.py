"""Starting the demo's parts in order, waiting for each, and ending them in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import tempfile
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp
from rich.console import Console
from rich.text import Text

from gateway.demo.children import Child, DemoError, child_environment
from gateway.demo.identity import Registration, write_provider_configuration
from gateway.demo.installation import cache_folder, find_provider
from gateway.demo.instructions import print_instructions
from gateway.demo.places import HOST, choose_places
from gateway.demo.programs import gateway_program, provider_program
from gateway.demo.upstream import start_upstream

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.demo.programs import Program

START_PATIENCE: Final = 30.0
POLL_INTERVAL: Final = 0.05
ENDING_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """Ports that were asked for; ``None`` is the default, or a free one when that is taken."""

    port: int | None = None
    admin_port: int | None = None
    provider_port: int | None = None
    upstream_port: int | None = None


def run(options: DemoOptions) -> int:
    """Run the demo until it is stopped; return the exit status of the command."""
    return asyncio.run(_run(options, Console()))


async def _run(options: DemoOptions, console: Console) -> int:
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if not stopping and task is not None:  # a second signal must not cut the cleaning up short
            stopping = True
            task.cancel()

    for number in ENDING_SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        await _demonstrate(options, console)
    except asyncio.CancelledError:
        return 0
    except DemoError as exc:
        _say(console, f"demo: {exc}")
    return 1


async def _demonstrate(options: DemoOptions, console: Console) -> None:
    """Start everything, print what to try, and stay until a part ends."""
    say = partial(_say, console)
    python = await find_provider(cache_folder(os.environ), say)
    places, notices = choose_places(
        gateway=options.port,
        admin=options.admin_port,
        provider=options.provider_port,
        upstream=options.upstream_port,
    )
    for notice in notices:
        say(notice)
    registration = Registration("gateway", secrets.token_hex(16))
    async with contextlib.AsyncExitStack() as running:
        prefix = "bearergate-demo-"
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix=prefix)))
        write_provider_configuration(folder, places.provider, registration)
        upstream = await start_upstream(HOST, places.upstream)
        running.push_async_callback(upstream.cleanup)
        provider = await _start(running, provider_program(python, folder, places), folder)
        gateway = await _start(running, gateway_program(places, registration), folder, say)
        print_instructions(console, places)
        await _first_end(provider, gateway)


async def _start(
    running: contextlib.AsyncExitStack,
    program: Program,
    folder: Path,
    show: Callable[[str], None] | None = None,
) -> Child:
    """Start a program in the folder, have it stopped with the rest, and wait until it answers."""
    environment = child_environment(os.environ, program.settings)
    child = await Child.start(
        program.name, program.command, environment=environment, cwd=folder, show=show
    )
    running.push_async_callback(child.stop)
    await _answers(child, program.ready_url)
    return child


async def _answers(child: Child, url: str) -> None:
    """Wait until the URL answers 200; raise when the child ends or takes too long."""
    answering = asyncio.create_task(_poll(url))
    ending = asyncio.create_task(child.ended())
    try:
        await asyncio.wait(
            {answering, ending}, timeout=START_PATIENCE, return_when=asyncio.FIRST_COMPLETED
        )
        if ending.done():
            raise DemoError(child.obituary(ending.result()))
        if not answering.done():
            raise DemoError(
                f"{child.name} does not answer at {url}; its last lines:\n{child.last_lines}"
            )
    finally:
        answering.cancel()
        ending.cancel()


async def _poll(url: str) -> None:
    """Ask until the answer is 200."""
    timeout = aiohttp.ClientTimeout(total=2)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with session.get(url, allow_redirects=False) as response:
                    if response.status == HTTPStatus.OK:
                        return
            await asyncio.sleep(POLL_INTERVAL)


async def _first_end(*children: Child) -> None:
    """Wait until a child ends, which it never should; say which and how."""
    endings = {asyncio.create_task(child.ended()): child for child in children}
    try:
        done, _pending = await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for ending in endings:
            ending.cancel()
    ending = next(iter(done))
    raise DemoError(endings[ending].obituary(ending.result()))


def _say(console: Console, text: str) -> None:
    """Print a line as it is: not wrapped, no markup in it."""
    console.print(Text(text), soft_wrap=True, highlight=False)
