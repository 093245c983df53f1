"""The access line: one for each answered request."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from gateway.logs.lines import escape, quote, quote_word, suffix, timestamp
from gateway.record import record

if TYPE_CHECKING:
    from gateway.logs.lines import LineWriter


@record
class AccessEntry:
    """One answered request; ``user`` is a pseudonym and ``path`` comes without its query."""

    request_id: str
    method: str
    path: str
    status: int
    duration_ms: float
    grant: str | None = None
    cache: str | None = None
    user: str | None = None
    error: str | None = None
    cause: str | None = None


class Pseudonyms:
    """Names for users that only the holder of the key can connect with them."""

    __slots__ = ("_context",)

    def __init__(self, key: bytes) -> None:
        self._context = HMAC(key, SHA256())

    def of(self, identifier: str) -> str:
        """Return the 16 hexadecimal digits that stand for this user in every line (RFC 2104)."""
        context = self._context.copy()
        context.update(identifier.encode("utf-8", "surrogatepass"))
        return context.finalize()[:8].hex()


class AccessLog:
    """Where access lines go, and how they are spelled."""

    def __init__(self, writer: LineWriter, *, as_json: bool, worker: int | None = None) -> None:
        self.writer = writer
        self._suffix = suffix(worker, as_json=as_json)
        self._spell = _json if as_json else _text

    def write(self, entry: AccessEntry) -> None:
        """Write the line of one request."""
        self.writer.write(self._spell(entry, time.time(), self._suffix))


def _json(entry: AccessEntry, now: float, end: str) -> str:
    """Return the line as JSON; spelled out, because encoding a dictionary takes twice as long."""
    cause = "null" if entry.cause is None else quote(entry.cause)
    return (
        f'{{"time":"{timestamp(now)}","level":"info","logger":"gateway.access",'
        f'"message":"request","request_id":{quote(entry.request_id)},'
        f'"method":{quote_word(entry.method)},"path":{quote(entry.path)},"status":{entry.status:d},'
        f'"duration_ms":{entry.duration_ms:.3f},{_caller(entry.grant, entry.cache, entry.user)},'
        f'"error":{quote_word(entry.error)},"cause":{cause}{end}}}\n'
    )


@lru_cache(maxsize=1024)
def _caller(grant: str | None, cache: str | None, user: str | None) -> str:
    """Return the part of a line that is the same for each request of a user."""
    return f'"grant":{quote(grant)},"cache":{quote(cache)},"user":{quote(user)}'


def _text(entry: AccessEntry, now: float, end: str) -> str:
    named = {
        "grant": entry.grant,
        "cache": entry.cache,
        "user": entry.user,
        "error": entry.error,
        "cause": entry.cause,
        "id": entry.request_id,
    }
    rest = "".join(f" {name}={escape(value)}" for name, value in named.items() if value)
    return (
        f"{timestamp(now)} info gateway.access {escape(entry.method)} {escape(entry.path)} "
        f"{entry.status} {entry.duration_ms:.1f}ms{rest}{end}\n"
    )
