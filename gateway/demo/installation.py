"""The demo's provider in a virtual environment of its own, made on first use.

Rule: the folder under its final name is complete; a failed or interrupted installation leaves none.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.demo.children import Child, DemoError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REQUIREMENT: Final = "nanoidp==3.4.0"
FOLDER: Final = "nanoidp-3.4.0"
PYTHON: Final = Path("bin", "python")


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Return where installed counterparts are kept: ``BEARERGATE_CACHE``, else the XDG cache."""
    if chosen := environment.get("BEARERGATE_CACHE"):
        return Path(chosen).expanduser().absolute()
    caches = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches, "bearergate").absolute()


async def find_provider(
    cache: Path, say: Callable[[str], None], requirement: str = REQUIREMENT
) -> Path:
    """Return the Python that has the provider, installed into the cache folder on first use."""
    folder = cache / FOLDER
    if not (folder / PYTHON).exists():
        say(f"First run: installing {requirement} into {folder} (takes about half a minute) ...")
        await _install(folder, requirement)
        say(f"Installed {requirement}.")
    return folder / PYTHON


async def _install(folder: Path, requirement: str) -> None:
    """Install beside the folder, then move it into place: a started one is never found."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.partial-", dir=folder.parent))
    except OSError as exc:
        raise DemoError(
            f"cannot write to {folder.parent}: {exc.strerror}; "
            "set BEARERGATE_CACHE to a folder that can be written"
        ) from exc
    try:
        await _perform("venv", [sys.executable, "-m", "venv", str(partial)], folder, requirement)
        pip = [str(partial / PYTHON), "-m", "pip", "install", "--quiet", requirement]
        await _perform("pip", pip, folder, requirement)
        _move(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _move(partial: Path, folder: Path) -> None:
    """Give the folder its final name; another demo that was faster has made the same one."""
    if not (folder / PYTHON).exists():
        shutil.rmtree(folder, ignore_errors=True)  # its base Python has been removed since
    try:
        partial.rename(folder)
    except OSError as exc:
        if not (folder / PYTHON).exists():
            raise DemoError(f"cannot write {folder}: {exc.strerror}") from exc


async def _perform(name: str, command: list[str], folder: Path, requirement: str) -> None:
    """Run one step to its end; it is stopped when the demo is."""
    child = await Child.start(name, command, environment=os.environ)
    try:
        status = await child.ended()
    finally:
        await child.stop()
    if status:
        by_hand = (
            f"{shlex.quote(sys.executable)} -m venv {shlex.quote(str(folder))} && "
            f"{shlex.quote(str(folder / PYTHON))} -m pip install {requirement}"
        )
        raise DemoError(
            f"cannot install {requirement}: {child.obituary(status)}\n"
            "Is the package index reachable (PIP_INDEX_URL, HTTPS_PROXY), and is Python's venv "
            f"module installed?\nThe same by hand, then start the demo again:\n  {by_hand}"
        )
