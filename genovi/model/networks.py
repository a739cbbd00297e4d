"""Networks: encoder and decoder (multi-layer perceptrons) and the denoiser of the reverse chain."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genovi.model.schedule import NoiseSchedule

DENOISER_WIDTH = 64
_LOG_STD_RANGE = (-7.0, 2.0)


def perceptron(sizes: Sequence[int]) -> nn.Sequential:
    """Linear layers of the given sizes with SiLU between them."""
    layers: list[nn.Module] = []
    for i in range(len(sizes) - 1):
        layers.append(nn.Linear(sizes[i], sizes[i + 1]))
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


class Encoder(nn.Module):
    """x -> mean and log standard deviation of q(y_T | x), and a context for the reverse chain.

    Args:
        data_dim: k, number of principal components.
        latent_dim: d.
        hidden: Width.
        context: Size of the context; 0 for none.
    """

    def __init__(self, data_dim: int, latent_dim: int, hidden: int, context: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.context = context
        self.body = perceptron([data_dim, hidden, hidden, 2 * latent_dim + context])

    def start(self) -> None:
        """Begin with a narrow posterior (standard deviation exp(-2)), the same for every x."""
        head = self.body[-1]
        assert isinstance(head, nn.Linear)
        d = self.latent_dim
        with torch.no_grad():
            head.weight[d : 2 * d] *= 0.1
            head.bias[d : 2 * d] = -2.0

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        d = self.latent_dim
        mean, log_std, context = self.body(x).split([d, d, self.context], dim=-1)
        return mean, log_std.clamp(*_LOG_STD_RANGE), context


class Denoiser(nn.Module):
    """Mean and log standard deviation of q(y_{t-1} | y_t, x).

    Predicts z (not the noise: two-dimensional priors are nearly discrete), then takes the mean of
    r(y_{t-1} | y_t, z); the standard deviation is that of r(y_{t-1} | y_t, z) times a learned factor. The context of
    x modulates the first layer (FiLM); each step t has its own offset.

    Args:
        latent_dim: d.
        context: Size of the encoder's context.
        schedule: The noising process that is undone.
    """

    def __init__(self, latent_dim: int, context: int, schedule: NoiseSchedule) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.inner = nn.Linear(latent_dim, DENOISER_WIDTH)
        self.modulation = nn.Linear(context, 2 * DENOISER_WIDTH)
        self.middle = nn.Linear(DENOISER_WIDTH, DENOISER_WIDTH)
        self.outer = nn.Linear(DENOISER_WIDTH, 2 * latent_dim)
        self.step_offset = nn.Parameter(torch.zeros(schedule.steps, DENOISER_WIDTH))
        for name in ("signal", "mean_z", "mean_y", "posterior_log_std"):
            self.register_buffer(name, torch.tensor(getattr(schedule, name)), persistent=False)
        self.signal: Tensor
        self.mean_z: Tensor
        self.mean_y: Tensor
        self.posterior_log_std: Tensor

    def start(self, generator: torch.Generator) -> None:
        """Begin close to the chain that ignores x, with narrow steps (a factor exp(-1.5)); tell the steps apart."""
        with torch.no_grad():
            self.step_offset.copy_(0.1 * torch.randn(self.step_offset.shape, generator=generator))
            self.outer.weight *= 0.1
            self.outer.bias.zero_()
            self.outer.bias[self.latent_dim :] = -1.5

    def modulate(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and shift of the first layer, once for all steps, each of shape (..., width)."""
        scale, shift = self.modulation(nn.functional.silu(context)).chunk(2, dim=-1)
        return 1 + scale, shift

    def forward(self, y: Tensor, step: int | slice, modulation: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """One step, or all at once.

        Args:
            y: y_t, shape (batch, d), or for ``step`` a slice (T, batch, d).
            step: t - 1, or ``slice(None)`` for steps 1..T along the first axis of ``y``.
            modulation: From ``modulate``.

        Returns:
            Mean and log standard deviation of y_{t-1}, shapes as ``y``.
        """
        scale, shift = modulation

        def constant(values: Tensor) -> Tensor:
            return values[step] if isinstance(step, int) else values[step, None, None]

        offset = self.step_offset[step] if isinstance(step, int) else self.step_offset[step, None]
        hidden = nn.functional.silu(torch.addcmul(shift + offset, self.inner(y), scale))
        out = self.outer(nn.functional.silu(self.middle(hidden)))
        shape, spread = out.chunk(2, dim=-1)
        mean_z = constant(self.mean_z)
        # z = signal * y + shape, so the factor of y collects both ways that y enters
        mean = mean_z * shape + (constant(self.mean_y) + mean_z * constant(self.signal)) * y
        return mean, (constant(self.posterior_log_std) + spread).clamp(*_LOG_STD_RANGE)
