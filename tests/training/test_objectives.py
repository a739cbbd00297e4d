"""Objectives: the gradients are those of what they claim to be."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from toys import DENSE, build_model, data_from, linear_decoder, mixture_of, noise_for, numpy, train

from genovi.errors import ConfigError
from genovi.model.adversarial import AdversarialPosterior
from genovi.model.config import ModelConfig
from genovi.model.quadrature import exact
from genovi.model.vae import LatentModel
from genovi.training.config import TrainingConfig
from genovi.training.objectives import Adversarial, Elbo, ImportanceWeighted, choose_objective

K = 5


def gradients(model: LatentModel, loss: torch.Tensor) -> dict[str, np.ndarray]:
    model.zero_grad()
    loss.backward()
    return {name: numpy(p.grad) for name, p in model.named_parameters() if p.grad is not None}


def plain(model: LatentModel, x: torch.Tensor, seed: int, beta: float = 1.0) -> torch.Tensor:
    """The importance-weighted bound itself, differentiated as it stands."""
    log_weight = model.terms(x, noise_for(model, seed), K)[0].tempered(beta)
    return -(torch.logsumexp(log_weight, dim=0) - math.log(K)).mean()


@pytest.mark.parametrize("posterior", DENSE)
@pytest.mark.parametrize("beta", [1.0, 0.3])
def test_decoder_and_prior_get_the_gradient_of_the_bound(posterior: str, beta: float, device: str) -> None:
    model = build_model(posterior, device=device)
    x = data_from(model, 8, 1)
    loss, terms = ImportanceWeighted(K).loss(model, x, noise_for(model, 2), beta)
    assert terms.log_weight.shape == (K, 8)
    found, expected = gradients(model, loss), gradients(model, plain(model, x, 2, beta))
    learned = [f"posterior.{name}" for name in model.posterior.learned_reverse()]
    assert len(learned) > 0 or posterior != "hiaf"
    for name in [n for n in expected if not n.startswith("posterior.")] + learned:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("posterior", DENSE)
@pytest.mark.parametrize("beta", [1.0, 0.3])
def test_the_posterior_gets_that_gradient_on_average_and_less_noise(posterior: str, beta: float, device: str) -> None:
    """Doubly reparametrised: another estimator of the same gradient."""
    model = build_model(posterior, d=1, k=3, steps=2, hidden=4, components=2, seed=5, device=device)
    x = data_from(model, 2, 1).repeat(1500, 1)
    found = gradients(model, ImportanceWeighted(K).loss(model, x, noise_for(model, 2), beta)[0])
    expected = gradients(model, plain(model, x, 3, beta))
    q = [name for name in expected if name.startswith("posterior.encoder") and expected[name].size > 3]
    a, b = (np.concatenate([part[name].ravel() for name in q]) for part in (found, expected))
    assert np.linalg.norm(a - b) < 0.35 * np.linalg.norm(b)
    assert np.corrcoef(a, b)[0, 1] > 0.93


def test_with_one_draw_it_is_the_evidence_lower_bound_with_the_path_derivative(device: str) -> None:
    model = build_model("gaussian", device=device)
    x = data_from(model, 8, 1)
    loss, _ = ImportanceWeighted(1).loss(model, x, noise_for(model, 2), 1.0)
    elbo, _ = Elbo().loss(model, x, noise_for(model, 2), 1.0)
    assert loss.item() == pytest.approx(elbo.item())


def test_the_discriminator_learns_from_its_own_loss_alone(device: str) -> None:
    model = build_model("aae", device=device)
    posterior = model.posterior
    assert isinstance(posterior, AdversarialPosterior)
    z = model.posterior.head(model.whiten(data_from(model, 8, 1)))[0]
    found = gradients(model, posterior.divergence(z))
    assert any("encoder" in name for name in found) and not any("discriminator" in name for name in found)
    z = model.posterior.head(model.whiten(data_from(model, 8, 1)))[0]
    found = gradients(model, posterior.discrimination(z, model.prior.sample(8, noise_for(model, 1))))
    assert found and all("discriminator" in name for name in found)


def test_the_logit_estimates_the_divergence_from_the_prior_in_nats(device: str) -> None:
    model = build_model("aae", "normal", d=1, device=device)
    posterior = model.posterior
    assert isinstance(posterior, AdversarialPosterior)
    optimiser = torch.optim.Adam(posterior.discriminator.parameters(), lr=1e-2)
    noise = noise_for(model, 1)
    mean, std = 1.0, 0.5
    expected = 0.5 * (std**2 + mean**2 - 1) - math.log(std)
    for _ in range(250):
        encoded = mean + std * model.prior.sample(512, noise)
        optimiser.zero_grad()
        posterior.discrimination(encoded, model.prior.sample(512, noise)).backward()
        optimiser.step()
    encoded = mean + std * model.prior.sample(4000, noise)
    assert posterior.divergence(encoded).item() == pytest.approx(expected, abs=0.15)


def test_adversarial_training_raises_the_evidence_and_keeps_to_the_prior(device: str) -> None:
    model, teacher = (build_model("aae", "normal", seed=seed, device=device) for seed in (3, 4))
    linear_decoder(teacher, seed=3, noise_std=0.3)
    x = data_from(teacher, 200, 1)
    before = exact(model, x[:40], model.locate(x[:40])[None]).log_evidence.mean().item()
    for seed in (1, 2, 3):
        train(model, x, 100, seed=seed, lr=1e-2)
    after = exact(model, x[:40], model.locate(x[:40])[None]).log_evidence.mean().item()
    assert after > before + 40
    z = numpy(model.locate(x))
    assert np.abs(z.mean(axis=0)).max() < 0.8 and z.std(axis=0).max() < 2
    assert mixture_of(model.prior, 2).means.shape == (1, 2)


def test_the_configurations_name_the_objective() -> None:
    assert isinstance(choose_objective(ModelConfig(), TrainingConfig()), Elbo)
    assert isinstance(choose_objective(ModelConfig(posterior="aae"), TrainingConfig()), Adversarial)
    chosen = choose_objective(ModelConfig(), TrainingConfig(objective="iwae", draws=7))
    assert isinstance(chosen, ImportanceWeighted) and chosen.draws == 7
    with pytest.raises(ConfigError, match="needs the density") as caught:
        choose_objective(ModelConfig(posterior="aae"), TrainingConfig(objective="iwae"))
    assert caught.value.exit_code == 2
