"""Small models that the tests of genovi.model and genovi.training share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import reference
import torch
from reference import LinearGaussian, Mixture
from torch import Tensor, nn

from genovi.model.config import POSTERIORS, PRIORS, ModelConfig
from genovi.model.densities import Noise, normal_log_density
from genovi.model.mixtures import MixturePrior
from genovi.model.prior import Prior
from genovi.model.vae import LatentModel
from genovi.seeding import Seeds
from genovi.training.config import TrainingConfig
from genovi.training.objectives import choose_objective

DENSE = tuple(name for name in POSTERIORS if ModelConfig(posterior=name).has_density)
SLEEPING = tuple(name for name in POSTERIORS if ModelConfig(posterior=name).sleeps)
LEARNED_PRIORS = ("mixture", "normal", "mixture-free", "vamp", "flow")
GAUSSIAN_PRIORS = ("mixture", "normal", "mixture-free", "vamp")  # mixtures of Gaussians: quadratic log-densities
# every posterior with the default prior, and every prior with the two oldest posteriors
PAIRS = tuple(
    (posterior, prior)
    for posterior in POSTERIORS
    for prior in PRIORS
    if prior == "mixture" or posterior == "gaussian" or (posterior == "ddvi" and prior == "normal")
)
# what zuko's networks make slow to train; tests of long training leave these to `make verification`
LONG = ("iaf", "hiaf")
DENSE_PAIRS = tuple((posterior, prior) for posterior, prior in PAIRS if posterior in DENSE)


def each_posterior_of(names: Sequence[str]) -> pytest.MarkDecorator:
    """Parametrise by ``posterior`` for a test of long training."""
    marks = {name: [pytest.mark.verification] if name in LONG else [] for name in names}
    return pytest.mark.parametrize("posterior", [pytest.param(name, marks=marks[name]) for name in names])


def stream(seed: int, device: str = "cpu") -> torch.Generator:
    return torch.Generator(device=device).manual_seed(seed)


def jitter(module: nn.Module, seed: int, size: float) -> None:
    """Move every parameter a little, so that no symmetry of the initial values hides a mistake."""
    generator = stream(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += size * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)


def build_model(
    posterior: str = "ddvi",
    prior: str = "mixture",
    d: int = 2,
    k: int = 4,
    steps: int = 3,
    components: int = 5,
    hidden: int = 16,
    seed: int = 1,
    device: str = "cpu",
) -> LatentModel:
    """An untrained model in float64, all of its parameters away from their starts."""
    config = ModelConfig(
        latent_dim=d, posterior=posterior, prior=prior, steps=steps, components=components, hidden=hidden
    )
    scale = torch.linspace(2.0, 1.0, k)
    model = LatentModel(config, scale, stream(seed))
    jitter(model, seed + 1, 0.1)
    return model.double().to(device)


def data_from(model: LatentModel, n: int, seed: int) -> Tensor:
    """n draws of x from the model itself, shape (n, k)."""
    noise = noise_for(model, seed)
    with torch.no_grad():
        return model.likelihood.sample(model.prior.sample(n, noise), noise)


def noise_for(model: LatentModel, seed: int, shared: bool = False) -> Noise:
    return Noise(stream(seed, str(model.likelihood.log_noise.device)), shared)


@dataclass(frozen=True)
class Drawn:
    """One call of ``Noise.draw``: the value, and the mean and standard deviation it was drawn with."""

    value: np.ndarray
    mean: np.ndarray
    std: np.ndarray

    @property
    def scaled(self) -> np.ndarray:
        """Standard normal, if the value follows the mean and the deviation."""
        return (self.value - self.mean) / self.std

    @property
    def log_density(self) -> np.ndarray:
        return reference.normal_log_density(self.value, self.mean, self.std)


class Recorder(Noise):
    """Noise that keeps a record of every draw, or hands out given values in place of draws."""

    def __init__(self, generator: torch.Generator, values: Sequence[np.ndarray] = ()) -> None:
        super().__init__(generator)
        self.values = list(values)
        self.draws: list[Drawn] = []

    def draw(self, mean: Tensor, log_std: Tensor) -> Tensor:
        return self._record(super().draw(mean, log_std), mean, log_std)

    def draw_with_density(self, mean: Tensor, log_std: Tensor) -> tuple[Tensor, Tensor]:
        value, log_density = super().draw_with_density(mean, log_std)
        given = bool(self.values)
        value = self._record(value, mean, log_std)
        return value, normal_log_density(value, mean, log_std) if given else log_density

    def _record(self, value: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
        if self.values:
            value = torch.as_tensor(self.values[len(self.draws)], device=mean.device)
        self.draws.append(Drawn(numpy(value), numpy(mean), np.exp(numpy(log_std))))
        return value

    def path(self) -> list[np.ndarray]:
        """The values in the order of drawing."""
        return [drawn.value for drawn in self.draws]


@dataclass
class Calls:
    """What a function was called with."""

    arguments: list[tuple[Tensor, ...]] = field(default_factory=list)

    def spy(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def called(*arguments: Tensor) -> Tensor:
            self.arguments.append(arguments)
            return function(*arguments)

        return called


def numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().copy()


def mixture_of(prior: Prior, d: int) -> Mixture:
    """Weights, means and covariances of a prior, read from its component densities and not from its parameters.

    The log-density g of a Gaussian is quadratic: with H its second derivative, -H^-1 is the covariance, the mean is
    -H^-1 g'(0), and what g is at the mean beyond the peak of that Gaussian is the logarithm of the weight.
    """

    def densities(z: Tensor) -> Tensor:
        if isinstance(prior, MixturePrior):
            return prior.component_log_density(z)
        return prior.log_density(z)[..., None]

    device = next(prior.parameters(), next(prior.buffers(), None)).device
    origin = torch.zeros(d, dtype=torch.float64, device=device)
    weights, means, covariances = [], [], []
    for j in range(len(densities(origin))):

        def component(z: Tensor, j: int = j) -> Tensor:
            return densities(z)[j]

        covariance = -torch.linalg.inv(torch.autograd.functional.hessian(component, origin))
        mean = covariance @ torch.autograd.functional.jacobian(component, origin)
        peak = -0.5 * torch.logdet(2 * torch.pi * covariance)
        weights.append(torch.exp(component(mean) - peak).item())
        means.append(numpy(mean))
        covariances.append(numpy(covariance))
    return Mixture(np.array(weights), np.stack(means), np.stack(covariances))


class Square(nn.Module):
    """f(z) = z^2, the same in every data column: z and -z explain x equally well."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def forward(self, z: Tensor) -> Tensor:
        return z.square().sum(-1, keepdim=True).expand(*z.shape[:-1], self.k)


