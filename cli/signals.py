"""Signals that ask a command to stop and go on later: Ctrl-C, and what batch systems send before they end a job."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

from genovi.errors import InterruptedRunError

_STOPPING = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1") if hasattr(signal, name)]


class StopSignals:
    """Between ``install`` and ``restore`` a first signal is only noted; a second one ends the program at once.

    Args:
        once: Take no notice of further signals: launchers pass on to a process what it was sent itself.
    """

    def __init__(self, once: bool = False) -> None:
        self.received = False
        self._once = once
        self._before: dict[int, Any] = {}

    def install(self) -> None:
        """Note signals from now on; outside of the main thread, where Python forbids it, nothing happens."""
        for number in _STOPPING:
            try:
                self._before.setdefault(number, signal.signal(number, self._note))
            except ValueError:
                return

    def restore(self) -> None:
        """Give all signals back to who had them, but for those that are no longer heard."""
        if self._once and self.received:
            return
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = True
        if self._once:
            for other in self._before:
                signal.signal(other, signal.SIG_IGN)
            return
        for other, before in self._before.items():
            # SIGUSR1 ended programs before, without a word: now as SIGTERM does
            again = self._before.get(signal.SIGTERM, before) if other == getattr(signal, "SIGUSR1", None) else before
            signal.signal(other, again)


@contextlib.contextmanager
def stopping_at_once(what: str, fix: str) -> Iterator[None]:
    """Within it a stopping signal ends the command at once with exit code 75: what it leaves can be gone on with.

    Args:
        what: What was interrupted.
        fix: How to go on.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        for other in _STOPPING:  # a second signal must not break off what the first one sets going
            signal.signal(other, signal.SIG_IGN)
        raise InterruptedRunError(f"{what} stopped by {signal.Signals(number).name}", fix=fix)

    before: dict[int, Any] = {}
    try:
        for number in _STOPPING:
            before[number] = signal.signal(number, stop)
    except ValueError:  # not in the main thread
        pass
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
