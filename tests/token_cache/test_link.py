"""Bounded calls, whatever answers and whatever it says (A13)."""

from __future__ import annotations

import asyncio

import pytest

from gateway.token_cache.link import LOCKING, READING, Command, Link, Script
from tests.token_cache.scripted import ScriptedRedis

SCRIPT = Script.of("return redis.call('INCR', KEYS[1])", LOCKING)
GET = [Command("a", ("GET", "a"))]


@pytest.fixture
async def fake():
    """Return a server that answers what it is told to."""
    async with ScriptedRedis() as server:
        yield server


@pytest.fixture
async def linked(fake):
    """Return a function that makes links to that server."""
    links = []

    def link(scheme="redis", timeout=0.5):
        links.append(Link.connect(f"{scheme}://127.0.0.1:{fake.port}", timeout=timeout, pause=0.02))
        return links[-1]

    yield link
    for each in links:
        await each.aclose()


async def test_nothing_wanted(linked, fake):
    """Who wants nothing gets nothing, and Redis is not asked."""
    assert await linked().find([]) == []
    assert fake.seen == []


async def test_script(shared_redis):
    """A script is sent once; from then on its digest is enough."""
    link = Link.connect(shared_redis.url, timeout=5.0)
    first = await link.run(SCRIPT, ["counter"], ())
    assert await link.run(SCRIPT, ["counter"], ()) == first + 1
    assert link.failures == 0
    await link.aclose()


@pytest.mark.parametrize(
    ("answers", "failures"),
    [
        pytest.param({"EVALSHA": b":7\r\n"}, 0, id="good"),
        pytest.param({"EVALSHA": b"-NOSCRIPT no\r\n", "EVAL": b":7\r\n"}, 0, id="unknown at first"),
        pytest.param({"EVALSHA": b"-NOSCRIPT x\r\n", "EVAL": b"-NOSCRIPT x\r\n"}, 0, id="unknown"),
        pytest.param({"EVALSHA": b"-WRONGTYPE of key\r\n"}, 0, id="wrong type"),
        pytest.param({"EVALSHA": b"-ERR in the script\r\n"}, 1, id="error"),
        pytest.param({"EVALSHA": b"-NOPERM\r\n"}, 1, id="not allowed"),
        pytest.param({}, 1, id="no answer"),
    ],
)
async def test_answers_to_a_script(linked, fake, answers, failures):
    """A script that does not run is None, and no error leaves the link."""
    fake.answers = answers
    link = linked()
    result = await link.run(SCRIPT, ["counter"], ())
    assert result == (7 if b":7\r\n" in answers.values() else None)
    assert link.failures == failures


async def test_refusal_of_one_use(linked, fake):
    """What is refused is left alone for a while; what is not goes on."""
    fake.answers = {"EVALSHA": b"-NOPERM\r\n", "GET": b"$1\r\nx\r\n"}
    link = linked()
    for _ in range(5):
        assert await link.run(SCRIPT, ["counter"], ()) is None
        assert await link.send(GET, READING) == [b"x"]
    assert fake.seen.count("EVALSHA") < 5
    assert fake.seen.count("GET") == 5


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"*2\r\n$1\r\n0\r\n*1\r\n:7\r\n", id="numbers for names"),
        pytest.param(b":7\r\n", id="no list"),
        pytest.param(b"-NOPERM\r\n", id="not allowed"),
        pytest.param(b"*0\r\n", id="empty"),
    ],
)
async def test_answers_to_a_scan(linked, fake, answer):
    """Whatever is answered to a scan, it ends without names and without an error."""
    fake.answers = {"SCAN": answer}
    assert [name async for names in linked().scan("*") for name in names] == []


async def test_pipeline_cut_short(linked, fake):
    """An answer to one of two commands, and then silence, is a failure of both."""
    fake.answers = {"GET": b"$1\r\nx\r\n"}
    link = linked(timeout=0.1)
    assert await link.send([*GET, Command("a", ("PTTL", "a"))], READING) is None
    assert link.failures == 1


