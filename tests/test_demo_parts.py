"""The parts of the demo, each by itself."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import shlex
import socket
import stat
import sys
import zipfile

import aiohttp
import pytest
import yaml
from rich.console import Console

from gateway.demo.children import Child, DemoError, child_environment
from gateway.demo.identity import Registration, write_provider_configuration
from gateway.demo.installation import FOLDER, cache_folder, find_provider
from gateway.demo.instructions import curl_lines, print_instructions
from gateway.demo.places import DEFAULTS, HOST, Places, choose_places
from gateway.demo.upstream import start_upstream
from tests.fakes.waiting import until

PLACES = Places(gateway=8000, admin=8001, provider=9001, upstream=9002)
SENT = {"Authorization": "Bearer t", "X-Twice": "1"}
WHEEL = {
    "METADATA": "Metadata-Version: 2.1\nName: nanoidp\nVersion: 3.4.0\n",
    "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "RECORD": "",
}
GRANDCHILD = (
    "import os, signal, subprocess, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print(child.pid, flush=True)\n"
    "time.sleep(600)\n"
)


@pytest.fixture
async def upstream():
    """Give the URL of an echoing upstream on a port of its own."""
    runner = await start_upstream(HOST, 0)
    yield f"http://{HOST}:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def session():
    """Give an ordinary HTTP client."""
    async with aiohttp.ClientSession() as client:
        yield client


def alive(pid):
    """Tell whether a process is there and not just waiting to be collected."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as state:  # noqa: PTH123 - not a file
            return state.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("path", ["/", "/anything", "/anything/a%2Fb"])
async def test_upstream_tells_what_it_was_sent(upstream, session, path):
    """Method, URL, arguments, fields and JSON come back, as the password grant's example shows."""
    url = f"{upstream}{path}?a=1&a=2&b="
    async with session.put(url, json={"x": [1]}, headers=SENT) as answer:
        seen = await answer.json()
    assert (answer.status, seen["method"], seen["origin"]) == (200, "PUT", "127.0.0.1")
    assert seen["args"] == {"a": ["1", "2"], "b": ""}
    assert seen["headers"]["Authorization"] == "Bearer t"
    assert (seen["json"], json.loads(seen["data"]), seen["form"]) == ({"x": [1]}, {"x": [1]}, {})


async def test_upstream_reads_forms(upstream, session):
    """A form arrives under ``form`` and nowhere else."""
    form = [("colour", "blue"), ("size", "1"), ("size", "2")]
    async with session.post(f"{upstream}/anything", data=form) as answer:
        seen = await answer.json()
    assert seen["form"] == {"colour": "blue", "size": ["1", "2"]}
    assert (seen["data"], seen["json"]) == ("", None)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/headers", 200, id="headers"),
        pytest.param("/status/418", 418, id="status"),
        pytest.param("/status/204", 204, id="no_content"),
        pytest.param("/status/99", 400, id="status_too_low"),
        pytest.param("/status/x", 400, id="status_not_a_number"),
        pytest.param("/delay/0", 200, id="delay"),
        pytest.param("/delay/-1", 200, id="delay_negative"),
        pytest.param("/delay/x", 400, id="delay_not_a_number"),
        pytest.param("/stream/x", 400, id="stream_not_a_number"),
        pytest.param("/elsewhere", 404, id="unknown"),
    ],
)
async def test_upstream_answers_with_a_status(upstream, session, path, status):
    """Each path answers, and what it cannot read is the sender's fault."""
    async with session.get(upstream + path) as answer:
        assert answer.status == status


async def test_upstream_streams_lines_of_json(upstream, session):
    """A stream comes in chunks, one JSON object a line."""
    async with session.get(f"{upstream}/stream/3") as answer:
        lines = (await answer.text()).splitlines()
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert [json.loads(line)["id"] for line in lines] == [0, 1, 2]


def test_a_default_port_that_is_taken_is_replaced_and_said():
    """The demo starts beside another program, and no two of its own parts share a port."""
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        places, notices = choose_places(defaults={**DEFAULTS, "admin": port, "upstream": port})
    assert port not in {places.admin, places.upstream}
    assert places.admin != places.upstream
    assert f"Port {port} is taken; the admin uses {places.admin} instead." in notices


@pytest.mark.parametrize("port", [pytest.param(None, id="taken"), 70000, -1])
def test_a_port_that_was_asked_for_is_never_replaced(port):
    """A port somebody chose and that cannot be used is an error that names it."""
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        asked = taken.getsockname()[1] if port is None else port
        with pytest.raises(DemoError, match=f"gateway: port {asked} cannot be used"):
            choose_places(gateway=asked)


async def test_an_upstream_that_cannot_listen_is_an_error_of_the_demo():
    """A port that was taken in the meantime gives one line, not a traceback."""
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        with pytest.raises(DemoError, match="cannot listen"):
            await start_upstream(HOST, taken.getsockname()[1])


def test_children_do_not_see_settings_of_the_shell():
    """A setting of the gateway or of the provider in the shell does not reach a child."""
    shell = {"PATH": "/bin", "LC_ALL": "C", "ISSUER": "https://x", "CLIENT_SECRET": "s"}
    environment = child_environment(shell, {"PORT": "1"})
    assert environment == {"PATH": "/bin", "LC_ALL": "C", "PYTHONUNBUFFERED": "1", "PORT": "1"}


