"""Fits of the model, with whichever posterior and objective: what loads torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from genovi.bounds import Bounds, measure_parts
from genovi.comparison.shared import CellData, People
from genovi.embedding import Embedding
from genovi.encoding import Components, encode
from genovi.model.config import ModelConfig
from genovi.placing import embedding_seed
from genovi.seeding import Seeds
from genovi.summaries import BOUND_DRAWS, measure_bounds
from genovi.training.config import TrainingConfig
from genovi.training.device import choose_device
from genovi.training.loop import fit
from genovi.training.monitor import Monitor
from genovi.training.outcome import Fit


@dataclass(frozen=True)
class ModelFit:
    """A trained model, where it places people, and how well it describes them.

    Attributes:
        fitted: Embedding of those in the fit.
        new: Embedding of those who are not; None where there are none.
        fit: The training.
        data: What it was given.
        seed: Of the fit.
    """

    fitted: Embedding
    new: Embedding | None
    fit: Fit
    data: CellData
    seed: int

    def bounds(self) -> Bounds:
        """Of new people; in the transductive protocol of those that training held out."""
        seed = Seeds(self.seed).integer("bounds")
        if self.data.new is None:
            return measure_bounds(self.fit, torch.as_tensor(self.data.fitted.x, dtype=torch.float32), seed)
        new = _components(self.data.new)
        parts = ((x, excess) for _, x, excess in new.parts())
        return Bounds.of(measure_parts(self.fit.model, parts, BOUND_DRAWS, seed), "new", len(new.x))

    def details(self) -> dict[str, Any]:
        """How training went, JSON-ready."""
        found = self.fit
        return {
            "epochs": len(found.history),
            "ended": found.reason,
            "device": found.device,
            "threads": found.threads,
        }


def fit_model(seed: int, data: CellData, model: ModelConfig, training: TrainingConfig) -> ModelFit:
    """Train as ``genovi train`` does, and place everybody.

    Raises:
        TrainingError: the loss became infinite or NaN.
        GenoviError: its other children, where settings do not suit or the device is not there.
    """
    found = fit(data.fitted.x, model, training, Seeds(seed), Monitor(), data.noise_floor)
    device, draws = choose_device("cpu"), embedding_seed(seed)

    def placed(people: People) -> Embedding:
        return encode(found.model, _components(people), people.names, draws, device)

    return ModelFit(placed(data.fitted), None if data.new is None else placed(data.new), found, data, seed)


def _components(people: People) -> Components:
    return Components(people.x, people.missing, people.excess if people.excess.size else None)
