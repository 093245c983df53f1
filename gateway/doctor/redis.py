"""Probes of Redis: does it answer, and is it what the URL says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.doctor.findings import failure, fine, warning
from gateway.token_cache.address import read_redis_url
from gateway.token_cache.link import READING, Command, Link

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.doctor.findings import Finding

KEY = "bearergate doctor"
_OTHER_MODE = {"cluster": "redis+cluster://", "sentinel": "redis+sentinel://"}


async def probe_redis(url: str) -> AsyncIterator[Finding]:
    """Yield whether Redis answers, and whether it is the kind of server ``url`` names."""
    if not url:
        return
    kind = read_redis_url(url).kind
    link = Link.connect(url)
    try:
        if not await link.ping():
            yield failure(
                f"Redis ({kind}) does not answer",
                "Check the host, port, user, password and TLS of REDIS_URL, and that the server "
                "runs; meanwhile each gateway keeps tokens for itself.",
            )
            return
        answers = await link.send([Command(KEY, ("INFO", "server"))], READING)
    finally:
        await link.aclose()
    for finding in _mode(kind, answers[0] if answers else None):
        yield finding


def _mode(kind: str, info: object) -> list[Finding]:
    mode = info.get("redis_mode") if isinstance(info, dict) else None
    if mode is None:
        return [
            warning(
                "Redis answers, but does not tell its mode",
                "Allow the user of REDIS_URL the command INFO, if `doctor` is to look.",
            )
        ]
    expected = "cluster" if kind == "cluster" else "standalone"
    if mode == expected:
        return [fine(f"Redis answers, mode {mode}, as REDIS_URL says")]
    scheme = _OTHER_MODE.get(str(mode), "redis:// or rediss://")
    return [failure(f"Redis is in mode {mode}, REDIS_URL says {kind}", f"Write {scheme} there.")]