@pytest.mark.parametrize(
    "layout",
    [
        pytest.param(b"*0\r\n", id="empty"),
        pytest.param(b"*1\r\n:7\r\n", id="number for a range"),
        pytest.param(b"-ERR This instance has cluster support disabled\r\n", id="no cluster"),
        pytest.param(b"+OK\r\n", id="status"),
        pytest.param(b"", id="none"),
    ],
)
async def test_layouts_of_something_else(linked, fake, layout):
    """Whatever is answered for a layout, without one every call is a miss."""
    fake.answers = {"CLUSTER": layout, "GET": b"$1\r\nx\r\n"}
    link = linked("redis+cluster", timeout=0.05)
    for _ in range(3):
        assert await link.send(GET, READING) is None
        assert await link.ping() is False
        assert await link.listening_node() is None
        await asyncio.sleep(0.05)
    assert "GET" not in fake.seen


@pytest.mark.parametrize(
    ("host", "last", "found"),
    [
        pytest.param(b"127.0.0.1", 16383, [b"x"], id="good"),
        pytest.param(b"", 16383, [b"x"], id="host unknown"),
        pytest.param(b"?", 16383, [b"x"], id="host a question mark"),
        pytest.param(b"127.0.0.1", 10**9, [b"x"], id="more slots than there are"),
        pytest.param(b"127.0.0.1", 5, None, id="slot not covered"),
    ],
)
async def test_layout(linked, fake, host, last, found):
    """A layout may leave out the host it was asked at, and slots."""
    fake.answers = {"CLUSTER": fake.layout(host=host, last=last), "GET": b"$1\r\nx\r\n"}
    assert await linked("redis+cluster").send(GET, READING) == found


@pytest.mark.parametrize(
    "moved",
    [
        pytest.param(b"-MOVED 15495 :1\r\n", id="to nowhere"),
        pytest.param(b"-MOVED 15495 127.0.0.1:1\r\n", id="to a closed port"),
        pytest.param(b"-MOVED 15495 127.0.0.1:%d\r\n", id="to itself"),
        pytest.param(b"-ASK 15495 127.0.0.1:1\r\n", id="asked to ask"),
        pytest.param(b"-TRYAGAIN later\r\n", id="try again"),
    ],
)
async def test_redirections(linked, fake, moved):
    """MOVED is followed once; where that leads nowhere it is a miss."""
    fake.answers = {"CLUSTER": fake.layout(), "GET": moved.replace(b"%d", b"%d" % fake.port)}
    found = await linked("redis+cluster").find(["a"])
    assert found in ([None], None)
    assert fake.seen.count("GET") <= 2


async def test_layout_that_takes_long(linked, fake):
    """A request waits for the layout no longer than for anything else; the next one has it."""
    link = linked("redis+cluster", timeout=0.2)
    fake.answers = {"GET": b"$1\r\nx\r\n"}
    assert await link.send(GET, READING) is None
    fake.answers["CLUSTER"] = fake.layout()
    async with asyncio.timeout(20):
        while await link.send(GET, READING) != [b"x"]:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.02)


async def test_closed_while_reading_the_layout(fake):
    """Closing ends a reading of the layout that is under way; who waits for it gets nothing."""
    link = Link.connect(f"redis+cluster://127.0.0.1:{fake.port}", timeout=5.0)
    asking = asyncio.create_task(link.send(GET, READING))
    await asyncio.sleep(0.05)
    await link.aclose()
    assert await asking is None


async def test_node_that_left(linked, fake):
    """A node that is not in the next layout is let go, and the other one asked."""
    async with ScriptedRedis() as other:
        fake.answers = {"CLUSTER": fake.layout(), "GET": b"$1\r\nx\r\n"}
        other.answers = {"CLUSTER": other.layout(host=b"127.0.0.1"), "GET": b"$1\r\ny\r\n"}
        link = linked("redis+cluster")
        assert await link.send(GET, READING) == [b"x"]
        fake.answers["CLUSTER"] = other.answers["CLUSTER"]
        fake.answers["GET"] = b"-MOVED 15495 127.0.0.1:%d\r\n" % other.port
        assert await link.send(GET, READING) == [b"y"]
        async with asyncio.timeout(20):
            while fake.seen.count("CLUSTER") < 2:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.02)
        asked = fake.seen.count("GET")
        assert await link.send(GET, READING) == [b"y"]
        assert fake.seen.count("GET") == asked
        await link.aclose()
