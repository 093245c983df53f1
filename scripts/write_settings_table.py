#!/usr/bin/env python3
"""Write the tables of settings into README.md and docs/configuration.md, between their markers.

Run it as ``python scripts/write_settings_table.py``.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Replace what stands between the markers by the generated tables."""
    sys.path.insert(0, str(ROOT))
    from gateway.settings import key_tables, settings_table  # noqa: PLC0415 - the path is set above

    write(ROOT / "README.md", {"settings": settings_table()})
    write(ROOT / "docs" / "configuration.md", key_tables())


def write(page: Path, tables: dict[str, str]) -> None:
    """Write each table between the two markers of its name."""
    text = page.read_text("utf-8")
    for name, table in tables.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            sys.exit(f"{page} lacks the lines {begin.strip()} and {end}")
        text = f"{before}{begin}\n{table}\n{end}{after}"
    page.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
