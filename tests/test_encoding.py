"""Encoding: each row on its own, spread above zero, clusters numbered from one, moments of the model's posterior."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from genovi.embedding import Embedding
from genovi.encoding import Components, encode
from genovi.model.config import ModelConfig
from genovi.model.densities import Noise
from genovi.model.quadrature import integrate
from genovi.model.vae import LatentModel
from genovi.seeding import Seeds
from genovi.training.config import TrainingConfig
from genovi.training.loop import fit
from genovi.training.monitor import Monitor

CPU = torch.device("cpu")
CONFIG = ModelConfig(hidden=16, steps=2, components=5)
CONFIGS = {
    "ddvi": CONFIG,
    "gaussian": replace(CONFIG, posterior="gaussian"),
    "normal prior": replace(CONFIG, prior="normal"),
    "three axes": replace(CONFIG, latent_dim=3),
    "one axis": replace(CONFIG, latent_dim=1),
}


def model_of(config: ModelConfig, k: int = 4) -> LatentModel:
    return LatentModel(config, torch.linspace(3, 1, k), torch.Generator().manual_seed(1)).eval()


def data(n: int, k: int = 4) -> np.ndarray:
    return np.random.default_rng(2).normal(size=(n, k)) * np.linspace(3, 1, k)


def embed(model: LatentModel, x: np.ndarray, seed: int = 3, excess: np.ndarray | None = None) -> Embedding:
    components = Components(x, np.linspace(0, 0.5, len(x)), excess)
    return encode(model, components, [f"s{i}" for i in range(len(x))], seed, CPU)


@pytest.mark.parametrize("name", CONFIGS)
def test_an_embedding_has_sensible_values(name: str) -> None:
    config = CONFIGS[name]
    embedding = embed(model_of(config), data(60))
    assert embedding.samples == tuple(f"s{i}" for i in range(60))
    assert embedding.mean.shape == (60, config.latent_dim)
    assert embedding.std is not None
    assert embedding.cluster is not None
    assert embedding.cluster_prob is not None
    for values in (embedding.mean, embedding.std, embedding.cluster_prob):
        assert values.dtype == np.float64
        assert np.isfinite(values).all()
    assert (embedding.std > 0).all()
    assert ((embedding.cluster_prob > 0) & (embedding.cluster_prob <= 1)).all()
    assert embedding.cluster.dtype == np.int64
    assert embedding.cluster.min() >= 1
    assert embedding.cluster.max() <= (1 if config.prior == "normal" else config.components)
    assert embedding.method == config.posterior
    np.testing.assert_array_equal(embedding.missing, np.linspace(0, 0.5, 60))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_row_does_not_depend_on_the_others(name: str) -> None:
    model, x = model_of(CONFIGS[name]), data(50)
    together = embed(model, x)
    order = np.random.default_rng(4).permutation(50)
    shuffled = embed(model, x[order])
    np.testing.assert_allclose(shuffled.mean, together.mean[order], atol=1e-4)
    np.testing.assert_allclose(shuffled.std, together.std[order], atol=1e-4)
    np.testing.assert_array_equal(shuffled.cluster, together.cluster[order])
    for i in (0, 31):
        alone = embed(model, x[i : i + 1])
        np.testing.assert_allclose(alone.mean[0], together.mean[i], atol=1e-4)
        np.testing.assert_allclose(alone.std[0], together.std[i], atol=1e-4)
        np.testing.assert_allclose(alone.cluster_prob[0], together.cluster_prob[i], atol=1e-4)


def test_equal_samples_have_equal_rows_in_all_parts_of_a_large_input() -> None:
    model = model_of(replace(CONFIG, posterior="gaussian", latent_dim=1))
    embedding = embed(model, np.repeat(data(1), 4200, axis=0))  # more than are encoded at once
    np.testing.assert_allclose(embedding.mean, embedding.mean[:1].repeat(4200, axis=0), atol=1e-4)
    np.testing.assert_allclose(embedding.std, embedding.std[:1].repeat(4200, axis=0), atol=1e-4)


def test_encoding_leaves_the_global_generator_alone() -> None:
    model = model_of(CONFIG)
    before = torch.get_rng_state()
    embed(model, data(5))
    assert torch.equal(torch.get_rng_state(), before)


def clusters(n: int) -> np.ndarray:
    """Three groups, two units of noise apart and more, on two of three columns."""
    rng = np.random.default_rng(5)
    centres = np.array([[0.0, 0, 0], [4, 0, 0], [0, 3, 0]])
    return centres[np.arange(n) % 3] + rng.normal(size=(n, 3))


@pytest.fixture(scope="module", params=["ddvi", "gaussian"])
def trained(request: pytest.FixtureRequest) -> LatentModel:
    training = TrainingConfig(epochs=0, steps=300, batch_size=64, device="cpu", threads=1)
    return fit(clusters(150), replace(CONFIG, hidden=64, posterior=request.param), training, Seeds(1), Monitor()).model


def test_the_seed_decides_and_changes_little(trained: LatentModel) -> None:
    first, again, other = (
        embed(trained, clusters(30), 3),
        embed(trained, clusters(30), 3),
        embed(trained, clusters(30), 4),
    )
    np.testing.assert_array_equal(again.mean, first.mean)
    np.testing.assert_array_equal(again.std, first.std)
    assert not np.array_equal(other.mean, first.mean)
    # 256 even points in two dimensions
    assert first.std is not None
    assert (np.abs(other.mean - first.mean) < 0.1 * first.std).all()


def test_means_and_spreads_tend_to_those_of_the_models_own_posterior(
    trained: LatentModel,
) -> None:
    """p(z|x) by a sum over a grid, which knows nothing of the encoder."""
    x = clusters(6)
    axis = torch.linspace(-6, 6, 301)
    grid = torch.cartesian_prod(axis, axis)
    got = embed(trained, x)
    assert got.std is not None
    for i, row in enumerate(torch.as_tensor(x, dtype=torch.float32)):
        with torch.no_grad():
            log_joint = trained.prior.log_density(grid) + trained.likelihood.log_density(row, grid)
        weight = torch.softmax(log_joint.double(), 0)[:, None]
        mean = (weight * grid).sum(0)
        std = (weight * (grid - mean).square()).sum(0).sqrt().numpy()
        assert (np.abs(got.mean[i] - mean.numpy()) < 0.1 * std).all()
        np.testing.assert_allclose(got.std[i], std, rtol=0.15)


def test_groups_that_the_model_learned_lie_apart(trained: LatentModel) -> None:
    mean = embed(trained, clusters(60)).mean
    centres = np.array([mean[group::3].mean(axis=0) for group in range(3)])
    within = max(np.linalg.norm(mean[group::3] - centres[group], axis=1).mean() for group in range(3))
    between = min(np.linalg.norm(centres[i] - centres[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    assert between > 2 * within


def test_samples_far_from_all_training_samples_keep_finite_rows() -> None:
    x = np.array([[60.0, 0, 0, 0], [0, 0, 0, -40], [1000, 1000, 1000, 1000]])
    embedding = embed(model_of(CONFIG), x)
    assert embedding.std is not None
    assert np.isfinite(embedding.mean).all()
    assert (embedding.std > 0).all()


def test_samples_unlike_any_keep_their_uncertainty(trained: LatentModel) -> None:
    """The encoder has never seen such data and misses their posterior, which must not make them look certain."""
    x = clusters(6) + np.array([0, 0, 12.0])
    got = embed(trained, x)
    assert got.std is not None
    edge = torch.tensor([9.0, 9])
    exact = integrate(trained, torch.as_tensor(x, dtype=torch.float32), -edge, edge, 400)
    assert (np.abs(got.mean - exact.mean.numpy()) < 0.4 * exact.std.numpy()).all()
    np.testing.assert_allclose(got.std, exact.std.numpy(), rtol=0.25)


def excess_of(n: int, sizes: float, k: int = 3) -> np.ndarray:
    """Covariance that is large along one direction, askew to the axes, and small along the others."""
    turn = np.linalg.qr(np.random.default_rng(8).normal(size=(k, k)))[0]
    return np.repeat((turn * (sizes * np.array([1.0, 0.1, 0.02]))) @ turn.T, n).reshape(k, k, n).transpose(2, 0, 1)


@pytest.mark.parametrize("size", [0.03, 0.3, 3.0, 30.0, 1e4])
def test_incomplete_samples_get_the_posterior_under_their_own_noise(trained: LatentModel, size: float) -> None:
    x = clusters(12)
    excess = excess_of(12, size)
    got = embed(trained, x, excess=excess)
    assert got.std is not None
    complete = embed(trained, x)
    assert complete.std is not None
    exact = integrate(
        trained, torch.as_tensor(x[1:], dtype=torch.float32), torch.tensor([-7.0, -7]), torch.tensor([7.0, 7]), 400,
        torch.as_tensor(excess[1:]),
    )  # fmt: skip
    assert (np.abs(got.mean[1:] - exact.mean.numpy()) < 0.15 * exact.std.numpy()).all()
    np.testing.assert_allclose(got.std[1:], exact.std.numpy(), rtol=0.15)
    # the first one is complete (missing share 0), and unmoved by its company
    np.testing.assert_allclose(got.mean[0], complete.mean[0], atol=1e-5)


def test_where_nothing_is_known_the_posterior_is_the_prior(trained: LatentModel) -> None:
    got = embed(trained, clusters(12), excess=1e9 * np.repeat(np.eye(3)[None], 12, axis=0))
    assert got.std is not None
    with torch.no_grad():
        prior = trained.prior.sample(20_000, Noise(torch.Generator().manual_seed(1)))
    np.testing.assert_allclose(got.std[1:], prior.std(0).numpy()[None].repeat(11, axis=0), rtol=0.1)
    assert (np.abs(got.mean[1:] - prior.mean(0).numpy()) < 0.15 * prior.std(0).numpy()).all()


def test_less_information_never_makes_a_position_more_certain(trained: LatentModel) -> None:
    spreads = [embed(trained, clusters(30), excess=excess_of(30, size)).std for size in (0.01, 1.0, 100.0)]
    area = [np.prod(std[1:], axis=1).mean() for std in spreads if std is not None]
    assert area[0] < area[1] < area[2]


def test_misfit_is_about_one_for_the_models_own_data_and_large_elsewhere(trained: LatentModel) -> None:
    stream = Noise(torch.Generator().manual_seed(2))
    with torch.no_grad():
        x = trained.likelihood.sample(trained.prior.sample(300, stream), stream).numpy().astype(np.float64)
    own = embed(trained, x).misfit
    assert own is not None
    # two of three degrees of freedom went into the position
    assert 0.2 < own.mean() < 1.0
    elsewhere = x + np.array([0, 0, 12.0])
    far = embed(trained, elsewhere).misfit
    assert far is not None
    assert (far > own.max()).all()
    hidden = np.repeat(np.diag([0, 0, 1e4])[None], 300, axis=0)
    unseen = embed(trained, elsewhere, excess=hidden).misfit
    assert unseen is not None
    assert unseen[1:].mean() < 1.0  # what a sample lacks cannot speak against it


def test_samples_that_miss_little_do_not_depend_on_those_that_miss_much(trained: LatentModel) -> None:
    x, excess = clusters(12), excess_of(12, 1.0)
    excess[::3] *= 1e-4
    excess[::4] *= 1e-2
    blur = trained.likelihood.blur(torch.as_tensor(excess))
    assert 2 < (blur < 0.25).sum() < 9
    together = embed(trained, x, excess=excess)
    for half in (slice(0, 6), slice(6, 12), slice(1, 12, 2)):
        components = Components(x[half], np.linspace(0, 0.5, 12)[half], excess[half])
        apart = encode(trained, components, together.samples[half], 3, CPU)
        np.testing.assert_allclose(apart.mean, together.mean[half], atol=1e-5)
        np.testing.assert_allclose(apart.std, together.std[half], rtol=1e-4)  # type: ignore[arg-type, index]
