"""The demo as anybody starts it: its printed lines run with a real curl."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import jwt
import pytest

REPOSITORY = Path(__file__).parents[1]
READY = "Ctrl-C stops everything"
START_PATIENCE = 100.0  # the first start installs the provider
LINE_PATIENCE = 10.0
PLACE = re.compile(r"(?m)^(?:gateway|admin|provider|upstream) +http://127\.0\.0\.1:(\d+)")
OPTIONS = ("--silent", "--show-error", "--noproxy", "*", "--max-time", "20")


class RunningDemo:
    """``python -m gateway demo`` as a child process; its output is read as it comes."""

    def __init__(self, *arguments, **environment):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "demo", *arguments],
            cwd=REPOSITORY,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._more = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self):
        """Everything printed so far."""
        return "\n".join(self.lines)

    def line_with(self, pattern, after=0, within=LINE_PATIENCE):
        """Wait for a line that matches, from this line number on."""

        def found():
            return next((line for line in self.lines[after:] if re.search(pattern, line)), None)

        with self._more:
            self._more.wait_for(lambda: found() or self._ended, within)
            line = found()
        assert line is not None, f"no line with {pattern!r} in:\n{self.output}"
        return line

    def curl_lines(self):
        """Give the lines to paste, in order."""
        stripped = [line.strip() for line in self.lines]
        return [line for line in stripped if line.startswith("curl ")]

    def children(self):
        """Give the process ids of the demo's own children."""
        pid = self.process.pid
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [int(child) for child in listed.split()]

    def end(self, number=signal.SIGINT):
        """Send a signal, and return the exit status once everything is read."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self):
        """Return the exit status once everything is read."""
        status = self.process.wait(30)
        self._reader.join(30)
        return status

    def kill(self):
        """Leave nothing behind, whatever the test found."""
        if self.process.poll() is None:
            self.end(signal.SIGTERM)

    def _read(self):
        for line in self.process.stdout:
            with self._more:
                self.lines.append(line.rstrip("\n"))
                self._more.notify_all()
        self.process.stdout.close()
        with self._more:
            self._ended = True
            self._more.notify_all()


def missing(reason):
    """Skip on a laptop, fail in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def start(*arguments):
    """Start a demo and wait until it says what to try."""
    demo = RunningDemo(*arguments)
    try:
        demo.line_with(f"{READY}|cannot install", within=START_PATIENCE)
    except BaseException:
        demo.kill()
        raise
    if "cannot install" in demo.output:
        demo.wait()
        missing(f"the demo's provider cannot be installed:\n{demo.output}")
    return demo


@pytest.fixture(scope="module")
def demo():
    """Give one demo to every test that only asks it things."""
    if shutil.which("curl") is None:
        missing("no curl; install it with: apt-get install curl")
    running = start()
    yield running
    running.kill()


