"""The command line, as an operator meets it: real processes, what they print, how they end."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
from pathlib import Path

import aiohttp
import pytest

from gateway import cli
from tests.fakes.caller import RawCaller, basic, request
from tests.fakes.waiting import until, until_told

KEPT = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
KEPT |= {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
LISTENING = re.compile(
    r"listening on http://127\.0\.0\.1:(\d+), admin on http://127\.0\.0\.1:(\d+)"
)


class Command:
    """A ``python -m gateway`` process."""

    def __init__(self, process):
        self._process = process
        self._out = self._err = ""
        self.pid = process.pid

    async def ended(self):
        """Return exit status, standard output and standard error."""
        out, err = await self._process.communicate()
        return self._process.returncode, self._out + out.decode(), self._err + err.decode()

    @property
    def port(self):
        """The port it says it listens on."""
        return int(LISTENING.search(self._err)[1])

    @property
    def admin_port(self):
        """The admin port it says it has."""
        return int(LISTENING.search(self._err)[2])

    async def prints(self, text):
        """Wait until a line of standard output holds this text."""
        while text not in self._out:
            self._out += await self._line(self._process.stdout)

    async def says(self, text):
        """Wait until a line of standard error holds this text."""
        while text not in self._err:
            self._err += await self._line(self._process.stderr)

    async def _line(self, stream):
        async with asyncio.timeout(60):
            line = await stream.readline()
        assert line, "the process has ended"
        return line.decode()

    def send(self, number):
        """Send a signal."""
        self._process.send_signal(number)


async def command(*arguments, **environ):
    """Start the command with nothing but these settings."""
    return Command(
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway",
            *arguments,
            env={**KEPT, **environ},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parent.parent,
        )
    )


def settings(provider, upstream, **more):
    """Return settings that work."""
    return {
        "ISSUER": provider.issuer,
        "CLIENT_ID": provider.client_id,
        "CLIENT_SECRET": provider.client_secret,
        "UPSTREAM_URL": upstream.url,
        "HOST": "127.0.0.1",
        "PORT": "0",
        "ADMIN_PORT": "0",
        **more,
    }


async def ready(gateway):
    """Wait until the gateway says that it is ready; return what else it says of itself."""
    await gateway.says("listening on")
    async with aiohttp.ClientSession(f"http://127.0.0.1:{gateway.admin_port}") as session:

        async def is_ready():
            async with session.get("/readyz") as response:
                return response.status == 200

        await until_told(is_ready, within=60)
        return await (await session.get("/livez")).json()


@pytest.mark.parametrize(
    "arguments", [pytest.param((), id="bare"), pytest.param(("run",), id="run")]
)
async def test_run_serves_until_sigterm(provider, upstream, arguments):
    """``run``, also when it is not named, serves, and SIGTERM ends it with status 0."""
    environ = settings(provider, upstream)
    gateway = await command(*arguments, **environ)

    assert await ready(gateway) == {"status": "alive"}
    async with RawCaller(gateway.port) as caller:
        response = await caller.send(request("GET", "/", [basic("john", "doe")]))
    gateway.send(signal.SIGTERM)
    status, out, err = await gateway.ended()

    assert (response.status, status) == (200, 0)
    assert '"status":200' in out
    assert "Traceback" not in err


async def test_second_signal_ends_a_drain(provider, upstream):
    """While requests in flight are waited for, a second signal ends the process at once."""
    environ = settings(provider, upstream)
    provider.gate.clear()
    gateway = await command("run", **environ)
    await ready(gateway)
    async with RawCaller(gateway.port) as caller:
        await caller.write(request("GET", "/", [basic("john", "doe")]))
        await provider.token_called(1)
        gateway.send(signal.SIGINT)
        await gateway.says("draining")
        gateway.send(signal.SIGINT)
        status, _, err = await gateway.ended()

    assert status == 1
    assert "draining" in err
    assert "Traceback" not in err


async def test_every_configuration_problem_at_once():
    """Status 2, one line for each problem, before anything listens, and no value in it."""
    status, _, err = await (
        await command("run", PORT="many", AUTH_METHODS="basic", CACHE_SECRET="CANARY-short")
    ).ended()

    lines = err.splitlines()
    assert status == 2
    assert all(line.startswith("bearergate: ") for line in lines)
    named = {line.removeprefix("bearergate: ").partition(":")[0].split()[0] for line in lines}
    assert {"ISSUER", "UPSTREAM_URL", "PORT", "AUTH_METHODS", "CACHE_SECRET"} <= named
    assert "CANARY" not in err


async def test_check(tmp_path, provider, upstream):
    """``check`` reads file and environment, changes nothing and says that they are fine."""
    file = tmp_path / "gateway.yaml"
    file.write_text(
        f"issuer: {provider.issuer}\nupstream_url: {upstream.url}\n"
        "client_id: gateway\npassword_param_type: [header, query]\n"
    )

    status, out, err = await (
        await command("check", "--config", str(file), CLIENT_SECRET="gateway-secret")
    ).ended()

    assert (status, out) == (0, "the configuration is fine\n")
    assert "warning: password_param_type" in err
    assert provider.token_calls == []


async def test_check_finds_what_run_would(tmp_path):
    """``check`` ends with status 2 and names an unknown key of the file."""
    file = tmp_path / "gateway.yaml"
    file.write_text("isuer: https://sso.example/\n")

    status, _, err = await (await command("check", "--config", str(file))).ended()

    assert status == 2
    assert "isuer" in err


async def test_check_for_programs(provider, upstream):
    """``check --json`` has every problem and every warning, and no value of a secret."""
    environ = settings(provider, upstream, PASSWORD_PARAM_TYPE="header,query")
    status, out, err = await (await command("check", "--json", **environ)).ended()
    wrong, told, _ = await (await command("check", "--json", CLIENT_SECRET="CANARY")).ended()

    assert (status, err, wrong) == (0, "", 2)
    assert json.loads(out)["problems"] == []
    assert [each for each in json.loads(out)["warnings"] if "PASSWORD_PARAM_TYPE" in each]
    assert [each for each in json.loads(told)["problems"] if "ISSUER" in each]
    assert "CANARY" not in told


async def test_explain_ends_with_the_verdict(provider, upstream):
    """``explain`` ends with 0 for a request that goes on, with 1 for one that does not."""
    environ = settings(provider, upstream)
    asked = ("explain", "--json", "GET", "http://a.example/")
    status, out, err = await (await command(*asked, "--user", "john", **environ)).ended()
    refused, _, _ = await (await command(*asked, **environ)).ended()

    assert (status, err, refused) == (0, "", 1)
    assert json.loads(out)["status"] is None
    assert provider.token_calls == []
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param((), "there is no password: type it, pipe it, or name a file", id="nothing"),
        pytest.param(
            ("--password-file", "/nonexistent"),
            "/nonexistent cannot be read (No such file or directory)",
            id="no-file",
        ),
        pytest.param(("--password-file", sys.executable), "does not hold UTF-8 text", id="no-text"),
    ],
)
async def test_doctor_without_the_password(provider, upstream, arguments, said):
    """``doctor --user`` without a password is status 2, and nobody is asked."""
    environ = settings(provider, upstream)
    status, _, err = await (
        await command("doctor", "--user", "john", *arguments, **environ)
    ).ended()

    assert status == 2
    assert said in err
    assert provider.token_calls == []


@pytest.mark.parametrize("name", ["run", "check", "routes", "doctor", "explain", "demo"])
def test_help(capsys, name):
    """Each command says what it does."""
    with pytest.raises(SystemExit) as caught:
        cli.main([name, "--help"])
    listed = capsys.readouterr().out
    with pytest.raises(SystemExit):
        cli.main(["--help"])

    assert caught.value.code == 0
    what = listed.split("\n\n")[1].rstrip(".").lower()
    assert what in re.sub(r"\s+", " ", capsys.readouterr().out).lower()


@pytest.mark.parametrize("name", ["PORT", "ADMIN_PORT"])
async def test_address_in_use(provider, upstream, name):
    """A port somebody else has is status 2 and named."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environ = settings(provider, upstream, **{name: str(taken.getsockname()[1])})

        status, _, err = await (await command("run", **environ)).ended()

    assert status == 2
    assert f"{name}: 127.0.0.1:{environ[name]} cannot be listened on" in err


