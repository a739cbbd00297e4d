"""The Gaussian likelihood: its density, its draws and the floor under its noise."""

from __future__ import annotations

import numpy as np
import reference
import torch
from scipy.stats import kstest
from toys import build_model, jitter, noise_for, numpy, stream

from genovi.model.likelihood import GaussianLikelihood


def test_density_is_that_of_scipy_about_the_decoded_mean(device: str) -> None:
    likelihood = build_model(device=device).likelihood
    z, x = (torch.randn(3, 6, size, generator=stream(1), dtype=torch.float64).to(device) for size in (2, 4))
    expected = reference.normal_log_density(numpy(x), numpy(likelihood.mean(z)), np.exp(numpy(likelihood.log_noise)))
    np.testing.assert_allclose(numpy(likelihood.log_density(x, z)), expected, rtol=1e-10)


def test_the_mean_is_in_the_units_of_the_data(device: str) -> None:
    likelihood = build_model(device=device).likelihood
    z = torch.randn(6, 2, generator=stream(1), dtype=torch.float64).to(device)
    before = likelihood.mean(z)
    likelihood.scale *= 3
    torch.testing.assert_close(likelihood.mean(z), 3 * before)


def test_draws_carry_the_noise_of_each_column(device: str) -> None:
    model = build_model(device=device)
    z = torch.full((5000, 2), 0.4, dtype=torch.float64, device=device)
    x = model.likelihood.sample(z, noise_for(model, 1))
    scaled = numpy(x - model.likelihood.mean(z)) / np.exp(numpy(model.likelihood.log_noise))
    assert all(kstest(column, "norm").pvalue > 1e-3 for column in scaled.T)
    assert np.abs(np.corrcoef(scaled.T) - np.eye(4)).max() < 0.06


def test_noisier_data_have_the_noise_of_each_column_once_more(device: str) -> None:
    model = build_model(device=device)
    x = torch.full((5000, 4), 0.4, dtype=torch.float64, device=device)
    scaled = numpy(model.likelihood.noisier(x, noise_for(model, 1)) - x) / np.exp(numpy(model.likelihood.log_noise))
    assert all(kstest(column, "norm").pvalue > 1e-3 for column in scaled.T)
    assert np.abs(np.corrcoef(scaled.T) - np.eye(4)).max() < 0.06


def test_the_noise_is_put_back_on_its_floor_and_left_alone_above() -> None:
    likelihood = GaussianLikelihood(2, 8, torch.ones(3), stream(1), noise_floor=torch.tensor([0.5, 0.9, 0.1]))
    with torch.no_grad():
        likelihood.log_noise.copy_(torch.log(torch.tensor([0.7, 0.2, 0.01])))
    likelihood.hold_noise_floor()
    np.testing.assert_allclose(np.exp(numpy(likelihood.log_noise)), [0.7, 0.9, 0.1], rtol=1e-6)


def test_without_a_floor_nothing_is_held() -> None:
    likelihood = GaussianLikelihood(2, 8, torch.ones(3), stream(1))
    jitter(likelihood, 1, 5.0)
    before = numpy(likelihood.log_noise)
    likelihood.hold_noise_floor()
    np.testing.assert_array_equal(numpy(likelihood.log_noise), before)
