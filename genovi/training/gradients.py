"""The gradient of a step: by automatic differentiation, or written out for the model that it is written out for."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from genovi.model.densities import Noise
from genovi.model.diffusion import DiffusionPosterior
from genovi.model.rows import Data, components
from genovi.model.vae import LatentModel
from genovi.ranks import Ranks
from genovi.training.byhand import Batch, Dreams, GradientsByHand
from genovi.training.objectives import Elbo, Objective
from genovi.training.sharing import own_part, sum_gradients


class Gradients(ABC):
    """Puts the gradient of a step in place, the same on all ranks.

    Args:
        model: On its device already.
        sleep_weight: lambda; 0 for no dreams.
        noise: The stream that all draws of training come from.
        ranks: Who share the rows.
    """

    def __init__(self, model: LatentModel, sleep_weight: float, noise: Noise, ranks: Ranks) -> None:
        self.model, self.sleep_weight, self.noise, self.ranks = model, sleep_weight, noise, ranks

    @abstractmethod
    def compute(self, x: Data, beta: float) -> Tensor:
        """The gradient of the loss of a batch.

        Args:
            x: The whole batch, of which this rank takes its rows.
            beta: Weight of all terms but the reconstruction.

        Returns:
            Reconstruction, prior, chain, entropy and sleep term, shape (5,), in nats: the part of this rank in the
            means over batch and dreams.
        """

    @abstractmethod
    def clip(self, most: float) -> Tensor:
        """Scale the gradient down to a norm of at most ``most``; returns the norm that it had."""

    def dreams(self, batch: int) -> int:
        """How many draws from the model go with a batch."""
        most = self.model.likelihood.most_dreams
        return 0 if self.sleep_weight == 0 else batch if most is None else min(batch, most)


class AutomaticGradients(Gradients):
    """Of any objective and any model."""

    def __init__(
        self, model: LatentModel, objective: Objective, sleep_weight: float, noise: Noise, ranks: Ranks
    ) -> None:
        super().__init__(model, sleep_weight, noise, ranks)
        self.objective = objective

    def compute(self, x: Data, beta: float) -> Tensor:
        self.model.zero_grad(set_to_none=True)
        rows, share, noise = own_part(self.ranks, len(x), self.noise)
        loss, terms = self.objective.loss(self.model, x[rows], noise, beta)
        sleep = self._sleep(self.dreams(len(x)), loss)
        (share * loss + self.sleep_weight * sleep).backward()
        sum_gradients(self.model, self.ranks)
        with torch.no_grad():
            parts = (terms.reconstruction, terms.prior, terms.chain, terms.entropy)
            return torch.stack([*(share * part.mean() for part in parts), sleep])

    def clip(self, most: float) -> Tensor:
        return nn.utils.clip_grad_norm_(self.model.parameters(), most)

    def _sleep(self, n: int, like: Tensor) -> Tensor:
        if n == 0:
            return like.new_zeros(())
        rows, share, noise = own_part(self.ranks, n, self.noise)
        return share * self.model.sleep_loss(rows.stop - rows.start, noise)


class DefaultGradients(Gradients):
    """Of the default model, in some two thirds of the time; see genovi.training.byhand."""

    def __init__(self, model: LatentModel, sleep_weight: float, noise: Noise, ranks: Ranks) -> None:
        super().__init__(model, sleep_weight, noise, ranks)
        self._byhand = GradientsByHand(model)

    @torch.no_grad()
    def compute(self, x: Data, beta: float) -> Tensor:
        rows, _, noise = own_part(self.ranks, len(x), self.noise)
        seen = components(x)[rows]
        latent = seen.new_empty(len(seen), self.model.config.latent_dim)
        # the same draws in the same order as by automatic differentiation
        steps = tuple(noise.like(latent) for _ in range(self.model.config.steps + 1))
        terms = self._byhand.compute(Batch(seen, steps, 1 / len(x), beta), self._dream(self.dreams(len(x)), seen))
        sum_gradients(self.model, self.ranks)
        return terms

    def clip(self, most: float) -> Tensor:
        return self._byhand.clip(most)

    def _dream(self, n: int, like: Tensor) -> Dreams:
        d, steps = self.model.config.latent_dim, self.model.config.steps
        if n == 0:
            return Dreams(like[:0], (like.new_empty(0, d),) * (steps + 1), 0.0, 0.0)
        rows, _, noise = own_part(self.ranks, n, self.noise)
        posterior = self.model.posterior
        assert isinstance(posterior, DiffusionPosterior)
        z = self.model.prior.sample(rows.stop - rows.start, noise)
        x = self.model.likelihood.sample(z, noise)
        return Dreams(x, posterior.noised(z, noise).unbind(), 1 / n, self.sleep_weight)


def choose_gradients(
    model: LatentModel, objective: Objective, sleep_weight: float, noise: Noise, ranks: Ranks
) -> Gradients:
    """Those written out where they are those of ``objective`` for ``model``."""
    if type(objective) is Elbo and GradientsByHand.suits(model):
        return DefaultGradients(model, sleep_weight, noise, ranks)
    return AutomaticGradients(model, objective, sleep_weight, noise, ranks)
