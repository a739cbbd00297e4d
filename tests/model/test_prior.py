"""Laws of every prior: a density, and draws that follow it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import chi2, kstest
from toys import GAUSSIAN_PRIORS, build_model, mixture_of, noise_for, numpy

from genovi.model import curves
from genovi.model.config import CURVES, PRIORS
from genovi.model.mixtures import FreeMixture
from genovi.model.vae import LatentModel

each_prior = pytest.mark.parametrize("prior", PRIORS)
each_dimension = pytest.mark.parametrize("d", [1, 2])


def model_with(prior: str, d: int, device: str) -> LatentModel:
    d = 2 if prior in CURVES else d
    return build_model("gaussian", prior, d=d, components=4, seed=11, device=device)


def points(d: int, device: str, n: int = 50, reach: float = 3.0) -> torch.Tensor:
    generator = np.random.default_rng(5)
    return torch.as_tensor(generator.uniform(-reach, reach, size=(n, d)), device=device)


@pytest.mark.parametrize("prior", GAUSSIAN_PRIORS)
@each_dimension
def test_density_integrates_to_one(prior: str, d: int, device: str) -> None:
    model = model_with(prior, d, device)
    lower, upper = mixture_of(model.prior, d).box(9)
    axes = [torch.linspace(a, b, 500, dtype=torch.float64) for a, b in zip(lower, upper, strict=True)]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).to(device)
    cell = np.prod([float(axis[1] - axis[0]) for axis in axes])
    assert numpy(torch.exp(model.prior.log_density(grid))).sum() * cell == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("prior", GAUSSIAN_PRIORS)
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


@pytest.mark.parametrize("prior", GAUSSIAN_PRIORS)
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
        assert parameter.grad is not None, name
        # no point lies in some pieces of a spline
        assert (parameter.grad != 0).any() if prior == "flow" else (parameter.grad != 0).all(), name


@each_prior
def test_far_away_the_density_is_tiny_but_finite(prior: str, device: str) -> None:
    model = model_with(prior, 2, device)
    z = torch.full((1, 2), 1e3, dtype=torch.float64, device=device, requires_grad=True)
    density = model.prior.log_density(z)
    density.sum().backward()
    assert -1e12 < density.item() < -1e3
    assert torch.isfinite(z.grad).all()
    assert torch.isfinite(model.prior.cluster_probabilities(z)).all()


def test_the_start_of_a_mixture_is_drawn_from_the_generator_and_covers_the_plane(device: str) -> None:
    starts = [mixture_of(build_model(prior="mixture", components=30, seed=s).prior, 2).means for s in (1, 1, 2)]
    np.testing.assert_array_equal(starts[0], starts[1])
    assert not np.allclose(starts[0], starts[2])
    assert (starts[0].std(axis=0) > 0.5).all()


REACH = {"flow": 9.0, "pinwheel": 1.8, "swissroll": 4.0, "square": 1.6}


def squares(values: np.ndarray, reach: float, n: int) -> np.ndarray:
    """Which of n by n squares of [-reach, reach]^2 each row lies in."""
    cells = np.clip(((values + reach) / (2 * reach) * n).astype(int), 0, n - 1)
    return cells[:, 0] * n + cells[:, 1]


@pytest.mark.parametrize("prior", REACH)
def test_draws_fill_squares_as_the_density_says(prior: str, device: str) -> None:
    """Probabilities of squares by integration of the density sum to one and are met by draws (chi-squared)."""
    model, reach, n = model_with(prior, 2, device), REACH[prior], 12
    per = {"pinwheel": 48, "square": 25, "swissroll": 25, "flow": 20}[prior]  # spacings of at most 1.3 scales
    axis = (torch.arange(n * per, dtype=torch.float64, device=device) + 0.5) / (n * per) * 2 * reach - reach
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1)
    with torch.no_grad():
        mass = torch.exp(model.prior.log_density(grid)) * (2 * reach / (n * per)) ** 2
    expected = numpy(mass).reshape(n, per, n, per).sum(axis=(1, 3)).ravel()
    assert expected.sum() == pytest.approx(1, abs=2e-3)
    z = numpy(model.prior.sample(20_000, noise_for(model, 3)))
    counts = np.bincount(squares(z, reach, n), minlength=n * n)
    often = expected * 20_000 > 5
    pooled = [np.append(v[often], v[~often].sum()) for v in (counts, expected * 20_000)]
    statistic = (np.square(pooled[0] - pooled[1]) / np.maximum(pooled[1], 1)).sum()
    assert chi2.sf(statistic, often.sum()) > 1e-3


def test_the_spline_flow_is_exact_in_one_dimension_too(device: str) -> None:
    model = model_with("flow", 1, device)
    grid = torch.linspace(-12, 12, 20_001, dtype=torch.float64, device=device)[:, None]
    density = numpy(torch.exp(model.prior.log_density(grid)))
    assert density.sum() * 24 / 20_000 == pytest.approx(1, abs=1e-5)
    z = numpy(model.prior.sample(20_000, noise_for(model, 3)))[:, 0]
    cumulative = density.cumsum() * 24 / 20_000
    assert kstest(z, lambda v: np.interp(v, numpy(grid)[:, 0], cumulative)).pvalue > 1e-3


@pytest.mark.parametrize("prior", CURVES)
def test_the_nodes_of_a_curve_are_dense_enough(prior: str, device: str) -> None:
    model = model_with(prior, 2, device)
    z = model.prior.sample(600, noise_for(model, 3))
    points, weights = curves._nodes(prior, 2 * curves.CURVES[prior].nodes)
    twice = all_nodes(z, points.to(z), weights.to(z), curves.CURVES[prior].std)
    np.testing.assert_allclose(numpy(model.prior.log_density(z)), twice, atol=1e-4)


def all_nodes(z: torch.Tensor, points: torch.Tensor, weights: torch.Tensor, std: float) -> np.ndarray:
    """log-density of z as the plain sum over all nodes, some hundred rows at once."""
    parts = []
    for part in z.split(200):
        square = (part[:, None] - points).square().sum(-1)
        parts.append(torch.logsumexp(weights.log() - 0.5 * square / std**2, -1) - np.log(2 * np.pi * std**2))
    return numpy(torch.cat(parts))


def test_the_nodes_near_a_point_are_all_that_the_pinwheel_needs(device: str) -> None:
    """As its module says: within 1e-9 where log p > -500, and within log 5 in the hub, where all arms are far."""
    model = model_with("pinwheel", 2, device)
    prior = model.prior
    generator = np.random.default_rng(0)
    about = prior.sample(700, noise_for(model, 3)) + torch.as_tensor(0.03 * generator.normal(size=(700, 2))).to(device)
    hub = torch.as_tensor(generator.normal(size=(100, 2)) * 0.01).to(device)
    for z, atol, least, most in ((about, 1e-9, -500, 10), (hub, np.log(5), -2000, -1000)):
        expected = all_nodes(z, prior.points, prior.log_weight.exp(), 0.005)
        near = (expected > least) & (expected < most)
        assert near.mean() > 0.9
        np.testing.assert_allclose(numpy(prior.log_density(z))[near], expected[near], rtol=0, atol=atol)


def test_the_curves_have_the_shapes_of_the_paper(device: str) -> None:
    def drawn(prior: str) -> np.ndarray:
        model = model_with(prior, 2, device)
        return numpy(model.prior.sample(4000, noise_for(model, 3)))

    square = np.abs(drawn("square")).max(axis=1)
    assert np.abs(square - 1).max() < 5 * 0.06 and 0.03 < square.std() < 0.07
    roll = drawn("swissroll")
    radius, angle = np.hypot(*roll.T), np.arctan2(roll[:, 1], roll[:, 0])
    turn = (1.5 * np.pi * radius - angle + np.pi) % (2 * np.pi) - np.pi  # 4.5 pi sqrt(t) and radius 3 sqrt(t)
    assert np.median(np.abs(turn[radius > 1])) < 0.4
    assert radius.max() < 3.5 and np.square(radius / 3).mean() == pytest.approx(0.5, abs=0.05)  # t is uniform
    wheel = drawn("pinwheel")
    radius, angle = np.hypot(*wheel.T), np.arctan2(wheel[:, 1], wheel[:, 0])
    assert radius.mean() == pytest.approx(1, abs=0.02) and radius.std() == pytest.approx(0.15, abs=0.01)
    arm = (angle - 0.25 * np.exp(radius)) / (2 * np.pi / 10)
    assert np.abs(arm - arm.round()).max() < 0.2
    assert len(np.unique(arm.round() % 10)) == 10


def test_arms_of_the_pinwheel_are_its_clusters(device: str) -> None:
    model = model_with("pinwheel", 2, device)
    z = model.prior.sample(500, noise_for(model, 3))
    shares = numpy(model.prior.cluster_probabilities(z))
    assert shares.shape == (500, 10) and np.median(shares.max(axis=1)) > 0.999
    assert len(np.unique(shares.argmax(axis=1))) == 10


def test_free_components_that_hold_nothing_are_dropped_and_the_rest_stays(device: str) -> None:
    model = build_model("gaussian", "mixture-free", components=6, seed=3, device=device)
    prior = model.prior
    assert isinstance(prior, FreeMixture)
    with torch.no_grad():
        prior.logits[:2] -= 20
    z = prior.sample(200, noise_for(model, 1)).detach()
    before, kept = numpy(prior.log_density(z)), numpy(prior.means)[2:]
    model.prune()
    assert model.config.components == len(prior.means) == 4
    np.testing.assert_array_equal(numpy(prior.means), kept)
    np.testing.assert_allclose(numpy(prior.log_density(z)), before, atol=1e-4)
    fixed = build_model("gaussian", "mixture", components=6, device=device)
    fixed.prune()
    assert fixed.config.components == 6


@pytest.mark.parametrize("prior", ["mixture-free", "vamp"])
def test_components_of_any_shape_are_clustered_by_modes(prior: str, device: str) -> None:
    model = build_model("gaussian", prior, components=8, seed=2, device=device)
    oracle = mixture_of(model.prior, 2)
    modes = oracle.climb(oracle.means)
    found = numpy(model.prior.cluster_probabilities(torch.as_tensor(modes, device=device)))
    apart = np.linalg.norm(modes[:, None] - modes[None], axis=-1)
    assert found.shape[1] == len(np.unique(modes.round(2), axis=0))
    together = found.argmax(axis=1)[:, None] == found.argmax(axis=1)[None]
    assert together[apart < 1e-3].all()
