"""``python -m genovi.comparison.worker DIR METHOD PROTOCOL NUMBER THREADS PARENT``: one cell in a process of its own.

So its memory can be told, and what crashes takes nothing else with it. Ends when its parent, process PARENT, is gone.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

_PATIENCE = 1.0  # seconds between two looks at the parent


def main() -> None:
    """Run the cell that the command line names."""
    out, method, protocol, number, threads, parent = sys.argv[1:]
    threading.Thread(target=_end_with, args=(int(parent),), daemon=True).start()
    from genovi.comparison.cells import Cell
    from genovi.comparison.fitting import run_cell
    from genovi.comparison.folder import read_manifest
    from genovi.comparison.shared import CellData, data_of
    from genovi.model.config import ModelConfig
    from genovi.training.config import TrainingConfig

    folder, cell = Path(out), Cell(method, protocol, int(number))
    identity = read_manifest(folder).identity
    training = TrainingConfig(**identity["training"], threads=int(threads))
    run_cell(folder, cell, CellData.load(data_of(folder, cell)), ModelConfig(**identity["model"]), training)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PATIENCE)
    os._exit(1)


if __name__ == "__main__":
    main()
