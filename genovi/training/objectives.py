"""Objectives: what a step of training minimises.

    elbo    -E_q[ log p(x|z) + beta (log p(z) + chain + entropy) ]
    iwae    -E log (1/K) sum_k exp w_k                             Burda, Grosse, Salakhutdinov (ICLR 2016)
    aae     see genovi.model.adversarial                           for the posterior without a density

The gradient of iwae for q is doubly reparametrised (Tucker, Lawson, Gu, Maddison, ICLR 2019): with v_k the normalised
weights,

    d/d phi = sum_k u_k (dw_k / dy_k) (dy_k / d phi),      u_k = (1 - beta) v_k + beta v_k^2,      y_k: path k,

that is along the paths alone and not through the density of q, whose plain gradient drowns in noise as K grows
(Rainforth et al., ICML 2018). While beta < 1, w is log p(x|z) + beta (log p(z) + chain + entropy): the density of q
counts beta times in it, so that as much of its gradient, -beta (v_k - v_k^2), turns into one along the path. Prior,
decoder and a learned reverse model r take the usual sum_k v_k dw_k / d theta.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

import torch
from torch import Tensor

from genovi.model.adversarial import AdversarialPosterior
from genovi.model.config import ModelConfig
from genovi.model.densities import Noise
from genovi.model.posterior import Path
from genovi.model.rows import Data
from genovi.model.vae import BoundTerms, LatentModel
from genovi.training.config import TrainingConfig


class Objective(ABC):
    """The wake part of the loss."""

    @abstractmethod
    def loss(self, model: LatentModel, x: Data, noise: Noise, beta: float) -> tuple[Tensor, BoundTerms]:
        """A scalar whose gradient is to be followed, and the terms of w, shape (..., batch), for the record."""


class Elbo(Objective):
    """The evidence lower bound by one path for each sample."""

    def loss(self, model: LatentModel, x: Data, noise: Noise, beta: float) -> tuple[Tensor, BoundTerms]:
        terms, _ = model.terms(x, noise)
        return -terms.tempered(beta).mean(), terms


class ImportanceWeighted(Objective):
    """The importance-weighted bound of ``draws`` paths, with doubly reparametrised gradients.

    The value of the loss is not that of the bound; its gradient is.

    Args:
        draws: K.
    """

    def __init__(self, draws: int) -> None:
        self.draws = draws

    def loss(self, model: LatentModel, x: Data, noise: Noise, beta: float) -> tuple[Tensor, BoundTerms]:
        white = model.whiten(x)
        path = model.posterior.draw(white, noise, self.draws)
        chain, entropy = self._rescored(model, white, path.values)
        terms = model.path_terms(x, replace(path, chain=chain, entropy=entropy))
        log_weight = terms.tempered(beta)
        weight = torch.softmax(log_weight.detach(), dim=0)
        along = (1 - beta) * weight + beta * weight.square()
        along_paths = (along * log_weight).sum(0).mean()
        # the generative parameters have had u of their v so far
        fixed = tuple(value.detach() for value in path.values)
        z, none = fixed[-1], torch.zeros_like(chain)
        reverse = self._rescored(model, white, fixed)[0] if model.posterior.learned_reverse() else none
        rest = model.path_terms(x, Path(z, reverse, none, fixed))
        at_points = ((weight - along) * rest.tempered(beta)).sum(0).mean()
        return -along_paths - at_points, terms

    @staticmethod
    def _rescored(model: LatentModel, white: Tensor, values: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Chain and entropy of a path; no gradient reaches the parameters of q except along the path."""
        posterior = model.posterior
        learned = set(posterior.learned_reverse())
        fixed = {name: p for name, p in posterior.named_parameters() if name not in learned}
        chain, entropy = torch.func.functional_call(
            posterior, {name: p.detach() for name, p in fixed.items()}, (white, values)
        )
        return chain, entropy


class Adversarial(Objective):
    """Reconstruction, divergence by the discriminator, and the losses of discriminator and prior."""

    def loss(self, model: LatentModel, x: Data, noise: Noise, beta: float) -> tuple[Tensor, BoundTerms]:
        posterior = model.posterior
        assert isinstance(posterior, AdversarialPosterior)
        terms, z = model.terms(x, noise)
        with torch.no_grad():
            prior = model.prior.sample(len(z), noise)
        fit = model.prior.log_density(z.detach()).mean()
        loss = -terms.reconstruction.mean() + beta * (posterior.divergence(z) - fit)
        return loss + posterior.discrimination(z, prior), terms


def choose_objective(model: ModelConfig, config: TrainingConfig) -> Objective:
    """The objective that the two configurations name.

    Raises:
        ConfigError: it needs a density that the posterior does not have.
    """
    config.check_objective(model)
    if not model.has_density:
        return Adversarial()
    return ImportanceWeighted(config.draws) if config.objective == "iwae" else Elbo()
