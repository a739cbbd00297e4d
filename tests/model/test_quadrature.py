"""Quadrature against models with a closed form: a linear decoder, and a normal or a mixture prior."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from toys import GAUSSIAN_PRIORS, build_model, data_from, linear_decoder, numpy

from genovi.errors import ConfigError
from genovi.model import quadrature
from genovi.model.quadrature import exact, integrate


@pytest.mark.parametrize("prior", GAUSSIAN_PRIORS)
@pytest.mark.parametrize("d", [1, 2])
def test_evidence_mean_and_deviation_are_those_of_the_closed_form(prior: str, d: int, device: str) -> None:
    model = build_model("gaussian", prior, d=d, k=3, components=4, device=device)
    oracle = linear_decoder(model, seed=3)
    x = data_from(model, 20, 1)  # more rows than the quadrature takes at once
    lower, upper = (torch.as_tensor(corner) for corner in oracle.prior.box(9))
    found = integrate(model, x, lower, upper, 400 if d == 2 else 4000)
    np.testing.assert_allclose(numpy(found.log_evidence), oracle.log_evidence(numpy(x)), atol=1e-6)
    moments = [oracle.posterior(row).moments() for row in numpy(x)]
    np.testing.assert_allclose(numpy(found.mean), [mean for mean, _ in moments], atol=1e-6)
    np.testing.assert_allclose(numpy(found.std), [np.sqrt(np.diag(c)) for _, c in moments], atol=1e-6)


def test_more_than_two_dimensions_are_refused() -> None:
    model = build_model(d=3)
    corner = torch.ones(3, dtype=torch.float64)
    with pytest.raises(ConfigError, match="at most two dimensions"):
        integrate(model, data_from(model, 2, 1), -corner, corner)
    with pytest.raises(ConfigError, match="at most two dimensions"):
        exact(model, data_from(model, 2, 1), torch.zeros(1, 2, 3))


@pytest.mark.parametrize("prior", ["normal", "mixture"])
@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("noise_std", [0.7, 0.02, 0.002])
def test_the_grid_grows_finer_until_narrow_posteriors_are_exact(
    prior: str, d: int, noise_std: float, device: str
) -> None:
    """Nobody says where to look: draws about the posterior are all there is, and far too few to tell its shape."""
    model = build_model("gaussian", prior, d=d, k=3, components=4, device=device)
    oracle = linear_decoder(model, seed=3, noise_std=noise_std)
    x = data_from(model, 5, 1)
    moments = [oracle.posterior(row).moments() for row in numpy(x)]
    around = torch.as_tensor(np.stack([mean for mean, _ in moments]), device=device)[None]
    found = exact(model, x, around)
    assert found.resolved.all()
    np.testing.assert_allclose(numpy(found.log_evidence), oracle.log_evidence(numpy(x)), atol=1e-5)
    std = np.array([np.sqrt(np.diag(c)) for _, c in moments])
    np.testing.assert_allclose(numpy(found.mean) / std, np.array([mean for mean, _ in moments]) / std, atol=1e-3)
    np.testing.assert_allclose(numpy(found.std), std, rtol=1e-3)


def test_the_box_grows_until_posteriors_far_from_the_prior_are_inside(device: str) -> None:
    model = build_model("gaussian", "normal", d=2, k=3, device=device)
    oracle = linear_decoder(model, seed=3, noise_std=0.1)
    z = torch.tensor([[30.0, -20.0], [0.0, 0.0]], dtype=torch.float64, device=device)
    x = model.likelihood.mean(z).detach()
    found = exact(model, x, torch.zeros_like(z)[None])
    assert found.resolved.all()
    np.testing.assert_allclose(numpy(found.log_evidence), oracle.log_evidence(numpy(x)), rtol=1e-6)


def test_a_grid_that_cannot_be_fine_enough_says_so(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_model("gaussian", "normal", d=2, k=3, device=device)
    linear_decoder(model, seed=3, noise_std=1e-3)
    x = data_from(model, 3, 1)
    monkeypatch.setattr(quadrature, "_REFINEMENTS", 0)
    assert not exact(model, x, torch.zeros(1, 3, 2, dtype=torch.float64, device=device)).resolved.any()


def test_incomplete_samples_have_the_evidence_of_their_own_noise(device: str) -> None:
    model = build_model("gaussian", "normal", d=2, k=3, device=device)
    oracle = linear_decoder(model, seed=3)
    x, spread = data_from(model, 4, 1), np.diag([0.5, 2.0, 30.0]) + 0.1
    excess = torch.as_tensor(np.repeat(spread[None], 4, axis=0), device=device)
    found = exact(model, x, torch.zeros(1, 4, 2, dtype=torch.float64, device=device), excess)
    covariance = oracle.matrix @ oracle.matrix.T + np.diag(oracle.noise_std**2) + spread
    expected = multivariate_normal(oracle.offset, covariance).logpdf(numpy(x))
    np.testing.assert_allclose(numpy(found.log_evidence), expected, atol=1e-4)  # whitening is in float32
