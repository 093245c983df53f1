"""The ``bearergate`` command: run, demo, check, routes, explain, doctor."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from gateway import __version__, logs
from gateway.errors import ConfigurationError
from gateway.secret_input import read_file, read_secret
from gateway.settings import SettingsError, describe_routes, file_schema, load, telling

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from typing import Any

    from gateway.settings import Loaded

T = TypeVar("T")

FINE, FAILED, MISCONFIGURED = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 fine, 2 configuration error, 1 the rest."""
    arguments = _read(_parser(), argv)
    command = arguments.command or "run"
    try:
        return _COMMANDS[command](arguments)
    except SettingsError as error:
        telling.tell_all(error.problems)
        return MISCONFIGURED
    except ConfigurationError as error:
        telling.tell(str(error))
        return MISCONFIGURED
    except KeyboardInterrupt:
        return FINE


def _read(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments; of a file without ``--config`` it is said where that belongs."""
    arguments, rest = parser.parse_known_args(argv)
    if rest:
        name = rest[0]
        advice = ""
        if not name.startswith("-") and arguments.command != "demo" and not arguments.config:
            advice = f"; a file with settings is named with --config {name}"
        parser.error(f"unrecognized arguments: {' '.join(rest)}{advice}")
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bearergate",
        description="Basic in, Bearer out.",
        epilog="Settings are environment variables, or in a file: README.md has the list, and "
        "`bearergate check` says what is missing.",
    )
    parser.add_argument("--version", action="version", version=f"bearergate {__version__}")
    parser.set_defaults(config=None, watch=False)
    commands = parser.add_subparsers(dest="command", metavar="command")

    def add(name: str, what: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")

    run = add("run", "run the gateway (the default)")
    check = add("check", "read the configuration, print every problem")
    routes = add("routes", "print which requests go where")
    doctor = add("doctor", "ask provider and Redis whether it will work")
    explain = add("explain", "tell what would become of a request")
    demo = add("demo", "gateway, provider and upstream on loopback, to try")
    run.add_argument("--watch", action="store_true", help="reload FILE whenever it changes")
    check.add_argument("--schema", action="store_true", help="print the JSON Schema of FILE")
    _take_patient(doctor)
    _take_request(explain)
    for each in (check, routes, doctor, explain):
        each.add_argument("--json", action="store_true", help="print it for programs")
    for each in (run, check, routes, doctor, explain):
        each.add_argument("--config", type=Path, metavar="FILE", help="settings in YAML")
    for part, default in (("port", 8000), ("admin-port", 8001), ("provider-port", 9001)):
        demo.add_argument(f"--{part}", type=int, metavar="N", help=f"instead of {default}")
    return parser


def _take_patient(doctor: argparse.ArgumentParser) -> None:
    doctor.add_argument("--user", metavar="NAME", default="", help="log in as NAME too")
    doctor.add_argument(
        "--password-file", type=Path, metavar="FILE", help="of NAME; else typed or piped"
    )
    doctor.add_argument(
        "--admin-token-file", type=Path, metavar="FILE", help="a token that may read the realm"
    )


def _take_request(explain: argparse.ArgumentParser) -> None:
    explain.add_argument("method", metavar="METHOD")
    explain.add_argument("url", metavar="URL", help="as the caller writes it")
    explain.add_argument("--user", metavar="NAME", default="", help="whose credentials it carries")
    explain.add_argument("--claims", type=Path, metavar="FILE", help="what the token says, JSON")
    explain.add_argument(
        "--header", action="append", default=[], metavar="'NAME: VALUE'", help="a field it carries"
    )


def _load(arguments: argparse.Namespace) -> Loaded:
    loaded = load(arguments.config, os.environ)
    for warning in loaded.warnings:
        telling.tell(f"warning: {warning}")
    return loaded


def _check(arguments: argparse.Namespace) -> int:
    if arguments.schema:
        telling.print_plain(json.dumps(file_schema(), indent=2))
        return FINE
    if arguments.json:
        return _check_for_programs(arguments)
    loaded = _load(arguments)
    telling.tell_fine(loaded.routes, len(loaded.warnings))
    return FINE


def _check_for_programs(arguments: argparse.Namespace) -> int:
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    try:
        warnings = load(arguments.config, os.environ).warnings
    except SettingsError as error:
        problems = error.problems
    print(json.dumps({"problems": problems, "warnings": warnings}, indent=2))
    return MISCONFIGURED if problems else FINE


def _routes(arguments: argparse.Namespace) -> int:
    routes = _load(arguments).routes
    if arguments.json:
        telling.print_plain(json.dumps(describe_routes(routes), indent=2))
    else:
        telling.tell_routes(routes)
    return FINE


def _explain(arguments: argparse.Namespace) -> int:
    from gateway import explain  # noqa: PLC0415 - `check` need not load HTTP and rich
    from gateway.explain import telling as shown  # noqa: PLC0415 - as above

    loaded = _load(arguments)
    question = explain.Question(
        arguments.method,
        arguments.url,
        arguments.user,
        explain.read_claims(arguments.claims) if arguments.claims else None,
        tuple(explain.read_field(each) for each in arguments.header),
    )
    told = _ask(loaded, explain.explain(loaded, question))
    if arguments.json:
        print(shown.write_json(told))
    else:
        shown.tell(told)
    return FINE if told.status is None else FAILED


def _doctor(arguments: argparse.Namespace) -> int:
    from gateway import doctor  # noqa: PLC0415 - `check` need not load HTTP and rich
    from gateway.doctor import telling as shown  # noqa: PLC0415 - as above

    loaded = _load(arguments)
    token_file = arguments.admin_token_file
    asked = doctor.Asked(
        time.time,
        arguments.user,
        read_secret("password", arguments.password_file) if arguments.user else "",
        read_file(token_file) if token_file else "",
    )

    async def examine() -> list[tuple[str, doctor.Finding]]:
        return [each async for each in doctor.examine(loaded, asked)]

    findings = _ask(loaded, examine())
    if arguments.json:
        print(shown.write_json(findings))
    else:
        shown.tell(findings)
    return FAILED if doctor.has_failed(findings) else FINE


def _ask(loaded: Loaded, answering: Coroutine[Any, Any, T]) -> T:
    """Return the answer; of the log there are errors alone meanwhile."""
    logs.configure("error", loaded.settings.log_format)
    try:
        return asyncio.run(answering)
    finally:
        logs.close()


def _run(arguments: argparse.Namespace) -> int:
    from gateway.app import footing, serving  # noqa: PLC0415 - `check` need not load the servers

    loaded = _load(arguments)
    settings = loaded.settings
    _forbid_core_dumps()
    workers = footing.count_workers(settings)
    if workers == 1:
        logs.configure(settings.log_level, settings.log_format)
        return _until_done(serving.run(loaded, watch=arguments.watch))
    return _supervise(loaded, workers, watch=arguments.watch)


def _supervise(loaded: Loaded, workers: int, *, watch: bool) -> int:
    """Return the exit status of the supervisor, and in each worker that of the worker."""
    from gateway.app import footing, supervisor, worker  # noqa: PLC0415 - as in `_run`

    settings = loaded.settings
    # Without a thread to write them: the supervisor forks.
    logs.configure(settings.log_level, settings.log_format, threads=False)
    ground = footing.prepare(settings, loaded.routes, workers)
    outcome = supervisor.Supervisor(loaded, ground, workers, watch=watch).run()
    if isinstance(outcome, int):
        return outcome
    logs.configure(settings.log_level, settings.log_format, worker=outcome.number)
    return _until_done(worker.serve(outcome))


def _until_done(serving: Coroutine[Any, Any, None]) -> int:
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        try:
            runner.run(serving)
        except asyncio.CancelledError:
            return FAILED
    return FINE


def _demo(arguments: argparse.Namespace) -> int:
    from gateway import demo  # noqa: PLC0415 - only the demo needs it

    return demo.run(demo.DemoOptions(arguments.port, arguments.admin_port, arguments.provider_port))


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    """Return uvloop's event loop where it is installed."""
    try:
        import uvloop  # noqa: PLC0415 - optional: there is none on Windows and PyPy
    except ImportError:
        return None
    return uvloop.Loop


def _forbid_core_dumps() -> None:
    """Keep the passwords and tokens in memory out of core files."""
    try:
        import resource  # noqa: PLC0415 - there is none on Windows
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


_COMMANDS: Final[Mapping[str, Callable[[argparse.Namespace], int]]] = {
    "run": _run,
    "demo": _demo,
    "check": _check,
    "routes": _routes,
    "doctor": _doctor,
    "explain": _explain,
}
