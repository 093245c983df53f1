"""Sending a scripted answer over a real connection, faults included."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.fakes.answers import Answer

BARE: Final = web.ResponseKey("bare", bool)


async def leave_out_content_type(_request: web.Request, response: web.StreamResponse) -> None:
    """Take away the content type aiohttp adds to an answer that has none (a prepare signal)."""
    if response.get(BARE):
        response.headers.popall("Content-Type", None)


async def send(
    request: web.Request, answer: Answer, genuine: Mapping[str, Any]
) -> web.StreamResponse:
    """Send a scripted answer, with its delays and its end of the connection."""
    if answer.delay:
        await asyncio.sleep(answer.delay)
    body = answer.write_body(genuine)
    response = web.StreamResponse(status=answer.status, headers=[*answer.headers])
    if answer.content_type is None:
        response[BARE] = True
    else:
        response.headers["Content-Type"] = answer.content_type
    response.content_length = len(body)
    with contextlib.suppress(ConnectionError):  # the caller left: aiohttp would log it as an error
        await write(request, response, body, answer)
    return response


async def write(
    request: web.Request, response: web.StreamResponse, body: bytes, answer: Answer
) -> None:
    """Write the head and the body: at once, byte by byte, or as far as the script says."""
    if answer.drop == "before":
        abort(request)
        return
    await response.prepare(request)
    if answer.drop == "mid_body":
        await response.write(body[: len(body) // 2])
        abort(request)
        return
    step = 1 if answer.dribble else max(1, len(body))
    for at in range(0, len(body), step):
        await asyncio.sleep(answer.dribble)
        await response.write(body[at : at + step])
    await response.write_eof()


def abort(request: web.Request) -> None:
    """Reset the connection."""
    if request.transport is not None:
        request.transport.abort()
