"""How findings are shown: lines for people, coloured on a terminal, and JSON for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.text import Text

from gateway.doctor.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.doctor.findings import Finding

_STYLES: Final[Mapping[Severity, str]] = {
    Severity.FINE: "green",
    Severity.WARNING: "yellow",
    Severity.FAILURE: "bold red",
}


def tell(findings: Sequence[tuple[str, Finding]]) -> None:
    """Print each finding as a line, with its fix below; lines are never wrapped."""
    console = Console(soft_wrap=True, highlight=False)
    width = max((len(about) for about, _ in findings), default=0)
    for about, finding in findings:
        severity = Text(f"{finding.severity:<8}", _STYLES[finding.severity])
        console.print(Text.assemble(severity, f"  {about:<{width}}  {finding.what}"))
        if finding.fix:
            console.print(Text(" " * (width + 12) + finding.fix, "dim"))


def write_json(findings: Sequence[tuple[str, Finding]]) -> str:
    """Return the findings as JSON."""
    rows = [
        {"about": about, "severity": each.severity, "what": each.what, "fix": each.fix}
        for about, each in findings
    ]
    return json.dumps(rows, indent=2)
