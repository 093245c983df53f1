"""The page the run leaves behind: docs/benchmarks.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from gateway import __version__
from tests.benchmarks.machine import describe
from tests.benchmarks.site import CONFIGS, filled
from tests.benchmarks.tables import comparison_table
from tests.benchmarks.targets import figures_of, targets_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.benchmarks.comparison import Measured, Plan
    from tests.benchmarks.scenarios import Section

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
LOCAL_PATH = re.compile(r"(?<![\w.:@=/-])/(?:[\w.=@~+-]+/)+([\w.=@~+-]+)")
ADDRESS = re.compile(r"\bhttps?://\S+")


def cleaned(text: str) -> str:
    """Return the last line of a message without folders of this machine and addresses."""
    last = (text.strip() or "no message").splitlines()[-1].strip()
    return LOCAL_PATH.sub(r"\1", ADDRESS.sub("its registry", last))


def write(
    measured: Sequence[Measured],
    sections: Sequence[Section],
    missing: Mapping[str, str],
    *,
    plan: Plan,
    apart: bool,
) -> str:
    """Write the page."""
    figures = figures_of(measured)
    for section in sections:
        figures |= section.figures
    left_out = "".join(f"- {name}: {cleaned(why)}\n" for name, why in missing.items())
    programs = [
        f"{one.title.partition(' with ')[0]} {one.version}" for one in measured if one.version
    ]
    values = {
        "version": __version__,
        "machine": describe(),
        "programs": ", ".join(dict.fromkeys(programs)),
        "left_out": f"\nNot measured:\n\n{left_out}" if left_out else "",
        "targets": targets_table(figures),
        "comparison": comparison_table(measured),
        "rate": f"{plan.rate:,}",
        "turns": str(plan.turns),
        "apart": "" if apart else " (this machine has one core, so everything shared it)",
        "sections": "\n\n".join(f"## {one.title}\n\n{one.text}" for one in sections),
    }
    return filled((CONFIGS / "page.md").read_text("utf-8"), values)
