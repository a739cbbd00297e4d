"""Baselines: they find simulated structure, repeat themselves, keep to themselves, and take small cohorts."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from collections.abc import Callable

import numpy as np
import pytest

from genovi.baselines import pca_embedding, tsne_embedding, umap_embedding, umap_inductive
from genovi.embedding import Embedding
from genovi.errors import ConfigError, DataError, MismatchError
from genovi.seeding import Seeds

Method = Callable[[np.ndarray, tuple[str, ...], Seeds], Embedding]
METHODS: dict[str, Method] = {
    "pca": lambda pcs, samples, _: pca_embedding(pcs, samples),
    "tsne": tsne_embedding,
    "umap": umap_embedding,
}
STOCHASTIC = ["tsne", "umap"]


def clouds(n_per: int = 25, k: int = 4, spread: float = 0.4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three clouds in k dimensions, and which cloud each point is of."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(scale=4.0, size=(3, k))
    truth = np.repeat(np.arange(3), n_per)
    return centres[truth] + spread * rng.normal(size=(3 * n_per, k)), truth


def names(n: int, prefix: str = "s") -> tuple[str, ...]:
    return tuple(f"{prefix}{i}" for i in range(n))


def nearest_agrees(points: np.ndarray, truth: np.ndarray) -> float:
    """Share of points whose nearest other point is of the same cloud."""
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    return float((truth[distance.argmin(axis=1)] == truth).mean())


@pytest.mark.parametrize("method", METHODS)
def test_every_method_shows_the_clouds(method: str) -> None:
    pcs, truth = clouds()
    before = pcs.copy()
    embedding = METHODS[method](pcs, names(len(pcs)), Seeds(1))
    assert embedding.method == method
    assert embedding.samples == names(len(pcs))
    assert embedding.mean.shape == (len(pcs), 2)
    assert embedding.mean.dtype == np.float64
    assert embedding.std is None
    assert embedding.cluster is None
    assert np.array_equal(pcs, before)
    assert nearest_agrees(embedding.mean, truth) == 1.0
    shuffled = np.random.default_rng(0).permutation(truth)
    assert nearest_agrees(embedding.mean, shuffled) < 0.6


@pytest.mark.parametrize("method", STOCHASTIC)
def test_same_seed_same_result_and_no_global_state(method: str) -> None:
    pcs, _ = clouds()
    np.random.seed(3)
    state = str(np.random.get_state())
    first = METHODS[method](pcs, names(len(pcs)), Seeds(1)).mean
    assert str(np.random.get_state()) == state
    np.random.seed(4)
    assert np.array_equal(METHODS[method](pcs, names(len(pcs)), Seeds(1)).mean, first)


def test_another_seed_another_umap() -> None:
    pcs, _ = clouds()
    first, second = (umap_embedding(pcs, names(len(pcs)), Seeds(seed)).mean for seed in (1, 2))
    assert not np.allclose(first, second)


@pytest.mark.parametrize("method", STOCHASTIC)
@pytest.mark.parametrize("n", [4, 5, 8, 15, 16, 17])
def test_small_cohorts_reduce_the_neighbourhood(method: str, n: int, caplog: pytest.LogCaptureFixture) -> None:
    pcs = np.random.default_rng(n).normal(size=(n, 3))
    with caplog.at_level(logging.INFO, "genovi"):
        embedding = METHODS[method](pcs, names(n), Seeds(1))
    assert embedding.mean.shape == (n, 2)
    assert np.isfinite(embedding.mean).all()
    assert ("reduced" in caplog.text) == (n <= 15 or method == "tsne")


def test_separate_clouds_give_umap_no_warning() -> None:
    # Two far clouds of more points than neighbours: the graph falls apart, which UMAP's start warns of.
    pcs = np.random.default_rng(40).normal(size=(40, 3))
    pcs[20:] += 100
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        embedding = umap_embedding(pcs, names(40), Seeds(1), n_neighbors=2)
    assert [str(warning.message) for warning in seen] == []
    assert nearest_agrees(embedding.mean, np.repeat([0, 1], 20)) == 1.0


def test_identical_samples_are_embedded() -> None:
    pcs = np.repeat(np.random.default_rng(0).normal(size=(5, 3)), 6, axis=0)
    for method in METHODS.values():
        assert np.isfinite(method(pcs, names(30), Seeds(1)).mean).all()


def test_min_dist_spreads_umap() -> None:
    pcs, _ = clouds()

    def closest(min_dist: float) -> float:
        points = umap_embedding(pcs, names(len(pcs)), Seeds(1), min_dist=min_dist).mean
        distance = np.linalg.norm(points[:, None] - points[None], axis=2)
        np.fill_diagonal(distance, np.inf)
        return float(np.median(distance.min(axis=1)))

    assert closest(0.5) > 1.5 * closest(0.01)


def test_umap_places_new_samples_among_their_own() -> None:
    pcs, truth = clouds()
    new, new_truth = clouds(n_per=5, seed=1)
    train, test = umap_inductive(pcs, names(len(pcs)), new, names(len(new), "n"), Seeds(1))
    assert train.samples == names(len(pcs))
    assert test.samples == names(len(new), "n")
    distance = np.linalg.norm(test.mean[:, None] - train.mean[None], axis=2)
    assert (truth[distance.argmin(axis=1)] == new_truth).all()
    again = umap_inductive(pcs, names(len(pcs)), new, names(len(new), "n"), Seeds(1))[1]
    assert np.array_equal(again.mean, test.mean)
    assert np.array_equal(train.mean, umap_embedding(pcs, names(len(pcs)), Seeds(1)).mean)


def test_umap_places_a_single_new_sample_in_a_tiny_cohort() -> None:
    pcs = np.random.default_rng(0).normal(size=(6, 3))
    test = umap_inductive(pcs, names(6), pcs[:1], ("new",), Seeds(1))[1]
    assert test.mean.shape == (1, 2)
    assert np.isfinite(test.mean).all()


def test_pca_keeps_the_first_axes() -> None:
    pcs, _ = clouds()
    assert np.array_equal(pca_embedding(pcs, names(len(pcs)), n=3).mean, pcs[:, :3])
    for n in (0, 5):
        with pytest.raises(ConfigError, match=f"{n} components asked for"):
            pca_embedding(pcs, names(len(pcs)), n=n)


def test_bad_arguments_are_refused() -> None:
    pcs, _ = clouds(n_per=5)
    samples = names(15)
    broken = pcs.copy()
    broken[3, 1] = np.nan
    for method in METHODS.values():
        with pytest.raises(DataError, match=r"not finite \(sample s3\)"):
            method(broken, samples, Seeds(1))
        with pytest.raises(DataError, match="for 14 samples"):
            method(pcs, samples[:14], Seeds(1))
    for name in STOCHASTIC:
        with pytest.raises(DataError, match="3 samples are too few"):
            METHODS[name](pcs[:3], samples[:3], Seeds(1))
    with pytest.raises(ConfigError, match="n_neighbors"):
        umap_embedding(pcs, samples, Seeds(1), n_neighbors=1)
    with pytest.raises(ConfigError, match="4 dimensions"):
        tsne_embedding(pcs, samples, Seeds(1), n_dimensions=4)
    with pytest.raises(MismatchError, match="4 components, test samples 2"):
        umap_inductive(pcs, samples, pcs[:, :2], samples, Seeds(1))


def test_importing_baselines_loads_nothing_heavy() -> None:
    code = "import sys, genovi.baselines; print([m for m in ('umap', 'numba', 'sklearn', 'torch') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
