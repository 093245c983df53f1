"""What ``check`` and ``routes`` print: colour and a table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.settings.environments import written

ROOT = Path(__file__).parents[2]
KEPT = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
FILE = """
issuer: https://sso.example/realms/example
client_id: gateway
client_secret: CANARY
upstream_url: http://httpbin:8080
providers: {partner: {issuer: "https://partner.example", client_id: gw, client_secret: CANARY}}
routes:
- {name: orders, hosts: [api.example], paths: [/orders, /v2], methods: [GET, POST],
   provider: partner, upstream: "http://orders:8080", scopes_required: [a]}
- {name: health, paths: [/status], auth_methods: []}
- {name: rest, password_param_type: [header, query]}
"""
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def run(*arguments, terminal, columns=100):
    """Run the command; return its status and all it printed, on a terminal or into a pipe."""
    environ = {**KEPT, "TERM": "xterm-256color", "COLUMNS": str(columns)}
    command = [sys.executable, "-m", "gateway", *arguments]
    if not terminal:
        done = subprocess.run(
            command,
            env=environ,
            cwd=ROOT,
            text=True,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return done.returncode, done.stdout
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command, env=environ, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        printed = b"".join(iter(lambda: read(ours), b""))
    os.close(ours)
    return process.returncode, printed.decode().replace("\r\n", "\n")


def read(descriptor):
    """Read what is there; nothing when the other side is closed."""
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux says so of a terminal that nobody has open any more
        return b""


@pytest.fixture
def good(tmp_path):
    """Write a file with three routes."""
    return ("--config", str(written(tmp_path, FILE)))


def test_check_on_a_terminal(good):
    """What can be run is told with what it has, a warning with its place in colour."""
    status, printed = run("check", *good, terminal=True)

    warning, last = COLOUR.sub("", printed).splitlines()
    assert status == 0
    assert warning.startswith("bearergate: warning: routes.rest.password_param_type (line ")
    assert "the configuration is fine (3 routes, 1 public, 1 warning)" == last
    assert "\x1b[1;33mroutes.rest.password_param_type (line " in printed


def test_check_without_a_terminal(good):
    """Without a terminal the lines are plain."""
    status, printed = run("check", *good, terminal=False)

    assert status == 0
    assert printed.splitlines()[-1] == "the configuration is fine"
    assert "\x1b" not in printed


@pytest.mark.parametrize("terminal", [True, False])
def test_problems(tmp_path, terminal):
    """Each problem is a line, however narrow the terminal, the same text in colour or not."""
    file = written(tmp_path, FILE.replace("auth_methods: []", "auth_method: []") + "port: no\n")

    status, printed = run("check", "--config", str(file), terminal=terminal, columns=40)

    lines = COLOUR.sub("", printed).splitlines()
    assert status == 2
    assert [
        (
            "bearergate: routes.health.auth_method (line 10): there is no such setting; did you "
            "mean auth_methods?"
        ),
        "bearergate: port (line 12): write a whole number",
        *(["2 problems"] if terminal else []),
    ] == lines
    assert terminal == ("\x1b[1;31mport (line 12)" in printed)
    assert "CANARY" not in printed


def test_routes_on_a_terminal(good):
    """Routes are a table with what each takes, below each other, and public ones stand out."""
    status, printed = run("routes", *good, terminal=True)

    table = [line.split() for line in COLOUR.sub("", printed).splitlines()[1:]]
    assert status == 0
    assert [
        ["name", "takes", "upstream", "callers", "rules"],
        ["orders", "api.example", "http://orders:8080", "password", "scopes_required"],
        ["/orders,", "/v2", "client_credentials"],
        ["GET,", "POST", "at", "partner"],
        ["health", "/status", "http://httpbin:8080", "public", "-"],
        ["rest", "every", "request", "http://httpbin:8080", "password", "-"],
        ["client_credentials"],
    ] == table
    assert "\x1b[1;33mpublic" in printed


def test_routes_on_a_narrow_terminal(good):
    """A table that does not fit is folded: nothing is cut off."""
    _, printed = run("routes", *good, terminal=True, columns=50)

    lines = COLOUR.sub("", printed).splitlines()[1:]
    assert max(map(len, lines)) <= 50
    assert "…" not in printed


@pytest.mark.parametrize("command", ["check", "routes", "run", "doctor"])
def test_a_file_without_its_option(good, command):
    """A file that is named alone is told where it belongs."""
    status, printed = run(command, good[1], terminal=False)

    assert status == 2
    assert f"a file with settings is named with --config {good[1]}" in printed


@pytest.mark.parametrize("arguments", [("check", "--confg", "x"), ("demo", "x")], ids=" ".join)
def test_other_arguments(arguments):
    """What is no file is told as it is."""
    status, printed = run(*arguments, terminal=False)

    assert status == 2
    assert "unrecognized arguments: " in printed
    assert "--config" not in printed
