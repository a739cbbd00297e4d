"""Tables of ``genovi benchmark`` condensed for benchmarks/README.md: one line for each method, all fits side by side.

    python benchmarks/condensed.py DIR... --out TABLES

Each DIR is what a ``genovi benchmark --out DIR`` has finished so far. TABLES/NAME.md gets the table of DIR, NAME being
its last part, and ``python benchmarks/fill.py TABLES`` puts it into the page. Values of several seeds or splits stand
beside one another while there are at most three, else as mean and half the range.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from genovi.comparison.methods import METHODS

# measure, title, digits; the protocol is that of the cells which have the measure
COLUMNS = (
    ("knn", "20-NN", 3),
    ("mixture_nmi", "NMI, mixture of 20", 3),
    ("clusters_nmi", "NMI, own clusters", 3),
    ("elbo", "held-out ELBO", 2),
    ("gap", "gap", 2),
    ("new_knn", "20-NN, new", 3),
    ("new_elbo", "ELBO, new", 2),
    ("new_gap", "gap, new", 2),
    ("cpu_seconds", "CPU s", 0),
)
_BESIDE = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR")
    parser.add_argument("--out", type=Path, default=Path("benchmark-out"), metavar="TABLES")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for folder in arguments.folders:
        text = table(folder)
        (arguments.out / f"{folder.name}.md").write_text(text)
        print(f"{folder.name}\n{text}")


def table(folder: Path) -> str:
    """The lines of one benchmark: methods that have cells, in the order of ``genovi benchmark``."""
    found: dict[tuple[str, str], list[float]] = {}
    for path in sorted((folder / "cells").glob("*.json")):
        record = json.loads(path.read_text())
        cell = record["cell"]
        for measure, value in record["values"].items():
            # the time of the fits of everybody, which the table is of
            if value is not None and not (measure == "cpu_seconds" and cell["protocol"] == "inductive"):
                found.setdefault((cell["method"], measure), []).append(value)
    lines = ["| method | " + " | ".join(title for _, title, _ in COLUMNS) + " |", "| --- " * (len(COLUMNS) + 1) + "|"]
    for method in (name for name in METHODS if any(name == of for of, _ in found)):
        cells = [shown(found.get((method, measure), []), digits) for measure, _, digits in COLUMNS]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def shown(values: list[float], digits: int) -> str:
    if len(values) > _BESIDE:
        return f"{np.mean(values):z.{digits}f} ± {np.ptp(values) / 2:.{digits}f}"
    return ", ".join(f"{value:z.{digits}f}" for value in values)


if __name__ == "__main__":
    main()
