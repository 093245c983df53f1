"""The upstream's response written to the caller, byte for byte, as it arrives.

Rule: after the first byte an error can only cut the connection, so that it is seen as one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import UpstreamError
from gateway.forwarding.chunks import LAST_CHUNK, write_chunk
from gateway.forwarding.cutting import reset
from gateway.forwarding.headers import NOTHING_SAID, ResponseFraming, write_response_head
from gateway.server.protocol import ProxyProtocol, may_stay_open
from gateway.server.written import Written

if TYPE_CHECKING:
    import asyncio

    from aiohttp import web

    from gateway.forwarding.upstream import UpstreamResponse
    from gateway.pipeline import Admission


# Looked up once: to name a member of an Enum takes longer than the comparison it is for.
_NONE, _LENGTH, _CHUNKED, _CLOSE = ResponseFraming


async def relay(
    request: web.BaseRequest, response: UpstreamResponse, request_id: bytes, admission: Admission
) -> Written:
    """Write ``response`` to the caller."""
    transport = request.transport
    if transport is None:
        return Written(keep_alive=False, cause="the caller hung up")
    version = request.version
    framing = _framing(response.head.framing, version)
    keep_alive = framing is not _CLOSE and may_stay_open(request)
    head = write_response_head(
        response.head,
        request_id=request_id,
        framing=framing,
        keep_alive=keep_alive,
        version=version,
        said=said_to_caller(admission),
    )
    data, last = response.take_ready()
    data = head + _framed(data, framing, last=last)
    if last and keep_alive and isinstance(request.protocol, ProxyProtocol):
        request.protocol.write_soon(data)
        return Written(keep_alive=True)
    transport.write(data)
    if last:
        return Written(keep_alive=keep_alive)
    try:
        await _relay_body(request, transport, response, framing)
    except UpstreamError as exc:
        reset(transport)
        return Written(keep_alive=False, cause=f"cut: {exc}")
    except ConnectionError:
        return Written(keep_alive=False, cause="the caller hung up")
    return Written(keep_alive=keep_alive)


def said_to_caller(admission: Admission) -> tuple[frozenset[bytes], bytes]:
    """Return which fields only the gateway says in the response, and what it says."""
    if admission.route.identity is None:
        return NOTHING_SAID
    told = admission.told
    return admission.route.identity.answered, b"" if told is None else told.downstream


async def _relay_body(
    request: web.BaseRequest,
    transport: asyncio.Transport,
    response: UpstreamResponse,
    framing: ResponseFraming,
) -> None:
    """Write the rest of the body; wait while the caller reads slowly."""
    last = False
    while not last:
        await request.writer.drain()
        data = await response.read()
        more, last = response.take_ready()
        transport.write(_framed(data + more, framing, last=last))


def _framing(upstream: ResponseFraming, version: tuple[int, int]) -> ResponseFraming:
    """Return how the body ends on the caller's side (RFC 9112 §6.3)."""
    if upstream is _LENGTH or upstream is _NONE:
        return upstream
    return _CHUNKED if version >= (1, 1) else _CLOSE


def _framed(data: bytes, framing: ResponseFraming, *, last: bool) -> bytes:
    if framing is _CHUNKED:
        return write_chunk(data) + LAST_CHUNK if last else write_chunk(data)
    return data
