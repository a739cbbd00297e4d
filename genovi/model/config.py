"""ModelConfig: what the model is. Defaults are one set for all data (see benchmarks/README.md)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from genovi.errors import ConfigError

POSTERIORS = ("ddvi", "gaussian")
PRIORS = ("mixture", "normal")
_DENOISER_WIDTH = 64  # as in genovi.model.networks, which loads torch


@dataclass(frozen=True)
class ModelConfig:
    """Shape of the generative model and of its posterior.

    Attributes:
        latent_dim: Dimension d of the latent z.
        posterior: "ddvi" (diffusion chain) or "gaussian" (plain VAE).
        prior: "mixture" (learned Gaussian mixture) or "normal" (standard normal).
        steps: Number T of reverse diffusion steps; used by "ddvi" only.
        components: Components of the mixture prior; 0 lets the number of samples decide (see ``for_cohort``).
        hidden: Width of encoder and decoder layers.
    """

    latent_dim: int = 2
    posterior: str = "ddvi"
    prior: str = "mixture"
    steps: int = 2
    components: int = 0
    hidden: int = 128

    def __post_init__(self) -> None:
        _check_choice("--posterior", self.posterior, POSTERIORS)
        _check_choice("--prior", self.prior, PRIORS)
        for option, value in (
            ("--latent-dim", self.latent_dim),
            ("--steps", self.steps),
            ("hidden", self.hidden),
        ):
            if value < 1:
                raise ConfigError(f"{option} must be at least 1", where=value)
        if self.components < 0:
            raise ConfigError("components must not be negative", where=self.components)

    def for_cohort(self, n_samples: int) -> ModelConfig:
        """This configuration with the number of components decided: one for 25 samples, between 5 and 100."""
        if self.components:
            return self
        return replace(self, components=min(max(n_samples // 25, 5), 100))

    def largest_layer(self, data_dim: int) -> int:
        """Weights of the largest of some layers that the model has, for data of ``data_dim`` columns.

        A file with fewer weights in all cannot hold it, which is known before anything is allocated.
        """
        d, h = self.latent_dim, self.hidden
        sizes = [h * h, h * d, h * data_dim]
        sizes += [self.components * d] if self.prior == "mixture" else []
        sizes += [_DENOISER_WIDTH * d, _DENOISER_WIDTH * self.steps] if self.posterior == "ddvi" else []
        return max(sizes)


def _check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"unknown {option}", where=value, fix=f"choose one of {', '.join(choices)}")
