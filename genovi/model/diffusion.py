"""The diffusion posterior of DDVI, and its simplified variant.

    q(y_{0:T} | x) = q(y_T | x) prod_{t=1..T} q(y_{t-1} | y_t, x),        z = y_0

with q(y_T | x) Gaussian (encoder) and every reverse kernel q(y_{t-1} | y_t, x) Gaussian with learned mean and
variance (denoiser). The kernels are stochastic, so their densities are those of the distribution drawn from, and the
path log-weight built from them is a bound. T = 0 is the plain Gaussian posterior. In the simplified variant the kernels
are q(y_{t-1} | y_t): x enters through y_T alone.
Source: Piriyakulkij, Wang, Kuleshov (AAAI 2025), section 3.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from genovi.model.config import ModelConfig
from genovi.model.densities import Noise, normal_log_density
from genovi.model.networks import LOG_STD_RANGE, Denoiser, Encoder, Guess, PriorDenoiser, initialise
from genovi.model.posterior import START_LOG_STD, Path, Posterior, log_mean, repeat
from genovi.model.schedule import NoiseSchedule

CONTEXT = 64


class Chain(Posterior):
    """What both variants share: the noising process and the way from y_T to z.

    Args:
        steps: T.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.schedule = NoiseSchedule.cosine(steps)
        # constants of r, along the path from y_T to z, over any number of leading axes
        for name, values in (("keep", self.schedule.keep), ("noising_log_std", self.schedule.log_std)):
            self.register_buffer(name, torch.tensor(values[::-1]), persistent=False)
        self.keep: Tensor
        self.noising_log_std: Tensor

    @abstractmethod
    def _first(self, x: Tensor) -> tuple[Guess | None, Tensor, Tensor]:
        """What the kernels need of x, and mean and log standard deviation of q(y_T | x)."""

    @abstractmethod
    def _kernel(self, y: Tensor, step: int | slice, guess: Guess | None) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of y_{t-1}; ``step`` as in ``Denoiser.forward``."""

    def _noising(self, later: Tensor, earlier: Tensor) -> Tensor:
        """sum_t log r(y_t | y_{t-1}) of y_T..y_1 and y_{T-1}..y_0, shape (T, ..., d) each."""
        return normal_log_density(later, _along(self.keep, later) * earlier, _along(self.noising_log_std, later)).sum(0)

    def draw(self, x: Tensor, noise: Noise, draws: int | None = None) -> Path:
        guess, mean, log_std = self._first(x)
        y, first = noise.draw_with_density(repeat(mean, draws), log_std)
        path, reverse = [y], torch.zeros_like(first)
        for t in reversed(range(self.schedule.steps)):
            y, log_density = noise.draw_with_density(*self._kernel(y, t, guess))
            path.append(y)
            reverse = reverse + log_density
        noising = self._noising(torch.stack(path[:-1]), torch.stack(path[1:]))
        return Path(y, noising - reverse, -first, tuple(path))

    def forward(self, x: Tensor, values: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        guess, mean, log_std = self._first(x)
        reverse = torch.zeros_like(values[0][..., 0])
        for t in range(self.schedule.steps):
            reverse = reverse + normal_log_density(values[-1 - t], *self._kernel(values[-2 - t], t, guess))
        noising = self._noising(torch.stack(list(values[:-1])), torch.stack(list(values[1:])))
        return noising - reverse, -normal_log_density(values[0], mean, log_std)

    def log_marginal(self, x: Tensor, z: Tensor, noise: Noise, paths: int) -> Tensor:
        guess, _, _ = self._first(x)
        mean, log_std = self._kernel(self.draw(x, noise, paths).values[-2], 0, guess)
        return torch.stack([log_mean(normal_log_density(each, mean, log_std)) for each in z])

    def noised(self, z: Tensor, noise: Noise) -> Tensor:
        """y_0..y_T of the noising process from z, shape (T + 1, ..., d)."""
        path = [z]
        # of the buffer, which is where z is: a number that is sent to a GPU would have it wait
        for keep, log_std in zip(self.schedule.keep, reversed(self.noising_log_std.unbind()), strict=True):
            path.append(noise.draw(keep * path[-1], log_std))
        return torch.stack(path)


class DiffusionPosterior(Chain):
    """The reverse chain of DDVI, conditional on x in every step.

    Args:
        data_dim: k.
        config: Uses ``latent_dim``, ``hidden`` and ``steps``.
        generator: Draws the initial weights.
    """

    def __init__(self, data_dim: int, config: ModelConfig, generator: torch.Generator) -> None:
        super().__init__(config.steps)
        d = config.latent_dim
        self.encoder = Encoder(data_dim, config.hidden, (d, d, d, d, CONTEXT), (None, START_LOG_STD, 0.0, 0.0, None))
        self.denoiser = Denoiser(d, CONTEXT, self.schedule)
        initialise(self, generator)
        self.encoder.start()
        self.denoiser.start(generator)

    def _first(self, x: Tensor) -> tuple[Guess | None, Tensor, Tensor]:
        # q(y_T | x) starts as r(y_T | z = guess)
        z, log_std, shift, factor, context = self.encoder(x)
        guess = self.denoiser.prepare(z, log_std.clamp(*LOG_STD_RANGE), context)
        top_log_std = (math.log(self.schedule.spread[-1]) + factor).clamp(*LOG_STD_RANGE)
        return guess, self.schedule.signal[-1] * z + shift, top_log_std

    def _kernel(self, y: Tensor, step: int | slice, guess: Guess | None) -> tuple[Tensor, Tensor]:
        assert guess is not None
        return self.denoiser(y, step, guess)

    def head(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z, log_std, *_ = self.encoder(x)
        return z, log_std.clamp(*LOG_STD_RANGE)

    def sleep_loss(self, x: Tensor, z: Tensor, noise: Noise) -> Tensor:
        y = self.noised(z, noise)
        guess, mean, log_std_top = self._first(x)
        step_mean, step_log_std = self._kernel(y[1:], slice(None), guess)
        reverse = normal_log_density(y[:-1], step_mean, step_log_std).sum(0)
        return -normal_log_density(y[-1], mean, log_std_top) - reverse


class SimpleDiffusionPosterior(Chain):
    """The simplified variant: q(y_T | x) prod_t q(y_{t-1} | y_t), and a sleep term of prior samples alone.

    The kernels cannot tell samples apart, so all that is known of x has to pass through y_T. The sleep term is
    -sum_t log q(y_{t-1} | y_t) of z ~ p(z), y ~ r(y | z), which teaches the kernels the prior and leaves the encoder.

    Args:
        data_dim: k.
        config: Uses ``latent_dim``, ``hidden`` and ``steps``.
        generator: Draws the initial weights.
    """

    def __init__(self, data_dim: int, config: ModelConfig, generator: torch.Generator) -> None:
        super().__init__(config.steps)
        d = config.latent_dim
        log_std = START_LOG_STD - 0.5 * math.log(
            config.steps + 1
        )  # of each kernel; together they begin as narrow as others
        self.encoder = Encoder(data_dim, config.hidden, (d, d), (None, log_std))
        self.denoiser = PriorDenoiser(d, self.schedule, log_std)
        initialise(self, generator)
        self.encoder.start()
        self.denoiser.start(generator)

    def _first(self, x: Tensor) -> tuple[Guess | None, Tensor, Tensor]:
        mean, log_std = self.head(x)
        signal = self.schedule.signal[-1]
        return None, signal * mean, log_std + math.log(signal)

    def _kernel(self, y: Tensor, step: int | slice, guess: Guess | None) -> tuple[Tensor, Tensor]:
        return self.denoiser(y, step)

    def head(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.encoder(x)
        return mean, log_std.clamp(*LOG_STD_RANGE)

    def sleep_loss(self, x: Tensor, z: Tensor, noise: Noise) -> Tensor:
        y = self.noised(z, noise)
        return -normal_log_density(y[:-1], *self._kernel(y[1:], slice(None), None)).sum(0)


def _along(values: Tensor, path: Tensor) -> Tensor:
    """One value for each step, shaped to multiply ``path`` of shape (T, ..., d)."""
    return values.view(-1, *[1] * (path.ndim - 1))
