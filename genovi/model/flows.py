"""Normalising flows: posteriors iaf and hiaf, and a prior. The autoregressive transforms are those of zuko.

Inverse autoregressive flow, one pass to draw:

    z_0 ~ N(mu(x), diag sigma^2(x)),   z_s = exp(a_s(z_{s-1}, x)) z_{s-1} + b_s(z_{s-1}, x),   s = 1..S,   z = z_S
    log q(z | x) = log N(z_0; mu, sigma) - sum_s sum_j a_sj,      a_sj, b_sj: of the coordinates before j alone

The order of coordinates is turned round from step to step. A given z goes back in d passes for each step, exactly.

Two levels (hiaf), with an auxiliary variable y of the dimension of z:

    q(y, z | x) = q(y | x) q(z | y, x),  both inverse autoregressive flows;      r(y | z, x) Gaussian, learned

Sources: Kingma et al. (NeurIPS 2016), Ranganath, Tran, Blei (ICML 2016). Splines of the prior: Durkan et al. (NeurIPS
2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import zuko
from torch import Tensor, nn

from genovi.model.config import ModelConfig
from genovi.model.densities import Noise, normal_log_density
from genovi.model.networks import LOG_STD_RANGE, Encoder, initialise, perceptron, shrink
from genovi.model.posterior import START_LOG_STD, Path, Posterior, log_mean, repeat
from genovi.model.prior import Prior

STEPS = 4
CONTEXT = 64
WIDTH = 64
SPLINES = 3
BINS = 8
REACH = 6.0  # splines bend the square of +-REACH and leave the rest as it is


class Flow(nn.Module):
    """A stack of autoregressive transforms, given a context.

    Args:
        dimension: d.
        context: Numbers that every transform sees; 0 for none.
        steps: S.
        splines: Rational-quadratic splines in place of affine maps.
    """

    def __init__(self, dimension: int, context: int, steps: int, splines: bool = False) -> None:
        super().__init__()
        kind: dict[str, Any] = {}
        if splines:
            kind = {"univariate": _spline, "shapes": ((BINS,), (BINS,), (BINS - 1,))}
        order = torch.arange(dimension)
        with torch.random.fork_rng(devices=[]):  # weights that ``start`` draws anew
            self.transforms = nn.ModuleList(
                zuko.flows.MaskedAutoregressiveTransform(
                    dimension, context, order=order if s % 2 == 0 else order.flip(0), hidden_features=(WIDTH, WIDTH),
                    activation=nn.SiLU, **kind,
                )
                for s in range(steps)
            )  # fmt: skip

    def start(self, generator: torch.Generator) -> None:
        """Draw all weights from ``generator``, and begin near the identity."""
        for transform in self.transforms:
            # not always layers of torch: one coordinate alone gets a network of another kind, or numbers without one
            parameters = dict(transform.named_parameters())
            weights = [name for name in parameters if name.endswith("weight")]
            for name in weights:
                bound = parameters[name].shape[1] ** -0.5
                for part in (name, name.removesuffix("weight") + "bias"):
                    nn.init.uniform_(parameters.pop(part), -bound, bound, generator=generator)
            with torch.no_grad():
                if weights:
                    last = dict(transform.named_parameters())
                    last[weights[-1]].mul_(0.1)
                    last[weights[-1].removesuffix("weight") + "bias"].zero_()
                for numbers in parameters.values():
                    numbers.copy_(0.1 * torch.randn(numbers.shape, generator=generator))

    def push(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """z_0 to z_S, shape (..., d), and the log-determinant of the Jacobian, shape (...,)."""
        total = torch.zeros_like(z[..., 0])
        for transform in self.transforms:
            z, log_volume = transform(context).call_and_ladj(z)
            total = total + log_volume
        return z, total

    def pull(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """z_S to z_0, and the log-determinant of the Jacobian of this way back."""
        total = torch.zeros_like(z[..., 0])
        for transform in reversed(self.transforms):
            z, log_volume = transform(context).inv.call_and_ladj(z)
            total = total + log_volume
        return z, total


def _spline(*parameters: Tensor) -> Any:
    return zuko.transforms.MonotonicRQSTransform(*parameters, bound=REACH)


class FlowPosterior(Posterior):
    """Inverse autoregressive flow.

    Args:
        data_dim: k.
        config: Uses ``latent_dim`` and ``hidden``.
        generator: Draws the initial weights.
    """

    def __init__(self, data_dim: int, config: ModelConfig, generator: torch.Generator) -> None:
        super().__init__()
        d = config.latent_dim
        self.encoder = Encoder(data_dim, config.hidden, (d, d, CONTEXT), (None, START_LOG_STD, None))
        self.flow = Flow(d, CONTEXT, STEPS)
        initialise(self.encoder, generator)
        self.encoder.start()
        self.flow.start(generator)

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_std, context = self.encoder(x)
        return mean, log_std.clamp(*LOG_STD_RANGE), context

    def head(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._parts(x)[:2]

    def draw(self, x: Tensor, noise: Noise, draws: int | None = None) -> Path:
        mean, log_std, context = self._parts(x)
        first, log_density = noise.draw_with_density(repeat(mean, draws), log_std)
        z, log_volume = self.flow.push(first, context)
        return Path(z, torch.zeros_like(log_density), log_volume - log_density, (z,))

    def forward(self, x: Tensor, values: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        mean, log_std, context = self._parts(x)
        first, log_volume = self.flow.pull(values[0], context)
        log_density = normal_log_density(first, mean, log_std) + log_volume
        return torch.zeros_like(log_density), -log_density

    def sleep_loss(self, x: Tensor, z: Tensor, noise: Noise) -> Tensor:
        return self(x, (z,))[1]

    def log_marginal(self, x: Tensor, z: Tensor, noise: Noise, paths: int) -> Tensor:
        return -self(x, (z,))[1]


class HierarchicalFlowPosterior(Posterior):
    """Inverse autoregressive flows on two levels, with a learned reverse model.

    Args:
        data_dim: k.
        config: Uses ``latent_dim`` and ``hidden``.
        generator: Draws the initial weights.
    """

    def __init__(self, data_dim: int, config: ModelConfig, generator: torch.Generator) -> None:
        super().__init__()
        d = config.latent_dim
        self.encoder = Encoder(
            data_dim, config.hidden, (d, d, d, d, CONTEXT), (None, START_LOG_STD, 0.0, 0.0, None)
        )  # fmt: skip
        self.upper = Flow(d, CONTEXT, STEPS // 2)
        self.lower = Flow(d, CONTEXT + d, STEPS // 2)
        self.reverse = perceptron([data_dim + d, WIDTH, WIDTH, 2 * d])
        for module in (self.encoder, self.reverse):
            initialise(module, generator)
        self.encoder.start()
        self.upper.start(generator)
        self.lower.start(generator)
        shrink(self.reverse)

    def learned_reverse(self) -> list[str]:
        return [name for name, _ in self.named_parameters() if name.startswith("reverse.")]

    def head(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std, *_ = self.encoder(x)
        return mean, log_std.clamp(*LOG_STD_RANGE)

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        mean, log_std, upper_mean, upper_log_std, context = self.encoder(x)
        return mean, log_std.clamp(*LOG_STD_RANGE), upper_mean, upper_log_std.clamp(*LOG_STD_RANGE), context

    def _reverse(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of r(y | z, x)."""
        mean, log_std = self.reverse(torch.cat([_beside(x, z), z], dim=-1)).chunk(2, dim=-1)
        return mean, log_std.clamp(*LOG_STD_RANGE)

    def draw(self, x: Tensor, noise: Noise, draws: int | None = None) -> Path:
        mean, log_std, upper_mean, upper_log_std, context = self._parts(x)
        first, log_density = noise.draw_with_density(repeat(upper_mean, draws), upper_log_std)
        y, log_volume = self.upper.push(first, context)
        entropy = log_volume - log_density
        first, log_density = noise.draw_with_density(repeat(mean, draws), log_std)
        z, log_volume = self.lower.push(first, torch.cat([_beside(context, y), y], dim=-1))
        chain = normal_log_density(y, *self._reverse(x, z)) + log_volume - log_density
        return Path(z, chain, entropy, (y, z))

    def forward(self, x: Tensor, values: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        y, z = values
        _, _, upper_mean, upper_log_std, context = self._parts(x)
        first, log_volume = self.upper.pull(y, context)
        upper = normal_log_density(first, upper_mean, upper_log_std) + log_volume
        return normal_log_density(y, *self._reverse(x, z)) - self._lower(x, y, z), -upper

    def _lower(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """log q(z | y, x)."""
        mean, log_std, _, _, context = self._parts(x)
        first, log_volume = self.lower.pull(z, torch.cat([_beside(context, y), y], dim=-1))
        return normal_log_density(first, mean, log_std) + log_volume

    def sleep_loss(self, x: Tensor, z: Tensor, noise: Noise) -> Tensor:
        # log r is no constant here: the divergence has to be brought down from both sides
        y, log_density = noise.draw_with_density(*self._reverse(x, z))
        chain, entropy = self(x, (y, z))
        return chain + entropy - (normal_log_density(y, *self._reverse(x, z)) - log_density)

    def log_marginal(self, x: Tensor, z: Tensor, noise: Noise, paths: int) -> Tensor:
        y = self.draw(x, noise, paths).values[0]
        return torch.stack([log_mean(self._lower(x, y, each.expand_as(y))) for each in z])


def _beside(constant: Tensor, values: Tensor) -> Tensor:
    """``constant``, shape (batch, c), repeated along the leading axes of ``values``, shape (..., batch, d)."""
    return constant.expand(*values.shape[:-1], constant.shape[-1])


class FlowPrior(Prior):
    """Neural spline flow: z_0 ~ N(0, I), z = f(z_0); one cluster.

    Args:
        dimension: d.
        generator: Draws the initial weights.
    """

    def __init__(self, dimension: int, generator: torch.Generator) -> None:
        super().__init__()
        self.flow = Flow(dimension, 0, SPLINES, splines=True)
        self.flow.start(generator)
        self.register_buffer("zero", torch.zeros(dimension), persistent=False)
        self.zero: Tensor

    def log_density(self, z: Tensor) -> Tensor:
        first, log_volume = self.flow.push(z, None)  # the quick direction, to the normal
        return normal_log_density(first, self.zero, self.zero) + log_volume

    def sample(self, n: int, noise: Noise) -> Tensor:
        zero = self.zero.expand(n, -1)
        return self.flow.pull(noise.draw(zero, zero), None)[0]

    def cluster_probabilities(self, z: Tensor) -> Tensor:
        return torch.ones_like(z[..., :1])