async def test_stopping_a_child_ends_its_whole_group():
    """A child that ignores SIGTERM is killed, and so is what it started."""
    shown = []
    child = await Child.start(
        "c", [sys.executable, "-c", GRANDCHILD], environment=os.environ, show=shown.append
    )
    await until(lambda: shown)
    await child.stop(grace=0.05)
    await until(lambda: not alive(int(shown[0])))
    assert not alive(child.pid)


async def test_a_child_that_ended_is_told_with_its_last_lines():
    """Exit status or signal, and the last lines unless they have been shown."""
    code = "import sys; print('a'); print('b', file=sys.stderr); sys.exit(3)"
    quiet = await Child.start("q", [sys.executable, "-c", code], environment=os.environ)
    status = await quiet.ended()
    await quiet.stop()
    assert quiet.obituary(status) == "q ended with exit status 3; its last lines:\na\nb"
    assert quiet.obituary(-9).startswith("q ended with SIGKILL")


async def test_a_program_that_is_not_there_is_named():
    """What cannot be started is an error of the demo, not a traceback."""
    with pytest.raises(DemoError, match="cannot start x"):
        await Child.start("x", ["/nonexistent/program"], environment={})


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        pytest.param({"BEARERGATE_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a", id="own"),
        pytest.param({"XDG_CACHE_HOME": "/b"}, "/b/bearergate", id="xdg"),
        pytest.param({}, os.path.expanduser("~/.cache/bearergate"), id="home"),  # noqa: PTH111 - the shell's reading
    ],
)
def test_cache_folder_follows_the_environment(environment, folder):
    """The product's own variable comes first, then the XDG base directory, then the home folder."""
    assert str(cache_folder(environment)) == folder


async def test_a_failed_installation_leaves_nothing_and_says_what_helps(tmp_path):
    """No half environment stays behind, and the message holds the same steps by hand."""
    said = []
    with pytest.raises(DemoError) as refused:
        await find_provider(tmp_path, said.append, "/nonexistent/nanoidp.whl")
    assert "First run: installing" in said[0]
    assert list(tmp_path.iterdir()) == []
    by_hand = str(refused.value).splitlines()[-1]
    assert by_hand.strip().endswith(
        f"{tmp_path}/{FOLDER}/bin/python -m pip install /nonexistent/nanoidp.whl"
    )


async def test_an_installation_is_made_once(tmp_path):
    """A folder whose Python is gone is replaced; a complete one is used without a word."""
    wheel = tmp_path / "nanoidp-3.4.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("nanoidp.py", "print('it runs')\n")
        for name, content in WHEEL.items():
            archive.writestr(f"nanoidp-3.4.0.dist-info/{name}", content)
    broken = tmp_path / "cache" / FOLDER / "bin"
    broken.mkdir(parents=True)
    (broken / "python").symlink_to("/nonexistent/python")
    said = []
    python = await find_provider(tmp_path / "cache", said.append, str(wheel))
    child = await Child.start("p", [str(python), "-I", "-m", "nanoidp"], environment={})
    assert await child.ended() == 0
    assert child.last_lines == "it runs"
    assert len(said) == 2
    assert await find_provider(tmp_path / "cache", said.append, str(wheel)) == python
    assert len(said) == 2
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [FOLDER]


async def test_an_interrupted_installation_leaves_nothing(tmp_path):
    """Stopping in the middle takes the unfinished environment away."""
    task = asyncio.create_task(find_provider(tmp_path, lambda _: None))
    await until(lambda: list(tmp_path.glob("*.partial-*/pyvenv.cfg")))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(tmp_path.iterdir()) == []


async def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    """The message names the folder and the variable that chooses another one."""
    (tmp_path / "file").touch()
    with pytest.raises(DemoError, match="BEARERGATE_CACHE"):
        await find_provider(tmp_path / "file" / "cache", lambda _: None)


def test_provider_knows_the_people_of_the_printed_lines(tmp_path):
    """One user, one service and the gateway, in files nobody else can read."""
    write_provider_configuration(tmp_path, 9001, Registration("gateway", "random"))
    settings = yaml.safe_load((tmp_path / "settings.yaml").read_text())
    users = yaml.safe_load((tmp_path / "users.yaml").read_text())
    clients = {
        client["client_id"]: client["client_secret"] for client in settings["oauth"]["clients"]
    }
    assert clients == {"gateway": "random", "service": "cf4c655a-0622-4ce6-a0de-d3353ef0b714"}
    assert users["users"]["john"]["password"] == "doe"
    assert stat.S_IMODE((tmp_path / "settings.yaml").stat().st_mode) == 0o600


@pytest.mark.parametrize("terminal", [True, False])
def test_lines_to_paste_are_neither_wrapped_nor_styled(terminal):
    """Every curl line stands alone and unbroken, however narrow the terminal is."""
    output = io.StringIO()
    print_instructions(Console(file=output, width=30, force_terminal=terminal), PLACES)
    printed = [line.strip() for line in output.getvalue().splitlines()]
    for _meaning, line in curl_lines(PLACES):
        assert line in printed
        assert shlex.split(line)[0] == "curl"
    assert bool(re.search("\x1b", output.getvalue())) is terminal
