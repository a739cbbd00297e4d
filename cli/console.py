"""What people see while a command runs, and the log that stays.

Counts and warnings of the library go to stderr and into the log; results go to stdout. On a terminal training shows a
bar; elsewhere a line at about every tenth of the way.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genovi.files import atomic_path
from genovi.provenance import Provenance, peak_memory_mib
from genovi.training.monitor import EpochRecord, Monitor
from genovi_cli.signals import StopSignals

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

_log = logging.getLogger("genovi")
_progress = logging.getLogger("genovi.progress")


class RunLog(logging.Handler):
    """Collects what the library says, for a log file in the manner of plink2.

    Args:
        command: Name of the command, e.g. "train".
        options: Effective value of each option.
        provenance: The run's record.
    """

    def __init__(self, command: str, options: Mapping[str, Any], provenance: Provenance) -> None:
        super().__init__(logging.INFO)
        self._head = [f"genovi {provenance.genovi}", "Options in effect:", f"  {command}", *_option_lines(options), ""]
        self._provenance = provenance
        self._options = options
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        self._lines.append(_line(record))

    def text(self, results: Sequence[str] = ()) -> str:
        """The log so far, with ``results`` at its end, as the file holds it."""
        run = self._provenance
        finished = run.finished or time.strftime("%Y-%m-%dT%H:%M:%S%z")
        peak = run.peak_memory_mib or peak_memory_mib()
        facts = [
            f"Hostname: {run.host}",
            f"Working directory: {os.getcwd()}",
            f"Command: {run.command}",
            f"Start time: {run.started}",
            *([] if run.seed is None else [f"Random number seed: {run.seed}"]),
            f"Threads: {self._options.get('threads') or 'all'}",
            "",
        ]
        tail = ["", f"Peak memory: {peak:.0f} MiB", f"End time: {finished}"]
        return "\n".join([*self._head, *facts, *self._lines, *results, *tail]) + "\n"

    def write(self, path: Path, results: Sequence[str] = ()) -> None:
        """Write the log to ``path``."""
        with atomic_path(path) as temporary:
            temporary.write_text(self.text(results), encoding="utf-8")


def _option_lines(options: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, value in options.items():
        if value is None or value is False:
            continue
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            lines.append(f"  {flag}")
        else:
            words = value if isinstance(value, list | tuple) else [value]
            lines.append(f"  {flag} {' '.join(str(word) for word in words)}")
    return lines


def _line(record: logging.LogRecord) -> str:
    """One record as one line."""
    text = " ".join(record.getMessage().split())
    return f"Warning: {text}" if record.levelno >= logging.WARNING else text


class _Screen(logging.Handler):
    """Shows records on stderr, above the progress bar where there is one."""

    def __init__(self, console: Console | None) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        if self._console is None:
            print(_line(record), file=sys.stderr, flush=True)
        elif record.name != _progress.name:  # there the bar says it
            self._console.print(_line(record), markup=False, highlight=False, soft_wrap=True)


class Display(Monitor):
    """Where a command's messages and progress are shown.

    Args:
        quiet: Show warnings only.
        once: Hear one signal and no more, see ``StopSignals``.
    """

    def __init__(self, quiet: bool = False, once: bool = False) -> None:
        self._quiet = quiet
        self.console: Console | None = None
        self._bar: Progress | None = None
        self._epochs = 0
        self._held_out = float("nan")
        self._stop = StopSignals(once)
        if sys.stderr.isatty():
            from rich.console import Console

            self.console = Console(stderr=True)

    @property
    def stop_requested(self) -> bool:
        """Whether a signal asked to stop."""
        return self._stop.received

    def begin(self, epochs: int, done: int = 0) -> None:
        """Training starts; from here to its end signals ask it to save a checkpoint."""
        self._epochs = epochs
        self._stop.install()
        if self.console is None or self._quiet:
            return
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("training"),
            BarColumn(bar_width=28),
            TextColumn("epoch {task.completed}/{task.total}  {task.fields[bound]}"),
            TextColumn("at most"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=self.console,
            transient=True,
        )
        self._bar.add_task("training", total=epochs, completed=done, bound="")
        self._bar.start()

    def epoch(self, record: EpochRecord) -> None:
        """One epoch is over."""
        if record.held_out == record.held_out:  # not NaN
            self._held_out = record.held_out
        if math.isfinite(record.bound):
            bound = f"bound {record.bound:.2f}"
        else:  # a posterior without a density has none
            bound = f"reconstruction {record.reconstruction:.2f}"
        if self._held_out == self._held_out:
            bound += f", held out {self._held_out:.2f}"
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=record.epoch, bound=bound)
        if record.epoch % max(1, self._epochs // 10) == 0 or record.epoch == self._epochs:
            left = record.seconds / record.epoch * (self._epochs - record.epoch)
            _progress.info(
                "epoch %d of at most %d: %s nats per sample; at most %.0f s left",
                record.epoch,
                self._epochs,
                bound,
                left,
            )

    def settle(self, steps: int) -> None:
        """The posterior alone goes on."""
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._epochs, bound="the posterior settles")
        _progress.info("the posterior settles: %d steps more, prior and decoder as they are", steps)

    def end(self, reason: str) -> None:
        """Training is over."""
        self.close()
        _progress.info("training ended: %s", reason)

    def close(self) -> None:
        """Remove the bar, if there is one, and give signals back."""
        self._stop.restore()
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


@contextmanager
def reporting(display: Display, log: RunLog | None = None, *, quiet: bool = False) -> Iterator[None]:
    """Within it the library's messages, and Python's warnings, reach the screen and the log."""
    screen = _Screen(display.console)
    screen.setLevel(logging.WARNING if quiet else logging.INFO)
    handlers: list[logging.Handler] = [screen, *([log] if log is not None else [])]
    warnings = logging.getLogger("py.warnings")
    level = _log.level
    _log.setLevel(logging.INFO)
    logging.captureWarnings(True)
    for handler in handlers:
        _log.addHandler(handler)
        warnings.addHandler(handler)
    try:
        yield
    finally:
        display.close()
        for handler in handlers:
            _log.removeHandler(handler)
            warnings.removeHandler(handler)
        logging.captureWarnings(False)
        _log.setLevel(level)
