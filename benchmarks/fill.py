"""Put the tables that the benchmarks wrote into benchmarks/README.md.

    python benchmarks/fill.py DIR

Each ``DIR/NAME.md`` takes the place of what stands between ``<!-- NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path


def main() -> None:
    page = Path(__file__).with_name("README.md")
    text = page.read_text(encoding="utf-8")
    for table in sorted(Path(sys.argv[1]).glob("*.md")):
        block = f"<!-- {table.stem} -->\n{table.read_text(encoding='utf-8').strip()}\n<!-- end -->"
        text = re.sub(rf"<!-- {table.stem} -->\n.*?<!-- end -->", lambda _, new=block: new, text, flags=re.DOTALL)
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
