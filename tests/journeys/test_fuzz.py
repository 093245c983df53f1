"""Thousands of requests that were valid before they were changed (P15, P20, L3, R10).

``FUZZ_REQUESTS=200000 FUZZ_SEED=7 python -m pytest tests/journeys/test_fuzz.py`` runs it longer.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections import Counter
from random import Random

import pytest

from tests.fakes.caller import RawCaller, basic, request
from tests.fakes.mutations import mutate
from tests.fakes.valid_requests import make_request
from tests.journeys.running import RunningGateway

SEED = int(os.environ.get("FUZZ_SEED", "20261121"))
COUNT = int(os.environ.get("FUZZ_REQUESTS", "3000"))
AT_ONCE = 48
IN_A_ROW = (1, 1, 1, 2, 3)
# How long an answer is waited for before the caller hangs up: nothing is asserted about it.
PATIENCE = 0.25
JOHN = basic("john", "doe")
ANSWERED = re.compile(
    rb"^HTTP/1\.1 ([2-5]\d\d) .*?^X-Request-Id: (\w+)\r$", re.DOTALL | re.MULTILINE
)
TROUBLE = re.compile(
    "Traceback|never retrieved|was destroyed|never awaited|ResourceWarning|Fatal error"
    "|unhandled|internal_error"
)


def make_all():
    """Return the changed requests, the same for the same seed."""
    random = Random(SEED)  # noqa: S311 - to be the same each time
    messages = []
    for number in range(COUNT):
        valid = [make_request(random, number, JOHN[1]).data for _ in range(random.choice(IN_A_ROW))]
        messages.append(b"".join(mutate(random, each) for each in valid[:-1]) + valid[-1])
        if len(valid) == 1 or random.random() < 0.5:
            messages[-1] = messages[-1].replace(valid[-1], mutate(random, valid[-1]))
    return messages


async def send(port, data, cut_at):
    """Send the bytes in two parts; return what comes back until nobody says anything more."""
    answer = b""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return answer
    try:
        for part in (data[:cut_at], data[cut_at:]):
            writer.write(part)
            await asyncio.wait_for(writer.drain(), PATIENCE)
            await asyncio.sleep(0)
        while piece := await asyncio.wait_for(reader.read(1 << 20), PATIENCE):
            answer += piece
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.transport.abort()
    return answer


async def send_all(port, messages):
    """Send all messages, each on its own connection; return the statuses by request id."""
    random = Random(SEED + 1)  # noqa: S311 - as above
    queue = [(data, random.randrange(len(data) + 1)) for data in messages]
    told = {}

    async def work():
        while queue:
            answer = await send(port, *queue.pop())
            for status, request_id in ANSWERED.findall(answer):
                assert request_id not in told
                told[request_id.decode()] = int(status)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return told


@pytest.fixture
async def fuzzed(provider, upstream, tmp_path):
    """Return a gateway in asyncio's debug mode, and the file of its access lines."""
    upstream.keep = 0
    settings = {
        "ISSUER": provider.issuer,
        "CLIENT_ID": provider.client_id,
        "CLIENT_SECRET": provider.client_secret,
        "UPSTREAM_URL": upstream.url,
        "PYTHONDEVMODE": "1",
        "SHUTDOWN_GRACE": "20",
    }
    file = tmp_path / "access.log"
    with file.open("wb") as access_log:
        async with RunningGateway(access_log=access_log, **settings) as gateway:
            yield gateway, file


@pytest.mark.timeout(max(120, COUNT // 50))
async def test_changed_requests(fuzzed, upstream):
    """P15, P20, L3: each request is answered once, has one line, and none reaches further."""
    gateway, file = fuzzed
    told = await send_all(gateway.port, make_all())
    async with RawCaller(gateway.port) as caller:
        after = await caller.send(request("GET", "/after", [JOHN]))
    gateway.signal(signal.SIGTERM)
    assert 0 == await gateway.exited()

    lines = [json.loads(line) for line in file.read_text().splitlines()]
    by_id = {line["request_id"]: line for line in lines}
    forwarded = Counter(seen.values(b"x-request-id")[0].decode() for seen in upstream.requests)
    assert 200 == after.status
    assert not TROUBLE.search(gateway.events), gateway.events[-5000:]
    assert len(lines) == len(by_id)
    assert told == {key: by_id[key]["status"] for key in told}
    assert upstream.malformed == []
    assert set(forwarded.values()) == {1}
    assert forwarded.keys() <= by_id.keys()
    assert {200, 400, 499} <= {line["status"] for line in lines}
    assert not [line for line in lines if line["status"] in {500, 502}]