def curl(line):
    """Run a printed line with options for silence; return what curl printed."""
    program, *arguments = shlex.split(line)
    command = [program, *OPTIONS, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


def bearer(seen):
    """Give the claims of the token the upstream was sent."""
    scheme, _, token = seen["headers"]["Authorization"].partition(" ")
    assert scheme == "Bearer"
    return jwt.decode(token, options={"verify_signature": False})


def alive(pid):
    """Tell whether a process is there and not just waiting to be collected."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


def test_password_by_header_becomes_a_token_and_is_remembered(demo):
    """The upstream sees a Bearer token for john; the second request is answered from memory."""
    first_line, second_line = demo.curl_lines()[:2]
    before = len(demo.lines)
    first = json.loads(curl(first_line))
    demo.line_with(r"GET /anything 200 .*cache=(?!memory)", before)
    before = len(demo.lines)
    second = json.loads(curl(second_line))
    demo.line_with(r"GET /anything 200 .*cache=memory", before)
    assert (first["method"], bearer(first)["sub"], bearer(first)["client_id"]) == (
        "GET",
        "john",
        "gateway",
    )
    assert first["headers"]["Authorization"] == second["headers"]["Authorization"]


def test_client_credentials_by_header_become_a_token(demo):
    """The service's own pair gives a token of the service, without saying which grant it is for."""
    line = next(line for line in demo.curl_lines() if "service:" in line)
    claims = bearer(json.loads(curl(line)))
    assert (claims["sub"], claims["client_id"]) == ("service", "service")


def test_credentials_in_a_form_do_not_reach_the_upstream(demo):
    """The colour arrives, the pair does not."""
    line = next(line for line in demo.curl_lines() if "colour" in line)
    seen = json.loads(curl(line))
    assert (seen["method"], seen["form"], bearer(seen)["sub"]) == (
        "POST",
        {"colour": "blue"},
        "john",
    )
    assert "doe" not in json.dumps(seen["form"]) + seen["data"]


@pytest.mark.parametrize("number", [-2, -1], ids=["wrong_password", "no_credentials"])
def test_who_is_not_known_gets_a_challenge(demo, number):
    """401 with one Basic challenge for each method, and a body that names no reason."""
    head, _, body = curl(demo.curl_lines()[number]).partition("\n\n")
    assert head.startswith("HTTP/1.1 401")
    challenges = re.findall(r"(?im)^www-authenticate: (.*)$", head)
    assert challenges
    assert all(re.fullmatch(r'Basic realm="[^"]*", charset="UTF-8"', each) for each in challenges)
    assert json.loads(body)["request_id"]


def test_no_secret_is_in_the_output(demo):
    """The printed lines hold the published credentials; the log lines hold none."""
    after = next(at for at, line in enumerate(demo.lines) if READY in line)
    logged = "\n".join(demo.lines[after:])
    assert "cf4c655a" not in logged
    assert "Bearer" not in logged


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything(number):
    """Exit status 0, no traceback, no child left, nothing listening, no folder left."""
    demo = start()
    children = demo.children()
    ports = re.findall(
        r"^(?:gateway|admin|provider|upstream) +http://127\.0\.0\.1:(\d+)",
        demo.output,
        re.MULTILINE,
    )
    try:
        status = demo.end(number)
    finally:
        demo.kill()
    assert status == 0, demo.output
    assert "Traceback" not in demo.output
    assert len(children) == 2
    assert not [pid for pid in children if alive(pid)]
    assert len(ports) == 4
    for port in ports:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", int(port))) != 0


@pytest.mark.parametrize("which", [0, 1], ids=["provider", "gateway"])
def test_a_child_that_dies_takes_the_demo_down(which):
    """Exit status 1, with the name of the child and its last lines."""
    demo = start()
    children = sorted(demo.children())
    try:
        os.kill(children[which], signal.SIGKILL)
        status = demo.wait()
    finally:
        demo.kill()
    assert status == 1
    assert f"{('the provider', 'the gateway')[which]} ended with SIGKILL" in demo.output
    assert "Traceback" not in demo.output
    assert not [pid for pid in children if alive(pid)]


def test_a_signal_ends_an_installation_too(tmp_path):
    """Exit status 0 and no half environment in the cache folder."""
    demo = RunningDemo(BEARERGATE_CACHE=str(tmp_path))
    try:
        demo.line_with("First run: installing")
        status = demo.end()
    finally:
        demo.kill()
    assert status == 0, demo.output
    assert "Traceback" not in demo.output
    assert list(tmp_path.iterdir()) == []


def test_a_provider_that_does_not_start_is_told_with_its_last_lines(tmp_path):
    """Exit status 1 and what the provider said."""
    python = tmp_path / "nanoidp-3.4.0" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho it is broken\nexit 3\n")
    python.chmod(0o755)
    demo = RunningDemo(BEARERGATE_CACHE=str(tmp_path))
    assert demo.wait() == 1
    assert "the provider ended with exit status 3; its last lines:\nit is broken" in demo.output
    assert "Traceback" not in demo.output


def test_a_port_that_was_asked_for_and_is_taken_stops_the_demo():
    """Exit status 1 and the port in the message, before anything is started."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        demo = RunningDemo("--port", str(port))
        status = demo.wait()
    assert status == 1
    assert f"demo: gateway: port {port} cannot be used" in demo.output
