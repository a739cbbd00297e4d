"""Bar: training progress on standard error, in notebooks and scripts."""

from __future__ import annotations

import math
from typing import Any

from genovi.training.monitor import EpochRecord, Monitor


class Bar(Monitor):
    """A bar with the held-out bound; it is taken away when training ends, by whatever."""

    def __init__(self) -> None:
        self._bar: Any = None

    def begin(self, epochs: int, done: int = 0) -> None:
        """Training starts."""
        from tqdm import tqdm

        self._bar = tqdm(total=epochs, initial=done, desc="training", unit="epoch", leave=False, mininterval=0.5)

    def epoch(self, record: EpochRecord) -> None:
        """One epoch is over."""
        self._bar.update(record.epoch - self._bar.n)
        if math.isfinite(record.held_out):
            self._bar.set_postfix_str(f"held-out bound {record.held_out:.2f}", refresh=False)

    def settle(self, steps: int) -> None:
        """The posterior alone goes on."""
        self._bar.set_description_str("the posterior settles")

    def end(self, reason: str) -> None:
        """Training is over."""
        self._bar.close()