@pytest.mark.parametrize("name", ["HOST", "ADMIN_HOST"])
@pytest.mark.parametrize(
    "host", [pytest.param("192.0.2.1", id="of-others"), pytest.param("a..b", id="no-name")]
)
async def test_address_of_nobody_here(provider, upstream, name, host):
    """An address that is not this machine's is status 2, and the setting of the host is named."""
    environ = settings(provider, upstream, **{name: host})

    status, _, err = await (await command("run", **environ)).ended()

    assert status == 2
    assert f"{name}: {host}:" in err


async def test_pure_python_parser_is_refused(provider, upstream):
    """S5: without aiohttp's C parser the gateway does not start."""
    environ = settings(provider, upstream, AIOHTTP_NO_EXTENSIONS="1")

    status, _, err = await (await command("run", **environ)).ended()

    assert status == 2
    assert "C parser" in err


async def test_starts_without_a_provider_and_says_so(provider, upstream):
    """With the provider down the gateway runs, says why it is not ready, once, and recovers."""
    await provider.down()
    environ = settings(provider, upstream)
    gateway = await command("run", **environ)
    await gateway.says("does not answer well")
    await asyncio.sleep(2.5)  # for it to be said again, if it were
    await provider.up()
    await ready(gateway)
    gateway.send(signal.SIGTERM)
    status, _, err = await gateway.ended()

    assert status == 0
    assert err.count("does not answer well: the provider cannot be reached") == 1


