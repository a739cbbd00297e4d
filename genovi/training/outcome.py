"""What training ends with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genovi.errors import TrainingError
from genovi.model.vae import LatentModel
from genovi.training.config import TrainingConfig
from genovi.training.monitor import EpochRecord
from genovi.training.settling import Settled


@dataclass(frozen=True)
class Fit:
    """A trained model and how it got there.

    Attributes:
        model: With the best weights by the held-out bound (the last ones where nothing is held out), on the CPU.
        history: One record for each epoch.
        held_out: Indices of the held-out samples.
        reason: Why training ended.
        settled: What settling did; None where there was none.
        device: Where it ran.
        threads: CPU threads it used.
    """

    model: LatentModel
    history: tuple[EpochRecord, ...]
    held_out: np.ndarray
    reason: str
    settled: Settled | None
    device: str
    threads: int


class DivergedError(TrainingError):
    """The loss is no longer finite. ``fit`` holds the last good weights."""

    def __init__(self, fit: Fit, epoch: int, lr: float) -> None:
        super().__init__(
            "the loss is not finite",
            where=f"epoch {epoch}",
            why="training cannot go on",
            fix=f"try --lr {min(lr / 3, TrainingConfig.lr):.1e}",
        )
        self.fit = fit
