#!/usr/bin/env python3
"""Write the table of settings into README.md, between its two markers.

Run it as ``python scripts/write_settings_table.py``.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BEGIN, END = "<!-- settings -->\n", "<!-- /settings -->"


def main() -> None:
    """Replace what stands between the markers by the generated table."""
    sys.path.insert(0, str(ROOT))
    from gateway.settings import settings_table  # noqa: PLC0415 - the path is set above

    before, _, rest = README.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        sys.exit(f"{README} lacks the lines {BEGIN.strip()} and {END}")
    README.write_text(f"{before}{BEGIN}\n{settings_table()}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
