"""How a download is shown: a bar on a terminal, elsewhere a line at every tenth of a file."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from genovi.downloads import Watcher

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console
    from rich.progress import Progress

_progress = logging.getLogger("genovi.progress")
_STEP = 0.1
_SHORT = 10.0  # seconds between two lines, so that small files say nothing


class TransferBar(Watcher):
    """Shows one file after the other.

    Args:
        console: The terminal, None where there is none.
        quiet: Show nothing.
    """

    def __init__(self, console: Console | None, quiet: bool) -> None:
        self._console = None if quiet else console
        self._bar: Progress | None = None
        self._name, self._done, self._total = "", 0, 0
        self._said, self._when = 0, 0.0

    def __enter__(self) -> TransferBar:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.end()

    def begin(self, name: str, done: int, total: int | None) -> None:
        """A transfer starts or goes on."""
        self.end()
        self._name, self._done, self._total = name, done, total or 0
        self._said, self._when = done, time.monotonic()
        if done:
            _progress.info("%s: going on after %.1f MB", name, done / 1e6)
        if self._console is None:
            return
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._bar.add_task(name if len(name) <= 24 else f"{name[:21]}...", total=total, completed=done)
        self._bar.start()

    def advance(self, count: int) -> None:
        """Bytes came."""
        self._done += count
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0], count)
            return
        now = time.monotonic()
        if now - self._when >= _SHORT and self._done - self._said >= _STEP * self._total:
            rate = (self._done - self._said) / (now - self._when)
            of = f" of {self._total / 1e6:.1f}" if self._total else ""
            _progress.info("%s: %.1f%s MB, %.1f MB/s", self._name, self._done / 1e6, of, rate / 1e6)
            self._said, self._when = self._done, now

    def end(self) -> None:
        """The transfer is over."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
