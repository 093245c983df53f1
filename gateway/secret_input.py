"""Secrets that a command asks for: typed unseen, piped, or in a file, and never an argument."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING

from gateway.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


def read_secret(what: str, file: Path | None) -> str:
    """Return the secret in ``file``, else what is typed, else the first line that is piped."""
    if file is not None:
        return read_file(file)
    if sys.stdin.isatty():
        return getpass.getpass(f"{what}: ")
    line = sys.stdin.readline()
    if not line:
        raise ConfigurationError(f"there is no {what}: type it, pipe it, or name a file with it")
    return line.rstrip("\r\n")


def read_file(file: Path) -> str:
    """Return what a file holds without the end of its line."""
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as exc:
        raise ConfigurationError(f"{file} cannot be read ({exc.strerror})") from exc
    except UnicodeDecodeError as exc:
        raise ConfigurationError(f"{file} does not hold UTF-8 text") from exc
