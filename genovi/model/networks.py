"""Networks: encoder and decoder (multi-layer perceptrons) and the denoiser of the reverse chain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genovi.model.schedule import NoiseSchedule

DENOISER_WIDTH = 64
LOG_STD_RANGE = (-7.0, 2.0)


class _Linear(nn.Linear):
    """A linear layer without weights yet; ``initialise`` sets them.

    torch would draw them from the global generator. ``skip_init`` of torch avoids that too, but by way of its meta
    device, whose first use takes most of a second.
    """

    def reset_parameters(self) -> None:
        """Draw nothing."""


def linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer whose weights are not set yet."""
    return _Linear(inputs, outputs)


def perceptron(sizes: Sequence[int]) -> nn.Sequential:
    """Linear layers of the given sizes with SiLU between them."""
    layers: list[nn.Module] = []
    for i in range(len(sizes) - 1):
        layers.append(linear(sizes[i], sizes[i + 1]))
        if i < len(sizes) - 2:
            layers.append(nn.SiLU())
    return nn.Sequential(*layers)


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draw all linear layers anew from ``generator``: uniform in +-1/sqrt(fan in), biases too."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            bound = layer.in_features**-0.5
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            nn.init.uniform_(layer.bias, -bound, bound, generator=generator)


@torch.no_grad()
def shrink(network: nn.Sequential) -> None:
    """Make the last layer's outputs small: what they correct begins nearly as it is."""
    last = network[-1]
    assert isinstance(last, nn.Linear)
    last.weight *= 0.1
    last.bias.zero_()


class Encoder(nn.Module):
    """x -> parameters of the posterior, in parts.

    Args:
        data_dim: k, number of principal components.
        hidden: Width.
        parts: Sizes of the outputs.
        start: Constant that each part begins with; a part with a start begins nearly independent of x, None is left
            as drawn.
    """

    def __init__(self, data_dim: int, hidden: int, parts: Sequence[int], start: Sequence[float | None]) -> None:
        super().__init__()
        self.parts = list(parts)
        self.begin = list(start)
        self.body = perceptron([data_dim, hidden, hidden, sum(parts)])

    def start(self) -> None:
        """Set the starts; call after ``initialise``."""
        head = self.body[-1]
        assert isinstance(head, nn.Linear)
        at = 0
        with torch.no_grad():
            for size, begin in zip(self.parts, self.begin, strict=True):
                if begin is not None:
                    head.weight[at : at + size] *= 0.1
                    head.bias[at : at + size] = begin
                at += size

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.body(x).split(self.parts, dim=-1)


@dataclass(frozen=True)
class Guess:
    """What the encoder tells the reverse chain about x, computed once for all steps.

    Attributes:
        z: First guess of z, shape (batch, d).
        log_std: Logarithm of the standard deviation of the last kernel, q(z | y_1, x), shape (batch, d).
        scale: Factor of the denoiser's first layer, shape (batch, width).
        shift: Its offset, shape (batch, width).
    """

    z: Tensor
    log_std: Tensor
    scale: Tensor
    shift: Tensor


