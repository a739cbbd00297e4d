"""Gradients that are written out: those of automatic differentiation, for the model that they are written for."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from genovi.model.config import POSTERIORS, PRIORS, ModelConfig
from genovi.model.densities import Noise
from genovi.model.networks import LOG_STD_RANGE
from genovi.model.vae import LatentModel
from genovi.ranks import ALONE
from genovi.seeding import Seeds
from genovi.training.gradients import AutomaticGradients, DefaultGradients, Gradients, choose_gradients
from genovi.training.objectives import Elbo, ImportanceWeighted

K = 7
CONFIG = ModelConfig(latent_dim=2, steps=2, components=5, hidden=16)


def rough_model(config: ModelConfig, kick: float = 0.3) -> LatentModel:
    """A model with weights far from where they start, so that no term of a gradient is small."""
    generator = torch.Generator().manual_seed(5)
    model = LatentModel(config, torch.rand(K, generator=generator) + 0.5, generator)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += kick * torch.randn(parameter.shape, generator=generator)
    return model.double()


def noise() -> Noise:
    return Noise(torch.Generator().manual_seed(11))


def batch(n: int = 24) -> torch.Tensor:
    return 3 * torch.randn(n, K, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def both(model: LatentModel, sleep_weight: float) -> tuple[Gradients, Gradients]:
    written = copy.deepcopy(model)
    return (
        AutomaticGradients(model, Elbo(), sleep_weight, noise(), ALONE),
        DefaultGradients(written, sleep_weight, noise(), ALONE),
    )


def compare(automatic: Gradients, written: Gradients) -> None:
    for (name, one), other in zip(automatic.model.named_parameters(), written.model.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert (other.grad - one.grad).abs().max() <= 1e-11 * max(1.0, one.grad.abs().max().item()), name


@pytest.mark.parametrize("sleep_weight", [0.0, 0.1, 2.0])
@pytest.mark.parametrize("beta", [0.05, 1.0])
@pytest.mark.parametrize(("latent_dim", "steps"), [(1, 1), (2, 2), (3, 5)])
def test_they_are_those_of_automatic_differentiation(
    latent_dim: int, steps: int, beta: float, sleep_weight: float
) -> None:
    model = rough_model(replace(CONFIG, latent_dim=latent_dim, steps=steps))
    automatic, written = both(model, sleep_weight)
    for _ in range(2):  # nothing is left from the step before
        torch.testing.assert_close(written.compute(batch(), beta), automatic.compute(batch(), beta), rtol=1e-11, atol=0)
        compare(automatic, written)


def test_where_a_standard_deviation_is_at_its_limit_no_gradient_passes() -> None:
    model = rough_model(CONFIG, kick=0.8)
    white = model.whiten(batch())
    raw = model.posterior.encoder(white)[1]
    outside = (raw < LOG_STD_RANGE[0]) | (raw > LOG_STD_RANGE[1])
    assert 0 < outside.sum() < outside.numel()  # some are and some are not
    automatic, written = both(model, 0.1)
    torch.testing.assert_close(written.compute(batch(), 0.7), automatic.compute(batch(), 0.7), rtol=1e-9, atol=0)
    compare(automatic, written)


@pytest.mark.parametrize("most", [1e-3, 1e6])
def test_clipping_is_that_of_torch(most: float) -> None:
    automatic, written = both(rough_model(CONFIG), 0.1)
    for each in (automatic, written):
        each.compute(batch(), 1.0)
    torch.testing.assert_close(written.clip(most), automatic.clip(most), rtol=1e-12, atol=0)
    compare(automatic, written)


def test_batches_of_other_sizes_follow_one_another() -> None:
    automatic, written = both(rough_model(CONFIG), 0.1)
    for n in (24, 3, 1, 40):
        automatic.compute(batch(n), 1.0)
        written.compute(batch(n), 1.0)
        compare(automatic, written)


def test_the_default_model_has_them_and_no_other() -> None:
    def chosen(config: ModelConfig, objective: Elbo | ImportanceWeighted) -> type[Gradients]:
        model = LatentModel(config, torch.ones(K), Seeds(1).torch("init"))
        return type(choose_gradients(model, objective, 0.1, noise(), ALONE))

    for posterior in POSTERIORS:
        expected = DefaultGradients if posterior in ("ddvi", "ddvi-nosleep") else AutomaticGradients
        assert chosen(replace(CONFIG, posterior=posterior), Elbo()) is expected
    for prior in PRIORS:
        expected = DefaultGradients if prior == "mixture" else AutomaticGradients
        assert chosen(replace(CONFIG, prior=prior), Elbo()) is expected
    assert chosen(CONFIG, ImportanceWeighted(4)) is AutomaticGradients
