"""How an explanation is shown: lines for people, coloured on a terminal, and JSON for programs."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.explain import Explanation

_VERDICTS = {True: "holds", False: "does not hold", None: "depends on the claims: --claims FILE"}
_FIXES = {"--user": "name a user with --user NAME", "CACHE_SECRET": "set CACHE_SECRET"}


def tell(told: Explanation) -> None:
    """Print an explanation as lines of a name and a value; lines are never wrapped."""
    console = Console(soft_wrap=True, highlight=False)
    console.print(_verdict(told))
    for name, value in _lines(told):
        console.print(Text.assemble((f"  {name:<10}", "dim"), value))


def write_json(told: Explanation) -> str:
    """Return the explanation as JSON."""
    return json.dumps(dataclasses.asdict(told), indent=2)


def _verdict(told: Explanation) -> Text:
    if told.status is not None:
        return Text(f"{told.status} {told.error}: {told.reason}", "bold red")
    if told.undecided:
        return Text("goes on if the token satisfies the rules", "yellow")
    return Text("goes on to the upstream", "green")


def _lines(told: Explanation) -> Iterator[tuple[str, str]]:
    if told.route is None:
        return
    yield "route", told.route
    yield "upstream", told.upstream or ""
    yield "methods", ", ".join(told.methods) or "none: the route is public"
    if told.grants:
        yield "grant", ", then ".join(told.grants)
    if told.cache_key_id:
        yield "cache key", told.cache_key_id
    if told.cache_key_lacks:
        yield (
            "cache key",
            f"not known: {', and '.join(map(_FIXES.__getitem__, told.cache_key_lacks))}",
        )
    for rule in told.rules:
        yield "rule", f"{rule.rule} - {_VERDICTS[rule.holds]}"
    for challenge in told.challenges:
        yield "challenge", challenge
    for name in told.removed:
        yield "removed", name
    for line in told.added:
        yield "added", line
