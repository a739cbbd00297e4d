"""ModelConfig: what the model is. Defaults are one set for all data (see benchmarks/README.md)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from genovi.errors import ConfigError

POSTERIORS = ("ddvi", "gaussian", "iaf", "hiaf", "aae", "ddvi-simple", "ddvi-nosleep")
PRIORS = ("mixture", "normal", "mixture-free", "vamp", "flow", "pinwheel", "swissroll", "square")
LIKELIHOODS = ("gaussian", "binomial")
WITH_COMPONENTS = ("mixture", "mixture-free", "vamp")
CURVES = ("pinwheel", "swissroll", "square")
MOST = 4096  # axes and steps that can be asked for: far beyond what serves, and still trainable
_DENOISER_WIDTH = 64  # as in genovi.model.networks, which loads torch
_FLOW_WIDTH = 64  # as in genovi.model.flows


@dataclass(frozen=True)
class ModelConfig:
    """Shape of the generative model and of its posterior.

    Attributes:
        latent_dim: Dimension d of the latent z.
        posterior: "ddvi" (diffusion chain), "gaussian" (plain VAE), "iaf" (inverse autoregressive flow), "hiaf" (two
            levels of it), "aae" (adversarial, without a density), "ddvi-simple" (the chain does not see x),
            "ddvi-nosleep" (ddvi without the sleep term).
        prior: "mixture" (learned Gaussian mixture of equal weights and one scale), "normal" (standard normal),
            "mixture-free" (mixture with learned weights and covariances), "vamp" (mixture of encoded pseudo-inputs),
            "flow" (normalising flow), or a fixed curve with noise about it, "pinwheel", "swissroll" or "square".
        steps: Number T of reverse diffusion steps; used by "ddvi" and its variants only.
        components: Components of mixture priors; 0 lets the number of samples decide (see ``for_cohort``).
        hidden: Width of encoder and decoder layers.
        likelihood: "gaussian" (of principal components) or "binomial" (of genotypes).
        classes: Classes whose shares of the components are learned (--semi-supervised); 0 for none.
    """

    latent_dim: int = 2
    posterior: str = "ddvi"
    prior: str = "mixture"
    steps: int = 2
    components: int = 0
    hidden: int = 128
    likelihood: str = "gaussian"
    classes: int = 0

    def __post_init__(self) -> None:
        _check_choice("--posterior", self.posterior, POSTERIORS)
        _check_choice("--prior", self.prior, PRIORS)
        _check_choice("--likelihood", self.likelihood, LIKELIHOODS)
        for option, value in (
            ("--latent-dim", self.latent_dim),
            ("--steps", self.steps),
            ("hidden", self.hidden),
        ):
            if value < 1:
                raise ConfigError(f"{option} must be at least 1", where=value)
            if value > MOST and option.startswith("--"):
                raise ConfigError(f"{option} must be at most {MOST:,}", where=value)
        for name, number in (("components", self.components), ("classes", self.classes)):
            if number < 0:
                raise ConfigError(f"{name} must not be negative", where=number)
        if self.prior in CURVES and self.latent_dim != 2:
            raise ConfigError(
                f"--prior {self.prior} is a curve in the plane", where=f"--latent-dim {self.latent_dim}",
                fix="--latent-dim 2",
            )  # fmt: skip

    @property
    def has_density(self) -> bool:
        """Whether q(z | x) has a density, without which there is no bound."""
        return self.posterior != "aae"

    @property
    def sleeps(self) -> bool:
        """Whether the posterior learns from dreams."""
        return self.posterior not in ("aae", "ddvi-nosleep")

    @property
    def has_chain(self) -> bool:
        """Whether the posterior is a diffusion chain."""
        return self.posterior.startswith("ddvi")

    def for_cohort(self, n_samples: int) -> ModelConfig:
        """This configuration with the number of components decided: one for 25 samples, between 5 and 100."""
        if self.components:
            return self
        return replace(self, components=min(max(n_samples // 25, 5), 100))

    def largest_layer(self, data_dim: int, n_variants: int) -> int:
        """Weights of the largest of some layers that the model has, for ``data_dim`` components of the variants.

        A file with fewer weights in all cannot hold it, which is known before anything is allocated.
        """
        d, h = self.latent_dim, self.hidden
        sizes = [h * h, h * d, h * data_dim]
        if self.likelihood == "binomial":
            sizes.append(n_variants * data_dim)
        if self.prior in WITH_COMPONENTS:
            sizes += [self.components * (data_dim if self.prior == "vamp" else d), self.components * self.classes]
        if self.has_chain:
            sizes += [_DENOISER_WIDTH * d, _DENOISER_WIDTH * self.steps]
        if self.posterior in ("iaf", "hiaf") or self.prior == "flow":
            sizes += [_FLOW_WIDTH * d, d * d]  # which coordinates see which is worked out for all pairs
        return max(sizes)


def _check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"unknown {option}", where=value, fix=f"choose one of {', '.join(choices)}")
