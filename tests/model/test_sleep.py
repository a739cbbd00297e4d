"""The sleep term: only the posterior learns from dreams, and it learns the right thing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from toys import (
    GAUSSIAN_PRIORS,
    SLEEPING,
    Calls,
    build_model,
    can_learn,
    data_from,
    each_posterior_of,
    freeze_generative,
    mixture_of,
    noise_for,
    numpy,
    train,
)

from genovi.model.quadrature import integrate

each_posterior = pytest.mark.parametrize("posterior", SLEEPING)
each_prior = pytest.mark.parametrize("prior", GAUSSIAN_PRIORS)


@each_posterior
@each_prior
def test_gradients_reach_all_of_the_posterior_and_nothing_else(posterior: str, prior: str, device: str) -> None:
    model = build_model(posterior, prior, device=device)
    model.sleep_loss(64, noise_for(model, 1)).backward()
    reached = can_learn(model.posterior)
    for name, parameter in model.posterior.named_parameters():
        if posterior == "ddvi-simple" and name.startswith("encoder."):
            assert parameter.grad is None, name  # its sleep term is of prior samples alone
        else:
            assert parameter.grad is not None and (parameter.grad != 0)[reached[name]].all(), name
    for part in (model.prior, model.likelihood):
        assert all(parameter.grad is None for parameter in part.parameters())


@each_posterior
def test_a_dream_is_drawn_from_the_model_with_its_noise(
    posterior: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_model(posterior, device=device)
    calls = Calls()
    monkeypatch.setattr(model.posterior, "sleep_loss", calls.spy(model.posterior.sleep_loss))
    model.sleep_loss(5000, noise_for(model, 1))
    ((white, z, _),) = calls.arguments
    x = white * model.likelihood.scale
    residual = numpy((x - model.likelihood.mean(z)) * torch.exp(-model.likelihood.log_noise))
    assert all(kstest(column, "norm").pvalue > 1e-3 for column in residual.T)
    oracle = mixture_of(model.prior, 2)
    for axis in np.eye(2):
        assert kstest(numpy(z) @ axis, lambda v, axis=axis: oracle.cdf_along(axis, v)).pvalue > 1e-3


@each_posterior
def test_every_call_dreams_anew(posterior: str, device: str) -> None:
    model = build_model(posterior, device=device)
    noise = noise_for(model, 1)
    assert model.sleep_loss(8, noise).item() != model.sleep_loss(8, noise).item()


@each_posterior_of([name for name in SLEEPING if name != "ddvi-simple"])
def test_sleep_alone_brings_the_bound_to_the_evidence(posterior: str, device: str) -> None:
    model = build_model(posterior, "normal", d=1, seed=8, device=device)
    freeze_generative(model)
    x = data_from(model, 40, 1)
    lower, upper = (torch.as_tensor(corner) for corner in mixture_of(model.prior, 1).box(8))
    evidence = integrate(model, x, lower, upper, 2000).log_evidence.mean().item()
    before = model.importance_sample(x, 64, 2).elbo.mean().item()
    train(model, x.repeat(3, 1), 250, seed=3, sleep=1.0, wake=0.0, lr=1e-2)
    after = model.importance_sample(x, 64, 2).elbo.mean().item()
    assert after < evidence + 0.05
    assert evidence - after < 0.35 * (evidence - before)
