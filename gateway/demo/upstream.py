"""The demo's upstream: tells what it was sent, in the shape of httpbin's answers."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from aiohttp import web

from gateway.demo.children import DemoError

if TYPE_CHECKING:
    from collections.abc import Iterable

DELAY_MAX: Final = 10.0
LINES_MAX: Final = 100
BODY_MAX: Final = 16 << 20
STATUS_MIN, STATUS_MAX = 200, 599
FORM_TYPE: Final = "application/x-www-form-urlencoded"


def create_upstream() -> web.Application:
    """Make the application; every path answers every method."""
    app = web.Application(client_max_size=BODY_MAX)
    for path, handler in (
        ("/", _anything),
        ("/anything", _anything),
        ("/anything/{rest:.*}", _anything),
        ("/headers", _headers),
        ("/status/{code}", _status),
        ("/delay/{seconds}", _delay),
        ("/stream/{count}", _stream),
    ):
        app.router.add_route("*", path, handler)
    return app


async def start_upstream(host: str, port: int) -> web.AppRunner:
    """Listen; the runner's ``cleanup`` ends it."""
    runner = web.AppRunner(create_upstream(), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as exc:
        await runner.cleanup()
        raise DemoError(f"the upstream cannot listen: {exc.strerror}") from exc
    return runner


def collect(pairs: Iterable[tuple[str, str]]) -> dict[str, str | list[str]]:
    """Gather pairs by name; a name that comes more than once has a list."""
    gathered: dict[str, str | list[str]] = {}
    for name, value in pairs:
        seen = gathered.get(name)
        if seen is None:
            gathered[name] = value
        else:
            gathered[name] = [*([seen] if isinstance(seen, str) else seen), value]
    return gathered


async def describe(request: web.Request) -> dict[str, Any]:
    """Say what arrived: method, URL, fields and body."""
    text = (await request.read()).decode("utf-8", "replace")
    is_form = request.content_type == FORM_TYPE
    return {
        "args": collect(request.query.items()),
        "data": "" if is_form else text,
        "form": collect(parse_qsl(text, keep_blank_values=True)) if is_form else {},
        "headers": collect(request.headers.items()),
        "json": _read_json(text),
        "method": request.method,
        "origin": request.remote,
        "url": f"{request.scheme}://{request.host}{request.raw_path}",
    }


def _read_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _answer(content: Any, status: int = 200) -> web.Response:
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    return web.json_response(text=text, status=status)


async def _anything(request: web.Request) -> web.Response:
    return _answer(await describe(request))


async def _headers(request: web.Request) -> web.Response:
    return _answer({"headers": collect(request.headers.items())})


async def _status(request: web.Request) -> web.Response:
    code = request.match_info["code"]
    if not (code.isascii() and code.isdigit() and STATUS_MIN <= int(code) <= STATUS_MAX):
        return _answer({"error": f"a status is a number from {STATUS_MIN} to {STATUS_MAX}"}, 400)
    return web.Response(status=int(code))


async def _delay(request: web.Request) -> web.Response:
    try:
        seconds = float(request.match_info["seconds"])
    except ValueError:
        return _answer({"error": "a delay is a number of seconds"}, 400)
    await asyncio.sleep(min(max(seconds, 0.0), DELAY_MAX))
    return _answer(await describe(request))


async def _stream(request: web.Request) -> web.StreamResponse:
    count = request.match_info["count"]
    if not (count.isascii() and count.isdigit()):
        return _answer({"error": "a count of lines is a whole number"}, 400)
    seen = await describe(request)
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    for number in range(min(int(count), LINES_MAX)):
        await response.write(json.dumps({"id": number, **seen}).encode() + b"\n")
    await response.write_eof()
    return response