def test_version(capsys):
    """``--version`` prints name and version."""
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])

    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("bearergate 0.")


def test_unknown_command(capsys):
    """A command that does not exist is status 2 and the list of those that do."""
    with pytest.raises(SystemExit) as caught:
        cli.main(["fly"])

    assert caught.value.code == 2
    assert "run" in capsys.readouterr().err


def test_problems_in_process(capsys, monkeypatch_free_environ):
    """The same problems, read in process."""
    assert cli.main(["check"]) == 2
    assert "ISSUER" in capsys.readouterr().err


@pytest.fixture
def monkeypatch_free_environ():
    """Run without settings in the environment, and put them back."""
    kept = dict(os.environ)
    os.environ.clear()
    yield
    os.environ.update(kept)


async def test_hung_up_callers_have_a_line(provider, upstream):
    """A caller that leaves before its answer has an access line with status 499."""
    environ = settings(provider, upstream)
    provider.gate.clear()
    gateway = await command("run", **environ)
    await ready(gateway)
    async with RawCaller(gateway.port) as caller:
        await caller.write(request("GET", "/", [basic("john", "doe")]))
        await provider.token_called(1)
        caller.reset()
    await gateway.prints('"status":499')
    provider.gate.set()
    await until(lambda: len(provider.token_calls) == 1)
    gateway.send(signal.SIGTERM)
    _, out, _ = await gateway.ended()

    assert '"status":499' in out


@pytest.mark.parametrize("arguments", [("check", "--schema"), ("routes",)], ids=" ".join)
async def test_reader_that_has_enough(arguments):
    """Output that nobody reads on ends the command, without a traceback."""
    read, written = os.pipe()
    os.close(read)
    good = {"ISSUER": "https://a.example", "UPSTREAM_URL": "http://b", "CLIENT_ID": "c"}
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        *arguments,
        env={**KEPT, **good, "CLIENT_SECRET": "d"},
        stdout=written,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
    )
    os.close(written)
    _, err = await started.communicate()

    assert (cli.FINE, b"") == (started.returncode, err)
