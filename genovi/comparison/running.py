"""Cells in processes of their own, a few at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from genovi.comparison.cells import CRASHED, Cell, Result, cells_of

_POLL = 0.1  # seconds
_GRACE = 5.0  # seconds between asking a process to end and ending it
_THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class _Running:
    cell: Cell
    process: subprocess.Popen[bytes]
    said: IO[bytes]


def run_cells(
    out: Path,
    cells: Sequence[Cell],
    *,
    jobs: int,
    threads: int,
    stopping: Callable[[], bool],
    done: Callable[[Result], None],
) -> bool:
    """Run cells until all are done or somebody asks to stop.

    Args:
        out: Folder of the benchmark, with the data of the cells.
        cells: What to run, in this order.
        jobs: Processes at once.
        threads: CPU threads of each.
        stopping: Whether to stop; asked ten times a second. Cells that run then are given up.
        done: Is told of every result.

    Returns:
        Whether all are done.
    """
    waiting, running = list(cells), list[_Running]()
    try:
        while waiting or running:
            if stopping():
                return False
            for one in [one for one in running if one.process.poll() is not None]:
                running.remove(one)
                done(_outcome(out, one))
            while waiting and len(running) < jobs:
                running.append(_start(out, waiting.pop(0), threads))
            if running:
                time.sleep(_POLL)
        return True
    finally:
        _end(running)
        for path in cells_of(out).glob(".tmp-*"):
            path.unlink(missing_ok=True)


def _start(out: Path, cell: Cell, threads: int) -> _Running:
    said = tempfile.TemporaryFile()  # noqa: SIM115 (closed in _outcome and _end)
    words = [str(out), cell.method, cell.protocol, str(cell.number), str(threads), str(os.getpid())]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "genovi.comparison.worker", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=said,
        env=os.environ | dict.fromkeys(_THREAD_LIMITS, str(threads)),
        start_new_session=True,  # Ctrl-C is for us: we say what becomes of the cells
    )
    return _Running(cell, process, said)


def _outcome(out: Path, one: _Running) -> Result:
    """The result that a process left, or one that says how it ended."""
    code = one.process.returncode
    one.said.seek(0)
    lines = one.said.read().decode(errors="replace").strip().splitlines()
    one.said.close()
    found = Result.read(out, one.cell)
    if code == 0 and found is not None:
        return found
    if code < 0:
        with suppress(ValueError):
            name = signal.Signals(-code).name
            why = f"ended by {name}" + (", as for want of memory" if name == "SIGKILL" else "")
            return _crash(out, one.cell, why)
    return _crash(out, one.cell, lines[-1] if lines else f"ended with code {code} and left no result")


def _crash(out: Path, cell: Cell, why: str) -> Result:
    result = Result(cell, CRASHED, why)
    result.write(out)
    return result


def _end(running: Sequence[_Running]) -> None:
    for one in running:
        one.process.terminate()
    limit = time.monotonic() + _GRACE
    for one in running:
        try:
            one.process.wait(max(0.0, limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            one.process.kill()
            one.process.wait()
        one.said.close()
