"""What SIGHUP re-reads: one place for every part of the gateway that can be renewed while it runs.

Rule: a part that cannot be renewed goes on as it was, and says why.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from gateway.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Reload = Callable[[], Awaitable[None] | None]

_log = logging.getLogger(__name__)


class Reloads:
    """The parts that can be renewed, in the order in which they were added."""

    def __init__(self) -> None:
        self._parts: list[tuple[str, Reload]] = []
        self._task: asyncio.Task[None] | None = None
        self._again = False

    def add(self, name: str, reload: Reload) -> None:
        """Have ``reload`` called on each SIGHUP; what it raises is logged and ends nothing.

        ``name`` is what the operator knows the part by.
        """
        self._parts.append((name, reload))

    def start(self) -> None:
        """Renew every part in the background; asked again meanwhile, do so once more after it."""
        if self._task is not None and not self._task.done():
            self._again = True
            return
        self._task = asyncio.create_task(self._run())

    async def aclose(self) -> None:
        """Wait until nothing is being renewed."""
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        self._again = True
        while self._again:
            self._again = False
            if not self._parts:
                _log.info("SIGHUP: there is nothing to reload")
            for name, reload in self._parts:
                await _renew(name, reload)


async def _renew(name: str, reload: Reload) -> None:
    try:
        renewing = reload()
        if renewing is not None:
            await renewing
    except ConfigurationError as exc:
        for problem in str(exc).splitlines():
            _log.error("%s is not reloaded, what was there stays: %s", name, problem)
    except Exception:  # noqa: BLE001 - whatever a part does, the gateway goes on
        _log.exception("%s is not reloaded, what was there stays", name)
    else:
        _log.info("%s is reloaded", name)
