"""Settling: when training has found its model, q alone is brought to its optimum for that model.

Early stopping takes weights from the midst of training, where q still runs after a decoder that moves fast. Prior and
decoder, and with them p(z | x), log p(x) and the map, then stay as they are, while q takes some more steps at a rate
that falls to nothing:

    minimise over q alone   (the objective, beta = 1, at x + noise)  +  WEIGHT * sleep

With p fixed the best q(z | x) is the best at every x, so x need not be that of a sample: training samples with fresh
noise in every step, that of p(x | z), are as good, and new samples are like them. Nor can the sleep term be overfitted,
-E log q(y, z | x) over draws of (z, x) from the model. What was gained is measured in benchmarks/README.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from genovi.model.config import ModelConfig
from genovi.model.densities import Noise
from genovi.model.rows import Data
from genovi.model.vae import LatentModel
from genovi.ranks import Ranks
from genovi.training.batches import Batches
from genovi.training.config import TrainingConfig
from genovi.training.gradients import choose_gradients
from genovi.training.objectives import Objective
from genovi.training.optimiser import Adam

WEIGHT = 1.0  # of the sleep term, where training has one
_RAMP = 1 / 20


@dataclass(frozen=True)
class Settled:
    """What settling did.

    Attributes:
        steps: Optimiser steps.
        before: Bound E_q[w] of held-out samples before it, nats per sample.
        after: The same afterwards.
        kept: Whether the weights after it are those of the model: not if the bound fell or is not finite.
    """

    steps: int
    before: float
    after: float
    kept: bool


def settling_steps(model: ModelConfig, config: TrainingConfig, total: int, held_out: int) -> int:
    """Steps of settling after ``total`` planned ones.

    0 where q has no density or is a part of the prior, and where nobody is held out: nothing has then cut training off
    before its rate of learning fell to nothing, and nothing would tell whether settling serves.
    """
    if not model.has_density or model.prior == "vamp" or not held_out:
        return 0
    return math.ceil(config.settling * total)


class Settling:
    """Steps of the posterior alone.

    Args:
        model: With the weights to settle on, on its device.
        objective: What the model was trained by.
        batches: Of the training samples.
        noise: All draws.
        dreams: Whether the sleep term counts.
        peak: Peak rate of learning, that of training.
        steps: How many.
        ranks: Who share a step.
    """

    def __init__(
        self,
        model: LatentModel,
        objective: Objective,
        batches: Batches,
        noise: Noise,
        dreams: bool,
        peak: float,
        steps: int,
        ranks: Ranks,
    ) -> None:
        self._batches, self._noise, self._peak, self._steps = batches, noise, peak, steps
        self._likelihood = model.likelihood
        self._gradients = choose_gradients(model, objective, WEIGHT if dreams else 0.0, noise, ranks)
        own = list(model.posterior.parameters())
        of_q = {id(parameter) for parameter in own}
        self._others = [parameter for parameter in model.parameters() if id(parameter) not in of_q]
        self._optimiser = Adam(own)
        self._done = 0

    def run(self, most: float, interrupted: Callable[[int], None]) -> None:
        """Take the steps that are left.

        Args:
            most: Largest norm of a gradient.
            interrupted: Is told after every step how many were taken, and raises if no more are wanted.
        """
        for parameter in self._others:
            parameter.requires_grad_(False)
        while self._done < self._steps:
            for x in self._batches.epoch():
                if self._done == self._steps:
                    break
                self._step(x, most)
                interrupted(self._done)
        for parameter in self._others:
            parameter.requires_grad_(True)

    def tensors(self) -> dict[str, Tensor]:
        """The state but for the weights, which are the model's, and ``numbers``."""
        return {
            **self._optimiser.tensors(),
            "noise": self._noise.generator.get_state(),
            "batches": self._batches.generator.get_state(),
            "order": self._batches.order,
        }

    def numbers(self) -> dict[str, int]:
        """Steps taken, and batches of this pass handed out."""
        return {"settling": self._done, "settling_position": self._batches.position}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Put back what ``tensors`` and ``numbers`` gave."""
        self._optimiser.restore(tensors)
        self._noise.generator.set_state(tensors["noise"])
        self._batches.generator.set_state(tensors["batches"])
        self._batches.order = tensors["order"].to(self._batches.order)
        self._batches.position, self._done = int(numbers["settling_position"]), int(numbers["settling"])

    def _step(self, x: Data, most: float) -> None:
        self._gradients.compute(self._likelihood.noisier(x, self._noise), 1.0)
        for parameter in self._others:
            if parameter.grad is not None:
                parameter.grad.zero_()
        self._gradients.clip(most)
        ramp = min(1.0, (self._done + 1) / max(1.0, _RAMP * self._steps))
        fall = 0.5 * (1 + math.cos(math.pi * self._done / self._steps))
        self._optimiser.step(self._peak * ramp * fall)
        self._done += 1
