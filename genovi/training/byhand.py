"""Gradients of the default model written out: automatic differentiation spends more time on itself than on the sums.

With y_T .. y_0 = z_i drawn from q for each x_i of a batch, and dreams (x_j, y_j) drawn from the model, a step minimises

    -(1/B) sum_i [ log p(x_i|z_i) + beta (log p(z_i) + chain_i + entropy_i) ] - (lambda/D) sum_j log q(y_j | x_j).

Batch and dreams go through encoder and reverse chain together: rows of the batch come first, then those of the dreams.
The numbers are those of ``Elbo`` and ``LatentModel.sleep_loss`` but for rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genovi.model.densities import LOG_2PI, exp_of_shares, log_sum_exp
from genovi.model.diffusion import DiffusionPosterior
from genovi.model.likelihood import GaussianLikelihood
from genovi.model.mixtures import GaussianMixture
from genovi.model.networks import LOG_STD_RANGE, Denoiser
from genovi.model.vae import LatentModel


@dataclass(frozen=True)
class Batch:
    """Samples that a step looks at.

    Attributes:
        x: Components, shape (n, k).
        noise: Standard normal, for y_T .. y_0, shape (n, d) each.
        weight: Of each row in the mean over the batch, 1 / B.
        beta: Weight of all terms but the reconstruction.
    """

    x: Tensor
    noise: tuple[Tensor, ...]
    weight: float
    beta: float


@dataclass(frozen=True)
class Dreams:
    """Draws from the model, from which q learns; there may be none.

    Attributes:
        x: Components, noise included, shape (n, k).
        path: y_0 .. y_T by the noising process from z = y_0, shape (n, d) each.
        weight: Of each row in the mean over the dreams, 1 / D.
        sleep_weight: lambda.
    """

    x: Tensor
    path: tuple[Tensor, ...]
    weight: float
    sleep_weight: float


class GradientsByHand:
    """The gradient of a model that it ``suits``; from then on the ``grad`` of its parameters are parts of one array.

    Args:
        model: On its device already.
    """

    def __init__(self, model: LatentModel) -> None:
        posterior, prior, likelihood = model.posterior, model.prior, model.likelihood
        assert isinstance(posterior, DiffusionPosterior)
        assert isinstance(prior, GaussianMixture)
        assert isinstance(likelihood, GaussianLikelihood)
        self._posterior, self._prior, self._likelihood = posterior, prior, likelihood
        parameters = list(model.parameters())
        sizes = [p.numel() for p in parameters]
        self.flat = torch.zeros(sum(sizes), dtype=parameters[0].dtype, device=parameters[0].device)
        for p, part in zip(parameters, self.flat.split(sizes), strict=True):
            p.grad = part.view_as(p)
        self._encoder, self._decoder = _Layers(posterior.encoder.body), _Layers(likelihood.decoder)
        self._kernels = _Kernels(posterior.denoiser)
        # of r, by step
        self._keep, self._log_std = posterior.keep.flip(0).tolist(), posterior.noising_log_std.flip(0).tolist()

    @staticmethod
    def suits(model: LatentModel) -> bool:
        """Whether ``model`` has the parts that are written out here."""
        parts = (type(model.posterior), type(model.prior), type(model.likelihood))
        return parts == (DiffusionPosterior, GaussianMixture, GaussianLikelihood)

    @torch.no_grad()
    def clip(self, most: float) -> Tensor:
        """Scale the gradient down to a norm of at most ``most``; returns the norm that it had."""
        norm = torch.linalg.vector_norm(self.flat)
        self.flat.mul_((most / (norm + 1e-6)).clamp(max=1.0))
        return norm

    @torch.no_grad()
    def compute(self, batch: Batch, dreams: Dreams) -> Tensor:
        """Put the gradient in place.

        Returns:
            Means over all rows, of which these may be a part, of reconstruction, prior, chain, entropy and sleep term,
            shape (5,), in nats.
        """
        self.flat.zero_()
        schedule = self._posterior.schedule
        seen = torch.cat([batch.x, dreams.x]) / self._likelihood.scale
        encoded = self._encoder.forward(seen)
        z, raw, shift, factor, context = encoded.split(self._posterior.encoder.parts, dim=-1)
        raw_top = factor + math.log(schedule.spread[-1])
        mean = torch.add(shift, z, alpha=schedule.signal[-1])
        draws = [_Draw(mean, raw_top.clamp(*LOG_STD_RANGE), batch.noise[0], dreams.path[-1])]
        self._kernels.begin(z, raw.clamp(*LOG_STD_RANGE), context)
        for noise, t in zip(batch.noise[1:], reversed(range(schedule.steps)), strict=True):
            kernel = self._kernels.forward(t, torch.cat([draws[-1].value, dreams.path[t + 1]]))
            draws.append(_Draw(*kernel, noise, dreams.path[t]))
        values = draws[-1].value
        reconstruction, down = self._reconstruction(batch, values)
        prior, pull = self._prior_term(batch, values)
        chain, d_mean, d_top = self._chain(batch, dreams, draws, down.add_(pull))
        d_z, d_log_std, d_context = self._kernels.end()
        d_z.add_(d_mean, alpha=schedule.signal[-1])
        ends = [d_z, _inside(raw, d_log_std), d_mean, _inside(raw_top, d_top), d_context]
        self._encoder.backward(torch.cat(ends, dim=-1))
        sleep = torch.stack([draw.surprise for draw in draws]).sum()
        sums = torch.stack([reconstruction, prior, chain, -draws[0].log_q, sleep])
        # in place: weights sent to a GPU as a tensor would have it wait
        sums[:4].mul_(batch.weight)
        sums[4:].mul_(dreams.weight)
        return sums

    def _reconstruction(self, batch: Batch, z: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of log p(x | z), and the gradient of the loss for z."""
        log_noise, scale = self._likelihood.log_noise, self._likelihood.scale
        precision = torch.exp(-log_noise)
        residual = (batch.x - self._decoder.forward(z) * scale).mul_(precision)
        squares = residual.square().sum(0)
        _grad(log_noise).copy_((len(z) - squares) * batch.weight)
        total = -0.5 * squares.sum() - len(z) * (log_noise.sum() + 0.5 * LOG_2PI * len(scale))
        return total, self._decoder.backward(residual.mul_(precision * scale * -batch.weight), to_input=True)

    def _prior_term(self, batch: Batch, z: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of log p(z), and the gradient of the loss for z."""
        means = self._prior.means
        scores = self._prior.component_log_density(z)
        total = log_sum_exp(scores, dim=-1)
        shares = exp_of_shares(scores - total[:, None])
        tension = batch.beta * batch.weight * torch.exp(-2 * self._prior.log_std)
        torch.mul(means * shares.sum(0)[:, None] - shares.T @ z, tension, out=_grad(means))
        return total.sum(), (z - shares @ means) * tension

    def _chain(self, batch: Batch, dreams: Dreams, draws: list[_Draw], down: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """From z back to y_T.

        Args:
            batch: The samples.
            dreams: The dreams.
            draws: y_T .. y_0.
            down: Gradient of the loss for z of the batch.

        Returns:
            Sum of the chain's terms; gradient of the loss for mean and log standard deviation of q(y_T | x).
        """
        weights = batch.beta * batch.weight, dreams.sleep_weight * dreams.weight
        n, d = down.shape
        total = torch.zeros_like(draws[0].log_q)
        for t, (later, earlier) in enumerate(zip(draws[-2::-1], draws[:0:-1], strict=True)):
            apart = torch.sub(later.value, earlier.value, alpha=self._keep[t])
            precision = math.exp(-2 * self._log_std[t])
            total = total - 0.5 * precision * apart.square().sum() - n * d * (self._log_std[t] + 0.5 * LOG_2PI)
            total = total - earlier.log_q
            pull = apart.mul_(precision * weights[0])
            down = self._kernels.backward(t, *earlier.backward(down.sub(pull, alpha=self._keep[t]), *weights))[:n]
            down = down + pull
        return total, *draws[0].backward(down, *weights)


class _Draw:
    """A variable with its density q = N(mean, std^2): drawn for the batch, given for the dreams.

    Args:
        mean: Of batch and dreams, shape (n + m, d).
        log_std: Logarithm of the standard deviation, likewise.
        noise: Of the batch, shape (n, d).
        given: Values of the dreams, shape (m, d).
    """

    def __init__(self, mean: Tensor, log_std: Tensor, noise: Tensor, given: Tensor) -> None:
        n = len(noise)
        std = torch.exp(log_std)
        self._step = std[:n] * noise
        self._std = std[n:]
        self._residual = (given - mean[n:]).div_(self._std)
        self.value = mean[:n] + self._step
        constant = 0.5 * LOG_2PI * mean.shape[1]
        # with value = mean + std * noise the density depends on noise and std only
        self.log_q = -0.5 * noise.square().sum() - log_std[:n].sum() - n * constant
        self.surprise = 0.5 * self._residual.square().sum() + log_std[n:].sum() + len(given) * constant

    def backward(self, down: Tensor, weight: float, dream_weight: float) -> tuple[Tensor, Tensor]:
        """Gradients of the loss for mean and log standard deviation.

        Args:
            down: Gradient for the value, shape (n, d).
            weight: Of log q in the loss of the batch.
            dream_weight: Of -log q in that of the dreams.
        """
        mean = torch.cat([down, (self._residual / self._std).mul_(-dream_weight)])
        log_std = torch.cat([down * self._step - weight, (1 - self._residual.square()).mul_(dream_weight)])
        return mean, log_std


class _Silu:
    """silu(a) = a s, s = 1 / (1 + exp(-a)), whose gradient s + silu (1 - s) takes no other exponential."""

    def __init__(self, a: Tensor) -> None:
        self._sigmoid = torch.sigmoid(a)
        self.value = a * self._sigmoid

    def backward(self, down: Tensor) -> Tensor:
        slope = torch.add(self._sigmoid, self.value).addcmul_(self.value, self._sigmoid, value=-1)
        return slope.mul_(down)


class _Layers:
    """A perceptron (``networks.perceptron``) and its gradient."""

    def __init__(self, network: nn.Sequential) -> None:
        self._linear = [layer for layer in network if isinstance(layer, nn.Linear)]
        self._inputs: list[Tensor] = []
        self._silus: list[_Silu] = []

    def forward(self, x: Tensor) -> Tensor:
        self._inputs, self._silus = [x], []
        for layer in self._linear[:-1]:
            self._silus.append(_Silu(torch.addmm(layer.bias, self._inputs[-1], layer.weight.T)))
            self._inputs.append(self._silus[-1].value)
        return torch.addmm(self._linear[-1].bias, self._inputs[-1], self._linear[-1].weight.T)

    def backward(self, down: Tensor, to_input: bool = False) -> Tensor:
        """Put the gradients of weights in place; returns that of the input, if asked ``to_input``."""
        for i in reversed(range(len(self._linear))):
            _put(self._linear[i], down, self._inputs[i])
            if i > 0:
                down = self._silus[i - 1].backward(down @ self._linear[i].weight)
        return down @ self._linear[0].weight if to_input else down


class _Kernels:
    """The reverse kernels (``networks.Denoiser``) and their gradient, step by step: ``t`` counts from 0."""

    def __init__(self, denoiser: Denoiser) -> None:
        self._net = denoiser
        names = ("signal", "spread", "mean_z", "mean_y", "posterior_log_std")
        self._constants: list[list[float]] = [getattr(denoiser, name).flatten().tolist() for name in names]

    def begin(self, z: Tensor, log_std: Tensor, context: Tensor) -> None:
        """Take in what the encoder says; see ``Denoiser.prepare``."""
        self._z, self._log_std, self._context = z, log_std, _Silu(context)
        modulation = torch.addmm(self._net.modulation.bias, self._context.value, self._net.modulation.weight.T)
        scale, self._shift = modulation.chunk(2, dim=-1)
        self._scale = 1 + scale
        self._kept: dict[int, tuple[Tensor, Tensor, _Silu, _Silu, Tensor]] = {}
        self._d_z, self._d_log_std = torch.zeros_like(z), torch.zeros_like(log_std)
        self._d_modulation = torch.zeros_like(modulation)

    def forward(self, t: int, y: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of y_t given y_{t+1}, shape (n, d) each."""
        signal, spread, mean_z, mean_y, log_std = (values[t] for values in self._constants)
        net = self._net
        news = torch.sub(y, self._z, alpha=signal).div_(spread)
        inner = torch.addmm(net.inner.bias, news, net.inner.weight.T)
        first = _Silu(torch.addcmul(self._shift + net.step_offset[t], inner, self._scale))
        second = _Silu(torch.addmm(net.middle.bias, first.value, net.middle.weight.T))
        correction, factor = torch.addmm(net.outer.bias, second.value, net.outer.weight.T).chunk(2, dim=-1)
        raw = factor + (self._log_std if t == 0 else log_std)
        self._kept[t] = news, inner, first, second, raw
        mean = (self._z + correction).mul_(mean_z).add_(y, alpha=mean_y)
        return mean, raw.clamp(*LOG_STD_RANGE)

    def backward(self, t: int, d_mean: Tensor, d_log_std: Tensor) -> Tensor:
        """From gradients for what ``forward`` returned to that for y, shape (n, d)."""
        signal, spread, mean_z, mean_y, _ = (values[t] for values in self._constants)
        net, width = self._net, self._scale.shape[1]
        news, inner, first, second, raw = self._kept[t]
        d_log_std, d_guess = _inside(raw, d_log_std), d_mean * mean_z
        if t == 0:
            self._d_log_std = d_log_std
        d_outer = torch.cat([d_guess, d_log_std], dim=-1)
        _put(net.outer, d_outer, second.value)
        d_second = second.backward(d_outer @ net.outer.weight)
        _put(net.middle, d_second, first.value)
        d_first = first.backward(d_second @ net.middle.weight)
        _grad(net.step_offset)[t] = d_first.sum(0)
        self._d_modulation[:, :width].addcmul_(d_first, inner)
        self._d_modulation[:, width:].add_(d_first)
        d_inner = d_first * self._scale
        _put(net.inner, d_inner, news)
        d_news = d_inner @ net.inner.weight
        self._d_z.add_(d_guess).sub_(d_news, alpha=signal / spread)
        return (d_mean * mean_y).add_(d_news, alpha=1 / spread)

    def end(self) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients for what ``begin`` took in, after ``backward`` of all steps."""
        net = self._net
        _put(net.modulation, self._d_modulation, self._context.value)
        d_context = self._context.backward(self._d_modulation @ net.modulation.weight)
        return self._d_z, self._d_log_std, d_context


def _grad(parameter: Tensor) -> Tensor:
    """The place of a parameter's gradient."""
    assert parameter.grad is not None
    return parameter.grad


def _put(layer: nn.Linear, down: Tensor, x: Tensor) -> None:
    """Add the gradient of a linear layer, ``down`` being that of its output for the input ``x``."""
    _grad(layer.weight).addmm_(down.T, x)
    _grad(layer.bias).addmv_(down.T, down.new_ones(len(down)))  # the sum over rows, added in place


def _inside(raw: Tensor, down: Tensor) -> Tensor:
    """The gradient before ``raw`` was held within ``LOG_STD_RANGE``, ``down`` being that after it."""
    least, most = LOG_STD_RANGE
    return down.masked_fill((raw < least) | (raw > most), 0.0)
