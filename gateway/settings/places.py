"""How the places of a route are written: hosts, path prefixes and methods.

Rule: a place has one spelling, that of the bytes on the wire, so that nothing is matched by
accident.
"""

from __future__ import annotations

import re
from typing import Any, Final

from gateway.request import METHODS
from gateway.settings.values import split_list

_HOST: Final = re.compile(  # RFC 3986 §3.2.2: a name in lower case or a bracketed literal
    r"(?:\*\.)?[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]"
).fullmatch
_PATH: Final = re.compile(r"/(?:[!-~]*[!-.0-~])?").fullmatch
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}").fullmatch
_TWO_READINGS: Final = re.compile(  # what the front gate refuses, and what is no part of a path
    r"[\\?#;]|//|%(?![0-9A-Fa-f]{2})|%(?:2[Ff]|5[Cc]|00)|/\.{1,2}(?:/|$)"
)


def read_name(value: str) -> str:
    """Return the name of a route or provider."""
    if not _NAME(value):
        raise ValueError("write a name of at most 64 letters, digits, dots, dashes")
    return value


def read_route_hosts(value: Any) -> Any:
    """Return the hosts in lower case; ``*.`` at the front takes every name that ends so."""
    entries = split_list(value)
    if not isinstance(entries, tuple) or not all(isinstance(entry, str) for entry in entries):
        return entries
    hosts = tuple(entry.lower() for entry in entries)
    if not all(map(_HOST, hosts)):
        raise ValueError("write hosts without scheme, port and path, e.g. api.example,*.example")
    return hosts


def read_paths(value: Any) -> Any:
    """Return the path prefixes."""
    entries = split_list(value)
    if not isinstance(entries, tuple) or not all(isinstance(entry, str) for entry in entries):
        return entries
    if not all(map(_PATH, entries)):
        raise ValueError("write paths like /orders: from the slash on, without one at the end")
    if any(map(_TWO_READINGS.search, entries)):
        raise ValueError("write plain paths, without dot segments, // and any of \\ ? # ; %2F")
    return entries


def read_http_methods(value: Any) -> Any:
    """Return the methods, which are case-sensitive (RFC 9110 §9.1)."""
    entries = split_list(value)
    if isinstance(entries, tuple) and not METHODS.issuperset(entries):
        raise ValueError("write methods in capitals, e.g. GET,POST, and no CONNECT or TRACE")
    return entries
