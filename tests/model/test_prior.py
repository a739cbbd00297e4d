"""Laws of every prior: a density, and draws that follow it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from toys import build_model, mixture_of, noise_for, numpy

from genovi.model.config import PRIORS
from genovi.model.vae import LatentModel

each_prior = pytest.mark.parametrize("prior", PRIORS)
each_dimension = pytest.mark.parametrize("d", [1, 2])


def model_with(prior: str, d: int, device: str) -> LatentModel:
    return build_model("gaussian", prior, d=d, components=4, seed=11, device=device)


def points(d: int, device: str, n: int = 50, reach: float = 3.0) -> torch.Tensor:
    generator = np.random.default_rng(5)
    return torch.as_tensor(generator.uniform(-reach, reach, size=(n, d)), device=device)


@each_prior
@each_dimension
def test_density_integrates_to_one(prior: str, d: int, device: str) -> None:
    model = model_with(prior, d, device)
    lower, upper = mixture_of(model.prior, d).box(9)
    axes = [torch.linspace(a, b, 500, dtype=torch.float64) for a, b in zip(lower, upper, strict=True)]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).to(device)
    cell = np.prod([float(axis[1] - axis[0]) for axis in axes])
    assert numpy(torch.exp(model.prior.log_density(grid))).sum() * cell == pytest.approx(1, abs=1e-9)


@each_prior
@each_dimension
def test_density_is_that_of_scipy(prior: str, d: int, device: str) -> None:
    model = model_with(prior, d, device)
    oracle, z = mixture_of(model.prior, d), points(d, device)
    np.testing.assert_allclose(numpy(model.prior.log_density(z)), oracle.log_density(numpy(z)), rtol=1e-9)
    assert oracle.weights.sum() == pytest.approx(1, rel=1e-9)


@each_prior
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_leading_axes_are_kept(prior: str, shape: tuple[int, ...], device: str) -> None:
    model = model_with(prior, 2, device)
    z = points(2, device, n=6)[: int(np.prod(shape))].reshape(*shape, 2)
    assert model.prior.log_density(z).shape == shape
    assert model.prior.cluster_probabilities(z).shape[:-1] == shape


@each_prior
@each_dimension
def test_draws_follow_the_density(prior: str, d: int, device: str) -> None:
    model = model_with(prior, d, device)
    oracle = mixture_of(model.prior, d)
    z = numpy(model.prior.sample(20_000, noise_for(model, 3)))
    assert z.shape == (20_000, d)
    for direction in itertools.chain(np.eye(d), [np.ones(d), np.arange(d) - 0.5]):
        test = kstest(z @ direction, lambda v, direction=direction: oracle.cdf_along(direction, v))
        assert test.pvalue > 1e-3, direction
    mean, covariance = oracle.moments()
    tolerance = 5 * np.sqrt(covariance.max() / 20_000)
    np.testing.assert_allclose(z.mean(axis=0), mean, atol=tolerance)
    np.testing.assert_allclose(np.cov(z.T, bias=True).reshape(d, d), covariance, atol=3 * tolerance)


@each_prior
def test_draws_come_from_the_generator_alone(prior: str, device: str) -> None:
    model = model_with(prior, 2, device)
    first, again, other = (numpy(model.prior.sample(9, noise_for(model, seed))) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).all()


@each_prior
def test_cluster_probabilities_are_probabilities(prior: str, device: str) -> None:
    model = model_with(prior, 2, device)
    probabilities = numpy(model.prior.cluster_probabilities(points(2, device)))
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=1e-9)
    assert (probabilities >= 0).all()


def test_the_normal_prior_is_one_cluster(device: str) -> None:
    model = model_with("normal", 2, device)
    assert (model.prior.cluster_probabilities(points(2, device)) == 1).all()


@pytest.mark.parametrize("seed", range(2))
def test_clusters_are_the_modes_of_the_density_by_falling_weight(seed: int, device: str) -> None:
    model = build_model("gaussian", "mixture", components=12, seed=seed, device=device)
    oracle = mixture_of(model.prior, 2)
    modes = oracle.climb(oracle.means)
    _, first, member = np.unique(modes.round(3), axis=0, return_index=True, return_inverse=True)
    assert 1 < len(first) < 12  # some components share a mode, others have their own
    z = points(2, device)
    joint = np.exp(oracle.component_log_density(numpy(z)))
    by_mode = np.stack([joint[:, member.ravel() == c].sum(axis=1) for c in range(len(first))], axis=1)
    expected = by_mode / by_mode.sum(axis=1, keepdims=True)
    found = numpy(model.prior.cluster_probabilities(z))
    assert found.shape == expected.shape
    # modes of equal weight may come in either order
    np.testing.assert_allclose(np.sort(found, axis=1), np.sort(expected, axis=1), atol=1e-6)
    weight = numpy(model.prior.cluster_probabilities(model.prior.sample(20_000, noise_for(model, 1)))).mean(axis=0)
    assert (np.diff(weight) < 0.03).all()


def test_components_far_apart_are_clusters_of_their_own(device: str) -> None:
    model = model_with("mixture", 2, device)
    with torch.no_grad():
        for parameter in model.prior.parameters():
            if parameter.ndim == 2:
                parameter *= 50
    means = torch.as_tensor(mixture_of(model.prior, 2).means, device=device)
    probabilities = model.prior.cluster_probabilities(means)
    assert probabilities.shape == (4, 4)
    assert sorted(probabilities.argmax(dim=-1).tolist()) == [0, 1, 2, 3]
    assert probabilities.max(dim=-1).values.min() > 0.999


def test_the_normal_prior_has_no_parameters_and_unit_variance(device: str) -> None:
    model = model_with("normal", 2, device)
    assert list(model.prior.parameters()) == []
    mean, covariance = mixture_of(model.prior, 2).moments()
    np.testing.assert_allclose(mean, 0, atol=1e-12)
    np.testing.assert_allclose(covariance, np.eye(2), atol=1e-12)


@each_prior
def test_gradients_reach_every_parameter(prior: str, device: str) -> None:
    model = model_with(prior, 2, device)
    z = points(2, device).requires_grad_()
    model.prior.log_density(z).sum().backward()
    assert (z.grad != 0).all()
    for name, parameter in model.prior.named_parameters():
        assert parameter.grad is not None and (parameter.grad != 0).all(), name


@each_prior
def test_far_away_the_density_is_tiny_but_finite(prior: str, device: str) -> None:
    model = model_with(prior, 2, device)
    z = torch.full((1, 2), 1e3, dtype=torch.float64, device=device, requires_grad=True)
    density = model.prior.log_density(z)
    density.sum().backward()
    assert -1e9 < density.item() < -1e5
    assert torch.isfinite(z.grad).all()
    assert torch.isfinite(model.prior.cluster_probabilities(z)).all()


def test_the_start_of_a_mixture_is_drawn_from_the_generator_and_covers_the_plane(device: str) -> None:
    starts = [mixture_of(build_model(prior="mixture", components=30, seed=s).prior, 2).means for s in (1, 1, 2)]
    np.testing.assert_array_equal(starts[0], starts[1])
    assert not np.allclose(starts[0], starts[2])
    assert (starts[0].std(axis=0) > 0.5).all()
