"""The adversarial posterior: an encoder without noise, held to the prior by a discriminator in place of a divergence.

    maximise   E_x [ log p(x | z) + beta (D(z) + log p(z)*) ],     z = mu(x)
    D is the logit that tells draws of p(z) from encoded samples; D* = log p(z) - log q(z), q(z): all samples encoded

so that the mean of -D over samples estimates KL(q(z) || p(z)) in nats. The last term (*: no gradient reaches z)
fits the prior to the encoded samples. q(z | x) is a point and has no density: there is no bound of log p(x).
Sources: Makhzani et al. (arXiv 1511.05644); the logit as a log-ratio: Mescheder, Nowozin, Geiger (ICML 2017).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genovi.errors import ConfigError
from genovi.model.config import ModelConfig
from genovi.model.densities import Noise
from genovi.model.networks import Encoder, initialise, perceptron
from genovi.model.posterior import START_LOG_STD, Path, Posterior, repeat

WIDTH = 64


class AdversarialPosterior(Posterior):
    """z = mu(x), and the discriminator.

    Args:
        data_dim: k.
        config: Uses ``latent_dim`` and ``hidden``.
        generator: Draws the initial weights.
    """

    def __init__(self, data_dim: int, config: ModelConfig, generator: torch.Generator) -> None:
        super().__init__()
        d = config.latent_dim
        self.encoder = Encoder(data_dim, config.hidden, (d,), (None,))
        self.discriminator = perceptron([d, WIDTH, WIDTH, 1])
        initialise(self, generator)

    def head(self, x: Tensor) -> tuple[Tensor, Tensor]:
        (mean,) = self.encoder(x)
        return mean, torch.full_like(mean, START_LOG_STD)

    def draw(self, x: Tensor, noise: Noise, draws: int | None = None) -> Path:
        z = repeat(self.encoder(x)[0], draws)
        return Path(z, torch.zeros_like(z[..., 0]), torch.full_like(z[..., 0], math.nan), (z,))

    def divergence(self, z: Tensor) -> Tensor:
        """Mean of -D(z) over samples; gradients reach z and not the discriminator."""
        fixed = {name: parameter.detach() for name, parameter in self.discriminator.named_parameters()}
        logit: Tensor = torch.func.functional_call(self.discriminator, fixed, (z,))
        return -logit.mean()

    def discrimination(self, encoded: Tensor, prior: Tensor) -> Tensor:
        """Loss of the discriminator, logistic; gradients reach nothing else."""
        logits = self.discriminator(torch.cat([prior.detach(), encoded.detach()]))[..., 0]
        softplus = nn.functional.softplus
        return softplus(-logits[: len(prior)]).mean() + softplus(logits[len(prior) :]).mean()

    def forward(self, x: Tensor, values: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        raise _without_density()

    def sleep_loss(self, x: Tensor, z: Tensor, noise: Noise) -> Tensor:
        raise _without_density()

    def log_marginal(self, x: Tensor, z: Tensor, noise: Noise, paths: int) -> Tensor:
        raise _without_density()


def _without_density() -> ConfigError:
    return ConfigError(
        "the adversarial posterior has no density", where="--posterior aae", fix="choose another for bounds"
    )
