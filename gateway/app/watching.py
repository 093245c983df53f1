"""Whether the configuration file is another one than before."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.settings import Loader

WATCH_INTERVAL: Final = 1.0  # seconds between two looks


class FileWatch:
    """Tells once of each change; a file that is not there just now is being replaced."""

    def __init__(self, loader: Loader) -> None:
        self._file = loader.config_file
        self._seen = self._look()

    def changed(self) -> bool:
        """Return whether the file is another one than when this was asked before."""
        found = self._look()
        if found in (None, self._seen):
            return False
        self._seen = found
        return True

    def _look(self) -> tuple[int, int, int] | None:
        try:
            status = None if self._file is None else self._file.stat()
        except OSError:
            return None
        return None if status is None else (status.st_mtime_ns, status.st_size, status.st_ino)


async def watch(loader: Loader, on_change: Callable[[], None]) -> None:
    """Call ``on_change`` for each change of the file until cancelled."""
    file = FileWatch(loader)
    while True:
        await asyncio.sleep(WATCH_INTERVAL)
        if file.changed():
            on_change()
