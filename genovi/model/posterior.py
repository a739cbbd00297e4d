"""Posteriors q(z|x): the plain Gaussian, and the diffusion chain of DDVI.

    q(y_{0:T} | x) = q(y_T | x) prod_{t=1..T} q(y_{t-1} | y_t, x),        z = y_0

with q(y_T | x) Gaussian (encoder) and every reverse kernel q(y_{t-1} | y_t, x) Gaussian with learned mean and
variance (denoiser). The kernels are stochastic, so their densities are those of the distribution drawn from, and the
path log-weight built from them is a bound. T = 0 is the plain Gaussian posterior.
Source: Piriyakulkij, Wang, Kuleshov (AAAI 2025), section 3.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genovi.model.config import ModelConfig
from genovi.model.densities import Noise, normal_log_density
from genovi.model.networks import LOG_STD_RANGE, Denoiser, Encoder, Guess, initialise
from genovi.model.schedule import NoiseSchedule

START_LOG_STD = -2.0  # posteriors begin narrow, so that the decoder sees where samples are


@dataclass(frozen=True)
class Path:
    """A draw from q with the parts of its log-weight that belong to the posterior.

    Attributes:
        z: y_0, shape (..., batch, d).
        chain: sum_t log r(y_t | y_{t-1}) - log q(y_{t-1} | y_t, x), shape (..., batch); 0 without a chain.
        entropy: -log q(y_T | x), shape (..., batch).
    """

    z: Tensor
    chain: Tensor
    entropy: Tensor


class Posterior(nn.Module, ABC):
    """A distribution over z (and auxiliary variables) given x."""

    @abstractmethod
    def draw(self, x: Tensor, noise: Noise, draws: int | None = None) -> Path:
        """Reparametrised paths for each row of ``x`` (whitened data, shape (batch, k)).

        One path each, or ``draws`` of them along a new first axis.
        """

    @abstractmethod
    def sleep_loss(self, x: Tensor, z: Tensor, noise: Noise) -> Tensor:
        """-log q(y_{0:T} | x) of y drawn from r(. | z), shape (batch,); up to a constant, the sleep term."""


class GaussianPosterior(Posterior):
    """q(z | x) = N(mu(x), diag sigma^2(x)).

    Args:
        data_dim: k.
        config: Uses ``latent_dim`` and ``hidden``.
        generator: Draws the initial weights.
    """

    def __init__(self, data_dim: int, config: ModelConfig, generator: torch.Generator) -> None:
        super().__init__()
        d = config.latent_dim
        self.encoder = Encoder(data_dim, config.hidden, (d, d), (None, START_LOG_STD))
        initialise(self, generator)
        self.encoder.start()

    def _parameters_of(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.encoder(x)
        return mean, log_std.clamp(*LOG_STD_RANGE)

    def draw(self, x: Tensor, noise: Noise, draws: int | None = None) -> Path:
        mean, log_std = self._parameters_of(x)
        z, log_density = noise.draw_with_density(_repeat(mean, draws), log_std)
        return Path(z, torch.zeros_like(log_density), -log_density)

    def sleep_loss(self, x: Tensor, z: Tensor, noise: Noise) -> Tensor:
        mean, log_std = self._parameters_of(x)
        return -normal_log_density(z, mean, log_std)


class DiffusionPosterior(Posterior):
    """The reverse chain of DDVI, conditional on x in every step.

    Args:
        data_dim: k.
        config: Uses ``latent_dim``, ``hidden`` and ``steps``.
        generator: Draws the initial weights.
    """

    CONTEXT = 64

    def __init__(self, data_dim: int, config: ModelConfig, generator: torch.Generator) -> None:
        super().__init__()
        d = config.latent_dim
        self.schedule = NoiseSchedule.cosine(config.steps)
        self.encoder = Encoder(
            data_dim, config.hidden, (d, d, d, d, self.CONTEXT), (None, START_LOG_STD, 0.0, 0.0, None)
        )
        self.denoiser = Denoiser(d, self.CONTEXT, self.schedule)
        # constants of r, along the path from y_T to z, over any number of leading axes
        for name, values in (("keep", self.schedule.keep), ("noising_log_std", self.schedule.log_std)):
            self.register_buffer(name, torch.tensor(values[::-1]), persistent=False)
        self.keep: Tensor
        self.noising_log_std: Tensor
        initialise(self, generator)
        self.encoder.start()
        self.denoiser.start(generator)

    def _first(self, x: Tensor) -> tuple[Guess, Tensor, Tensor]:
        """The guess of z, and mean and log standard deviation of q(y_T | x), which starts as r(y_T | z = guess)."""
        z, log_std, shift, factor, context = self.encoder(x)
        guess = self.denoiser.prepare(z, log_std.clamp(*LOG_STD_RANGE), context)
        top_log_std = (math.log(self.schedule.spread[-1]) + factor).clamp(*LOG_STD_RANGE)
        return guess, self.schedule.signal[-1] * z + shift, top_log_std

    def draw(self, x: Tensor, noise: Noise, draws: int | None = None) -> Path:
        guess, mean, log_std = self._first(x)
        y, first = noise.draw_with_density(_repeat(mean, draws), log_std)
        path, reverse = [y], torch.zeros_like(first)
        for t in reversed(range(self.schedule.steps)):
            y, log_density = noise.draw_with_density(*self.denoiser(y, t, guess))
            path.append(y)
            reverse = reverse + log_density
        later, earlier = torch.stack(path[:-1]), torch.stack(path[1:])  # y_T..y_1 and y_{T-1}..y_0
        noising = normal_log_density(
            later, _along(self.keep, later) * earlier, _along(self.noising_log_std, later)
        ).sum(0)
        return Path(y, noising - reverse, -first)

    def sleep_loss(self, x: Tensor, z: Tensor, noise: Noise) -> Tensor:
        path = [z]
        for keep, log_std in zip(self.schedule.keep, self.schedule.log_std, strict=True):
            path.append(noise.draw(keep * path[-1], z.new_tensor(log_std)))
        y = torch.stack(path)
        guess, mean, log_std_top = self._first(x)
        step_mean, step_log_std = self.denoiser(y[1:], slice(None), guess)
        reverse = normal_log_density(y[:-1], step_mean, step_log_std).sum(0)
        return -normal_log_density(y[-1], mean, log_std_top) - reverse


def _along(values: Tensor, path: Tensor) -> Tensor:
    """One value for each step, shaped to multiply ``path`` of shape (T, ..., d)."""
    return values.view(-1, *[1] * (path.ndim - 1))


def _repeat(mean: Tensor, draws: int | None) -> Tensor:
    return mean if draws is None else mean.expand(draws, *mean.shape)


def build_posterior(data_dim: int, config: ModelConfig, generator: torch.Generator) -> Posterior:
    """The posterior that ``config`` names."""
    kinds = {"gaussian": GaussianPosterior, "ddvi": DiffusionPosterior}
    return kinds[config.posterior](data_dim, config, generator)
