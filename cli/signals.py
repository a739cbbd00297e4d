"""Signals that ask training to save its state and stop: Ctrl-C, and what batch systems send before they end a job."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

_STOPPING = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1") if hasattr(signal, name)]


class StopSignals:
    """Between ``install`` and ``restore`` a first signal is only noted; a second one ends the program at once."""

    def __init__(self) -> None:
        self.received = False
        self._before: dict[int, Any] = {}

    def install(self) -> None:
        """Note signals from now on; outside of the main thread, where Python forbids it, nothing happens."""
        for number in _STOPPING:
            try:
                self._before.setdefault(number, signal.signal(number, self._note))
            except ValueError:
                return

    def restore(self) -> None:
        """Give all signals back to who had them."""
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = True
        for other, before in self._before.items():
            # SIGUSR1 ended programs before, without a word: now as SIGTERM does
            again = self._before.get(signal.SIGTERM, before) if other == getattr(signal, "SIGUSR1", None) else before
            signal.signal(other, again)