class Denoiser(nn.Module):
    """Reverse kernels q(y_{t-1} | y_t, x), t = 1..T.

    The mean is that of r(y_{t-1} | y_t, z) at z = guess(x) + correction(y_t, x, t); the standard deviation is that of
    the same kernel times a learned factor, and for t = 1 the encoder's own times a learned factor. The network sees
    what y_t adds to the guess, (y_t - sqrt(a_t) guess) / sqrt(1 - a_t), modulated by x (FiLM) and by the step.
    It starts near zero, where q(z|x) is the Gaussian posterior N(guess, std^2) and the chain costs nearly nothing: DDVI
    begins as the plain VAE and departs from it where that raises the bound.

    Args:
        latent_dim: d.
        context: Size of the encoder's context.
        schedule: The noising process that is undone.
    """

    def __init__(self, latent_dim: int, context: int, schedule: NoiseSchedule) -> None:
        super().__init__()
        self.inner = linear(latent_dim, DENOISER_WIDTH)
        self.modulation = linear(context, 2 * DENOISER_WIDTH)
        self.middle = linear(DENOISER_WIDTH, DENOISER_WIDTH)
        self.outer = linear(DENOISER_WIDTH, 2 * latent_dim)
        self.step_offset = nn.Parameter(torch.zeros(schedule.steps, DENOISER_WIDTH))
        for name in ("signal", "spread", "mean_z", "mean_y", "posterior_log_std"):
            constants = torch.tensor(getattr(schedule, name))[:, None, None]
            self.register_buffer(name, constants, persistent=False)
        self.signal: Tensor
        self.spread: Tensor
        self.mean_z: Tensor
        self.mean_y: Tensor
        self.posterior_log_std: Tensor

    def start(self, generator: torch.Generator) -> None:
        """Begin with small corrections; tell the steps apart."""
        with torch.no_grad():
            self.step_offset.copy_(0.1 * torch.randn(self.step_offset.shape, generator=generator))
            self.outer.weight *= 0.1
            self.outer.bias.zero_()

    def prepare(self, z: Tensor, log_std: Tensor, context: Tensor) -> Guess:
        """Collect what all steps need of x."""
        scale, shift = self.modulation(nn.functional.silu(context)).chunk(2, dim=-1)
        return Guess(z, log_std, 1 + scale, shift)

    def forward(self, y: Tensor, step: int | slice, guess: Guess) -> tuple[Tensor, Tensor]:
        """One step, or all at once.

        Args:
            y: y_t, shape (..., batch, d), or for ``step`` a slice (T, batch, d).
            step: t - 1, or ``slice(None)`` for steps 1..T along the first axis of ``y``.
            guess: From ``prepare``.

        Returns:
            Mean and log standard deviation of y_{t-1}, shapes as ``y``.
        """
        news = (y - self.signal[step] * guess.z) / self.spread[step]
        offset = self.step_offset[step] if isinstance(step, int) else self.step_offset[step, None]
        hidden = nn.functional.silu(torch.addcmul(guess.shift + offset, self.inner(news), guess.scale))
        correction, factor = self.outer(nn.functional.silu(self.middle(hidden))).chunk(2, dim=-1)
        mean = self.mean_z[step] * (guess.z + correction) + self.mean_y[step] * y
        if isinstance(step, int):
            log_std = guess.log_std if step == 0 else self.posterior_log_std[step]
        else:
            rest = self.posterior_log_std[1:].expand(-1, *guess.log_std.shape)
            log_std = torch.cat([guess.log_std[None], rest])
        return mean, (log_std + factor).clamp(*LOG_STD_RANGE)


class PriorDenoiser(nn.Module):
    """Reverse kernels q(y_{t-1} | y_t) that do not see x, t = 1..T.

    The mean is that of r(y_{t-1} | y_t, z) at z = y_t / sqrt(a_t) + correction(y_t, t): the chain begins by scaling y_T
    up to z. Every kernel begins with the same standard deviation in units of z.

    Args:
        latent_dim: d.
        schedule: The noising process that is undone.
        log_std: Logarithm of that standard deviation.
    """

    def __init__(self, latent_dim: int, schedule: NoiseSchedule, log_std: float) -> None:
        super().__init__()
        self.inner = linear(latent_dim, DENOISER_WIDTH)
        self.middle = linear(DENOISER_WIDTH, DENOISER_WIDTH)
        self.outer = linear(DENOISER_WIDTH, 2 * latent_dim)
        self.step_offset = nn.Parameter(torch.zeros(schedule.steps, DENOISER_WIDTH))
        begin = tuple(log_std + math.log(signal) for signal in (1.0, *schedule.signal[:-1]))
        constants = {name: getattr(schedule, name) for name in ("signal", "mean_z", "mean_y")} | {"base_log_std": begin}
        for name, values in constants.items():
            self.register_buffer(name, torch.tensor(values), persistent=False)
        self.signal: Tensor
        self.mean_z: Tensor
        self.mean_y: Tensor
        self.base_log_std: Tensor

    def start(self, generator: torch.Generator) -> None:
        """Begin with small corrections; tell the steps apart."""
        with torch.no_grad():
            self.step_offset.copy_(0.1 * torch.randn(self.step_offset.shape, generator=generator))
            self.outer.weight *= 0.1
            self.outer.bias.zero_()

    def forward(self, y: Tensor, step: int | slice) -> tuple[Tensor, Tensor]:
        """As ``Denoiser.forward``, without x."""

        def along(values: Tensor) -> Tensor:
            picked = values[step]
            return picked if isinstance(step, int) else picked.view(-1, *[1] * (y.ndim - 1))

        offset = self.step_offset[step]
        if not isinstance(step, int):
            offset = offset.view(len(offset), *[1] * (y.ndim - 2), -1)
        hidden = nn.functional.silu(self.inner(y) + offset)
        correction, factor = self.outer(nn.functional.silu(self.middle(hidden))).chunk(2, dim=-1)
        mean = along(self.mean_z) * (y / along(self.signal) + correction) + along(self.mean_y) * y
        return mean, (along(self.base_log_std) + factor).clamp(*LOG_STD_RANGE)