def linear_decoder(
    model: LatentModel, seed: int, noise_std: float = 0.7, matrix: np.ndarray | None = None
) -> LinearGaussian:
    """Give ``model`` a linear decoder, drawn at random unless given; returns the closed form of what results."""
    scale = numpy(model.likelihood.scale)
    d = model.config.latent_dim
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(len(scale), d)) if matrix is None else matrix / scale[:, None]
    layer = nn.Linear(d, len(scale), dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(weight))
        layer.bias.copy_(torch.as_tensor(rng.normal(size=len(scale))))
        log_noise = np.log(noise_std) + 0.2 * rng.normal(size=len(scale)) * (matrix is None)
        model.likelihood.log_noise.copy_(torch.as_tensor(log_noise))
    model.likelihood.decoder = layer.to(model.likelihood.log_noise.device)
    return LinearGaussian(
        prior=mixture_of(model.prior, d),
        matrix=scale[:, None] * numpy(layer.weight),
        offset=scale * numpy(layer.bias),
        noise_std=np.exp(log_noise),
    )


def can_learn(model: nn.Module) -> dict[str, Tensor]:
    """For each parameter, which of its entries the output depends on: masked weights of flows do nothing."""
    masks = {name.removesuffix("mask"): mask for name, mask in model.named_buffers() if name.endswith(".mask")}
    return {
        name: masks.get(name.removesuffix("weight"), torch.ones_like(p)).bool() for name, p in model.named_parameters()
    }


def assert_gradients_everywhere(model: nn.Module) -> None:
    reached = can_learn(model)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        there = parameter.grad != 0
        if "prior.flow" in name or name.startswith("flow.transforms"):  # no sample may lie in some pieces of a spline
            assert there.any() or parameter.numel() == 0, name
        else:
            assert there[reached[name]].all(), name


def freeze_generative(model: LatentModel) -> None:
    """Leave the posterior as all there is to learn."""
    for part in (model.prior, model.likelihood):
        part.requires_grad_(False)


def train(
    model: LatentModel, x: Tensor, steps: int, seed: int, sleep: float = 0.1, wake: float = 1.0, lr: float = 5e-3
) -> None:
    """Plain full-batch training of whatever requires gradients, wake and sleep."""
    noise = noise_for(model, seed)
    objective = choose_objective(model.config, TrainingConfig())
    learned = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(learned, lr=lr)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        loss = torch.zeros((), dtype=x.dtype, device=x.device)
        if wake:
            loss = loss + wake * objective.loss(model, x, noise, 1.0)[0]
        if sleep and model.config.sleeps:
            loss = loss + sleep * model.sleep_loss(len(x), noise)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned, 5.0)
        optimiser.step()
        decay.step()


def pcs(seed: int, populations: int, per: int, fst: float, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Principal components of simulated genotypes, shape (populations * per, k), and the populations."""
    from helpers import simulate_structure
    from reference import simple_components

    matrix, labels = simulate_structure(seed, populations, per, 400, fst)
    return simple_components(matrix.dosages(), k), labels


SEEDS = Seeds(7)
