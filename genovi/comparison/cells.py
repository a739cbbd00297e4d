"""Cells of a benchmark: one method fitted once, and what came of it, as files.

DIR/cells/METHOD.seedN.json             transductive: everybody is in the fit, seed N
DIR/cells/METHOD.seedN.embedding.tsv    its embedding
DIR/cells/METHOD.splitN.json            inductive: fitted to four fifths of the people, the others are new
DIR/cells/METHOD.splitN.embedding.tsv   embedding of the new ones
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from genovi.files import atomic_path

TRANSDUCTIVE, INDUCTIVE = "transductive", "inductive"
FINISHED, DIVERGED, FAILED, CRASHED = "finished", "diverged", "failed", "crashed"
STATES = (FINISHED, DIVERGED, FAILED, CRASHED)
_WORDS = {TRANSDUCTIVE: "seed", INDUCTIVE: "split"}


@dataclass(frozen=True)
class Cell:
    """One fit.

    Attributes:
        method: Its name.
        protocol: "transductive" or "inductive".
        number: Seed, or number of the split, which is the seed of the fits to it, too.
    """

    method: str
    protocol: str
    number: int

    @property
    def run(self) -> str:
        """Which fit of the method this is: "seed 1", "split 2"."""
        return f"{_WORDS[self.protocol]} {self.number}"

    @property
    def name(self) -> str:
        """Stem of the files: "ddvi.seed1"."""
        return f"{self.method}.{self.run.replace(' ', '')}"

    def result_in(self, out: Path) -> Path:
        """File of the numbers."""
        return cells_of(out) / f"{self.name}.json"

    def embedding_in(self, out: Path) -> Path:
        """File of the embedding."""
        return cells_of(out) / f"{self.name}.embedding.tsv"


@dataclass(frozen=True)
class Result:
    """What came of a cell.

    Attributes:
        cell: Which one.
        state: "finished", "diverged" (numbers became infinite), "failed" (the method refused the data) or "crashed"
            (the process ended, as for want of memory).
        why: What went wrong; "" where nothing did.
        values: Measures by name; those that there are.
        details: What else is worth keeping, JSON-ready.
    """

    cell: Cell
    state: str
    why: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        """Whether the same again would end in the same way; what crashed may go better next time."""
        return self.state != CRASHED

    def write(self, out: Path) -> None:
        """Keep the result in the benchmark's folder."""
        with atomic_path(self.cell.result_in(out)) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @staticmethod
    def read(out: Path, cell: Cell) -> Result | None:
        """The result of a cell; None where there is none, or none that can be read."""
        try:
            record = json.loads(cell.result_in(out).read_text(encoding="utf-8"))
            found = Result(Cell(**record.pop("cell")), **record)
        except (OSError, ValueError, TypeError, KeyError):
            return None
        complete = found.cell == cell and found.state in STATES
        if found.state == FINISHED:
            complete = complete and cell.embedding_in(out).is_file()
        return found if complete else None


def cells_of(out: Path) -> Path:
    """Folder of the cells."""
    return out / "cells"
