"""From the names in a ``ModelConfig`` to the likelihood, the posterior and the prior."""

from __future__ import annotations

import torch
from torch import Tensor

from genovi.errors import ConfigError
from genovi.model.adversarial import AdversarialPosterior
from genovi.model.binomial import BinomialLikelihood
from genovi.model.config import CURVES, WITH_COMPONENTS, ModelConfig
from genovi.model.curves import CurvePrior
from genovi.model.diffusion import DiffusionPosterior, SimpleDiffusionPosterior
from genovi.model.gaussian import GaussianPosterior
from genovi.model.likelihood import GaussianLikelihood, Likelihood
from genovi.model.mixtures import FreeMixture, GaussianMixture, VampPrior
from genovi.model.posterior import Posterior
from genovi.model.prior import Prior, StandardNormal
from genovi.model.rows import Sites


def build_posterior(data_dim: int, config: ModelConfig, generator: torch.Generator) -> Posterior:
    """The posterior that ``config`` names."""
    if config.posterior in ("iaf", "hiaf"):
        from genovi.model.flows import FlowPosterior, HierarchicalFlowPosterior  # zuko loads slowly

        flows = {"iaf": FlowPosterior, "hiaf": HierarchicalFlowPosterior}
        return flows[config.posterior](data_dim, config, generator)
    kinds: dict[str, type[Posterior]] = {
        "gaussian": GaussianPosterior,
        "aae": AdversarialPosterior,
        "ddvi": DiffusionPosterior,
        "ddvi-nosleep": DiffusionPosterior,
        "ddvi-simple": SimpleDiffusionPosterior,
    }
    return kinds[config.posterior](data_dim, config, generator)


def build_prior(data_dim: int, config: ModelConfig, generator: torch.Generator) -> Prior:
    """The prior that ``config`` names.

    Raises:
        ConfigError: the number of components was left to the cohort (``ModelConfig.for_cohort``).
    """
    d, components = config.latent_dim, config.components
    if config.prior in WITH_COMPONENTS and components < 1:
        raise ConfigError("a mixture prior needs a number of components", fix="use ModelConfig.for_cohort")
    if config.prior == "normal":
        return StandardNormal(d)
    if config.prior in CURVES:
        return CurvePrior(config.prior)
    if config.prior == "flow":
        from genovi.model.flows import FlowPrior  # zuko loads slowly

        return FlowPrior(d, generator)
    if config.prior == "vamp":
        return VampPrior(data_dim, components, generator)
    return (FreeMixture if config.prior == "mixture-free" else GaussianMixture)(d, components, generator)


def build_likelihood(
    scale: Tensor, config: ModelConfig, generator: torch.Generator, noise_floor: Tensor | None, sites: Sites | None
) -> Likelihood:
    """The likelihood that ``config`` names.

    Raises:
        ConfigError: it is one of genotypes, and the variants are not given.
    """
    if config.likelihood == "gaussian":
        return GaussianLikelihood(config.latent_dim, config.hidden, scale, generator, noise_floor)
    if sites is None:
        raise ConfigError("a model of genotypes needs its variants", where="--likelihood binomial")
    return BinomialLikelihood(config.latent_dim, config.hidden, scale, sites, generator)
