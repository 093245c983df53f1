"""How problems, warnings and routes are shown: in colour on a terminal, else as plain lines.

The library for terminals is loaded for a terminal alone.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from gateway.settings.listing import describe_routes, routes_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TextIO

    from rich.console import Console

    from gateway.settings.overlay import RoutePlan

_WARNING = "warning: "


def tell_all(problems: Sequence[str]) -> None:
    """Print problems to standard error, each on its line, and on a terminal how many they are."""
    for problem in problems:
        tell(problem)
    console = _console(sys.stderr)
    if console is not None and len(problems) > 1:
        console.print(f"{len(problems)} problems", style="bold red")


def tell(line: str) -> None:
    """Print a problem or a warning to standard error; on a terminal its place stands out."""
    console = _console(sys.stderr)
    if console is None:
        sys.stderr.write(f"bearergate: {line}\n")
        return
    from rich.text import Text  # noqa: PLC0415 - as in `_console`

    kind = _WARNING if line.startswith(_WARNING) else ""
    place, colon, rest = line.removeprefix(kind).partition(": ")
    style = ("bold yellow" if kind else "bold red") if colon else ""
    console.print(Text.assemble(("bearergate: ", "dim"), kind, (place, style), colon, rest))


def tell_fine(plans: Sequence[RoutePlan], warnings: int) -> None:
    """Print that the configuration can be run, and on a terminal what it has."""
    console = _console(sys.stdout)
    if console is None:
        print_plain("the configuration is fine")
        return
    public = sum(each.public for each in plans)
    counted = [_count(len(plans), "route"), *([f"{public} public"] if public else [])]
    counted += [_count(warnings, "warning")] if warnings else []
    style = "yellow" if warnings else "green"
    console.print(f"[bold {style}]the configuration is fine[/] [dim]({', '.join(counted)})[/]")


def tell_routes(plans: Sequence[RoutePlan]) -> None:
    """Print the routes in their order as a table; on a terminal it is as wide as that."""
    console = _console(sys.stdout)
    if console is None:
        print_plain(routes_table(plans).removesuffix("\n"))
        return
    from rich.table import Table  # noqa: PLC0415 - as in `_console`
    from rich.text import Text  # noqa: PLC0415 - as above

    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("name", "takes", "upstream", "callers", "rules"):
        table.add_column(name, overflow="fold")
    for route in describe_routes(plans):
        style = "" if route["auth_methods"] else "bold yellow"
        callers, *more = _cells(route)
        table.add_row(Text(route["name"], "bold"), *map(Text, more[:2]), Text(callers, style),
                      Text(more[2]))  # fmt: skip
    console.print(table, soft_wrap=False)


def print_plain(text: str) -> None:
    """Print to standard output; that nobody reads on ends nothing."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _cells(route: dict[str, Any]) -> tuple[str, str, str, str]:
    """Return who may call a route, what it takes, where that goes and what is asked of tokens."""
    takes = [", ".join(route[each]) for each in ("hosts", "paths", "methods") if route[each]]
    callers = list(route["auth_methods"]) or ["public"]
    if route["provider"] not in {None, "default"}:
        callers.append(f"at {route['provider']}")
    return (
        "\n".join(callers),
        "\n".join(takes) or "every request",
        route["upstream"],
        "\n".join(route["rules"]) or "-",
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _console(stream: TextIO) -> Console | None:
    """Return what writes to a terminal, if the stream is one; it wraps no lines."""
    if not stream.isatty():
        return None
    from rich.console import Console  # noqa: PLC0415 - programs that run `check` need no colours

    return Console(file=stream, soft_wrap=True, highlight=False)
