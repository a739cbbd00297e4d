"""Bounds against closed forms: a linear decoder, whose posterior is known."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from toys import DENSE, build_model, data_from, freeze_generative, linear_decoder, numpy, train

from genovi.bounds import PATHS, Bounds, Mean, joined, measure, measure_parts
from genovi.model.config import POSTERIORS


@pytest.mark.parametrize("posterior", DENSE)
def test_the_gap_is_the_divergence_and_what_auxiliary_variables_cost(posterior: str, device: str) -> None:
    model = build_model(posterior, "normal", d=2, k=3, device=device)
    oracle = linear_decoder(model, seed=3)
    freeze_generative(model)
    x = data_from(model, 20, 1)
    train(model, x, 40, seed=1, lr=1e-2)
    found = measure(model, x, 64, 7)
    assert found.resolved is not None and found.resolved.all()
    np.testing.assert_allclose(numpy(found.log_evidence), oracle.log_evidence(numpy(x)), atol=1e-5)
    np.testing.assert_allclose(numpy(found.gap), numpy(found.log_evidence - found.elbo), atol=1e-12)
    assert found.gap.mean() > 0 and found.iwae.mean() > found.elbo.mean()
    assert found.iwae.mean() < found.log_evidence.mean() + 0.05
    assert found.kl.mean() > -0.02
    if posterior in PATHS:
        assert found.auxiliary.mean() > -0.02
    else:
        np.testing.assert_array_equal(numpy(found.auxiliary), 0)


def test_the_divergence_of_a_gaussian_is_that_of_the_closed_form(device: str) -> None:
    model = build_model("gaussian", "normal", d=2, k=3, device=device)
    oracle = linear_decoder(model, seed=3)
    x = data_from(model, 6, 1)
    mean, log_std = (numpy(part) for part in model.posterior.head(model.whiten(x)))
    expected = []
    for i, row in enumerate(numpy(x)):
        centre, covariance = oracle.posterior(row).moments()
        inverse, apart = np.linalg.inv(covariance), centre - mean[i]
        variance = np.diag(np.exp(2 * log_std[i]))
        logs = np.linalg.slogdet(covariance)[1] - 2 * log_std[i].sum()
        expected.append(0.5 * (np.trace(inverse @ variance) + apart @ inverse @ apart - 2 + logs))
    found = measure(model, x, 20_000, 3)
    np.testing.assert_allclose(numpy(found.kl), expected, rtol=0.05, atol=0.02)


def test_samples_of_other_parts_have_other_noise(device: str) -> None:
    """The same sample in several parts of a table: errors of its bounds must cancel in the mean."""
    model = build_model("ddvi", device=device)
    x = data_from(model, 1, 1).repeat(64, 1)
    whole = measure(model, x, 8, 3)
    found = measure_parts(model, ((x[i : i + 8], None) for i in range(0, 64, 8)), 8, 3)
    assert whole.elbo is not None and found.elbo is not None
    assert len(found.elbo.unique()) == 64
    torch.testing.assert_close(found.elbo[:8], measure(model, x[:8], 8, 3).elbo)
    assert found.elbo.mean().item() == pytest.approx(whole.elbo.mean().item(), abs=6 * whole.elbo.std().item() / 8)


def test_the_divergence_of_a_chain_is_that_of_its_z_alone(device: str) -> None:
    """One dimension, one step: q(z|x) by integration over y_1 on a grid."""
    model = build_model("ddvi", "normal", d=1, k=3, steps=1, device=device)
    linear_decoder(model, seed=3)
    x = data_from(model, 1, 1)
    white = model.whiten(x)
    z = model.posterior.draw(white, _noise(), 20_000).z
    grid = torch.linspace(-4, 4, 601, dtype=torch.float64, device=device)
    y = torch.linspace(-6, 6, 1201, dtype=torch.float64, device=device)
    with torch.no_grad():
        density = []
        for point in grid:
            values = (y[:, None, None], point.expand(len(y), 1, 1))
            chain, entropy = model.posterior(white, values)
            schedule = model.posterior.schedule
            noising = torch.distributions.Normal(schedule.keep[0] * point, math.exp(schedule.log_std[0])).log_prob(y)
            density.append(torch.exp(noising - chain[:, 0] - entropy[:, 0]).sum() * (y[1] - y[0]))
        q = torch.stack(density)
        joint = model.log_joint(x, grid[:, None, None])[:, 0]
        cell = grid[1] - grid[0]
        evidence = torch.logsumexp(joint, 0) + cell.log()
        expected = (q * cell * (q.clamp_min(1e-300).log() - joint + evidence)).sum().item()
    assert (q.sum() * cell).item() == pytest.approx(1, abs=1e-3)
    assert z.std().item() > 0
    found = measure(model, x, 4000, 3)
    assert found.kl.item() == pytest.approx(expected, rel=0.1, abs=0.03)
    assert found.auxiliary.item() > 0


def _noise() -> object:
    from genovi.model.densities import Noise

    return Noise(torch.Generator().manual_seed(1))


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_what_there_is_not_is_absent(posterior: str, device: str) -> None:
    flat, deep = (build_model(posterior, d=d, device=device) for d in (2, 3))
    found = Bounds.of(measure(flat, data_from(flat, 5, 1), 4, 1), "held-out", 5)
    assert found.log_evidence is not None
    assert all((value is None) == (posterior == "aae") for value in (found.elbo, found.iwae, found.gap, found.kl))
    assert ("no held-out bound" in found.line()) == (posterior == "aae")
    without = Bounds.of(measure(deep, data_from(deep, 5, 1), 4, 1), "held-out", 5)
    assert without.log_evidence is without.gap is without.kl is None
    assert (without.elbo is None) == (posterior == "aae")
    for bounds in (found, without):
        json.dumps(bounds.to_dict(), allow_nan=False)
        assert len(bounds.rows()) == sum(getattr(bounds, n) is not None for n in NAMES)


NAMES = ("log_evidence", "elbo", "iwae", "effective_size", "gap", "kl", "auxiliary")


def test_incomplete_samples_have_bounds_below_their_evidence(device: str) -> None:
    model = build_model("ddvi", "normal", d=2, k=3, device=device)
    linear_decoder(model, seed=3)
    x = data_from(model, 60, 1)
    excess = torch.eye(3, dtype=torch.float64, device=device).repeat(60, 1, 1) * 2
    found = measure(model, x, 64, 3, excess)
    assert found.elbo.mean() < found.iwae.mean() < found.log_evidence.mean() + 0.05
    assert (found.log_evidence - measure(model, x, 4, 3).log_evidence).abs().max() > 0.1


def test_tables_are_joined_in_order_and_means_have_errors(device: str) -> None:
    model = build_model("gaussian", device=device)
    x = data_from(model, 7, 1)
    parts = [measure(model, part, 4, 1) for part in (x[:3], x[3:])]
    whole = joined(parts)
    np.testing.assert_array_equal(numpy(whole.elbo), np.concatenate([numpy(part.elbo) for part in parts]))
    mean = Mean.of(torch.tensor([1.0, 2.0, 6.0]))
    assert (mean.value, mean.error) == (3.0, pytest.approx(np.std([1, 2, 6], ddof=1) / np.sqrt(3)))
    assert math.isnan(Mean.of(torch.tensor([1.0])).error)
    assert Bounds.of(measure(model, x[:1], 4, 1), "input", 1).errors["elbo"] is None
