"""The gateway served by this process until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from typing import TYPE_CHECKING

from gateway.app import Gateway

if TYPE_CHECKING:
    from gateway.settings import Loaded, Settings

_log = logging.getLogger(__name__)

# New objects, young collections, middle ones (``gc.set_threshold``). With CPython's 700, 10, 10 a
# gateway that was filling its cache went through all of it every two seconds, which took half a
# second with 100,000 tokens.
COLLECT_AFTER = (2_000, 20, 50)


async def run(loaded: Loaded, *, watch: bool = False) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal ends it at once.

    SIGHUP re-reads what can be renewed, and with ``watch`` a change of the file does. An address
    that cannot be listened on raises ``ConfigurationError``.
    """
    stop = asyncio.Event()
    settings = loaded.settings
    gateway = Gateway(settings, loaded.routes, loader=loaded.loader, watch=watch)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, stop, asyncio.current_task())
    loop.add_signal_handler(signal.SIGHUP, gateway.reloads.start)
    async with gateway:
        calm_collector()
        log_start(settings, gateway.port, gateway.admin_port)
        await stop.wait()
        log_drain(settings)
    _log.info("stopped")


def calm_collector() -> None:
    """Let the garbage collector pass over what was made so far, and come less often from now on.

    What was made so far lives as long as the process. What comes later is freed without the
    collector, but for the remains of failures.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def log_start(settings: Settings, port: int, admin_port: int) -> None:
    """Say where the gateway listens."""
    _log.info(
        "listening on %s://%s:%d, admin on http://%s:%d",
        "http" if settings.tls_cert_file is None else "https",
        settings.host,
        port,
        settings.admin_host,
        admin_port,
    )


def log_drain(settings: Settings) -> None:
    """Say that the gateway stops."""
    _log.info("draining: requests in flight have %g seconds", settings.shutdown_grace)


def _on_signal(stop: asyncio.Event, main: asyncio.Task[None] | None) -> None:
    if stop.is_set() and main is not None:
        main.cancel()
    stop.set()
