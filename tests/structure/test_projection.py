"""Projection: least squares on what is observed, each sample on its own, shrinkage taken back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from helpers import real_data, simulate_structure, with_children

from genovi.genotypes.filtering import apply_qc
from genovi.genotypes.matrix import GenotypeMatrix, pack
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.reading import open_genotypes
from genovi.seeding import Seeds
from genovi.structure.noise import NoiseFloor
from genovi.structure.pca import PrincipalAxes, fit_axes
from genovi.structure.projection import project, sample_blocks, shrinkage
from genovi.structure.standardise import Standardiser


@dataclass(frozen=True)
class Split:
    """Axes of the training samples, their scores, and held-out samples of the same populations."""

    standardiser: Standardiser
    axes: PrincipalAxes
    scores: np.ndarray
    training: GenotypeMatrix
    held_out: GenotypeMatrix

    @staticmethod
    def of(matrix: GenotypeMatrix, held_out: np.ndarray, k: int) -> Split:
        training = matrix.take_samples(~held_out)
        frequency = training.dosages().clip(0).mean(axis=1) / 2
        common = (frequency > 0.01) & (frequency < 0.99)
        training = training.take_variants(common)
        standardiser = Standardiser.fit(training)
        axes, scores = fit_axes(training, standardiser, k, Seeds(0))
        return Split(standardiser, axes, scores, training, matrix.take_variants(common).take_samples(held_out))

    def project(self, matrix: GenotypeMatrix, training: bool = False) -> np.ndarray:
        return project(self.axes, self.standardiser, matrix, training=training).scores

    def zero_filled(self, matrix: GenotypeMatrix) -> np.ndarray:
        """What a projection that takes missing genotypes for the mean gives."""
        return self.standardiser.transform(matrix, slice(None)).T @ self.axes.loadings / shrinkage(self.axes)


def simulated(seed: int, n_per: int = 60, n_variants: int = 4000, fst: float = 0.02) -> Split:
    """Four populations, so three axes, of n much smaller than p."""
    matrix, _ = simulate_structure(seed, 4, n_per, n_variants, fst)
    return Split.of(matrix, np.arange(matrix.n_samples) % 4 == 0, 6)


@pytest.fixture(scope="module")
def split() -> Split:
    return simulated(0)


def masked(matrix: GenotypeMatrix, mask: np.ndarray) -> GenotypeMatrix:
    dosages = matrix.dosages().copy()
    dosages[mask] = -1
    return GenotypeMatrix(pack(dosages), matrix.samples, matrix.variants)


def test_complete_samples_are_multiplied_by_the_loadings(split: Split) -> None:
    x = split.standardiser.transform(split.held_out, slice(None)).T.astype(np.float64)
    np.testing.assert_allclose(split.project(split.held_out, training=True), x @ split.axes.loadings, atol=1e-3)
    corrected = x @ split.axes.loadings / shrinkage(split.axes)
    np.testing.assert_allclose(split.project(split.held_out), corrected, atol=1e-3)


def test_training_samples_get_their_training_scores(split: Split) -> None:
    found = project(split.axes, split.standardiser, split.training, training=True)
    np.testing.assert_allclose(found.scores, split.scores, atol=1e-3 * split.axes.singular_values[0])
    np.testing.assert_array_equal(found.missing, 0)


def test_missing_sites_are_left_out_of_a_least_squares_fit(split: Split) -> None:
    rng = np.random.default_rng(2)
    matrix = masked(split.held_out, rng.random((split.held_out.n_variants, split.held_out.n_samples)) < 0.3)
    found = project(split.axes, split.standardiser, matrix, training=True)
    dosages = matrix.dosages()
    np.testing.assert_allclose(found.missing, (dosages < 0).mean(axis=0))
    x = split.standardiser.transform(matrix, slice(None)).astype(np.float64)
    for i in (0, 7, 59):
        seen = dosages[:, i] >= 0
        expected = np.linalg.lstsq(split.axes.loadings[seen].astype(np.float64), x[seen, i], rcond=None)[0]
        np.testing.assert_allclose(found.scores[i], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("share", "bias"), [(0.1, 0.03), (0.5, 0.1)])
def test_random_gaps_leave_scores_unbiased_where_zero_filling_shrinks_them(
    split: Split, share: float, bias: float
) -> None:
    rng = np.random.default_rng(3)
    matrix = masked(split.held_out, rng.random((split.held_out.n_variants, split.held_out.n_samples)) < share)
    complete = split.project(split.held_out)[:, :3]

    def slope(scores: np.ndarray) -> float:
        return float((scores[:, :3] * complete).sum() / (complete**2).sum())

    assert slope(split.project(matrix)) == pytest.approx(1, abs=bias)
    assert slope(split.zero_filled(matrix)) == pytest.approx(1 - share, abs=0.05)


def test_samples_with_nearly_nothing_say_how_little_they_know(split: Split) -> None:
    mask = np.ones((split.held_out.n_variants, split.held_out.n_samples), dtype=bool)
    mask[:5] = False
    mask[:, 0] = True  # one without a single genotype
    found = project(split.axes, split.standardiser, masked(split.held_out, mask))
    assert found.excess is not None
    assert found.missing[0] == 1
    np.testing.assert_allclose(found.scores[0], 0, atol=1e-6)
    spread = np.sqrt(split.scores.var(axis=0) + np.einsum("nii->ni", found.excess))
    assert (np.abs(found.scores) < 4 * spread).all()
    assert (np.linalg.eigvalsh(found.excess[0]) > 100 * split.axes.eigenvalues[0]).all()


def test_complete_samples_have_no_excess_noise(split: Split) -> None:
    assert project(split.axes, split.standardiser, split.held_out).excess is None
    mask = np.zeros((split.held_out.n_variants, split.held_out.n_samples), dtype=bool)
    mask[3, 7] = True
    excess = project(split.axes, split.standardiser, masked(split.held_out, mask)).excess
    assert excess is not None
    np.testing.assert_array_equal(np.flatnonzero(excess.any(axis=(1, 2))), [7])


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_scores_vary_about_those_of_the_complete_samples_as_the_excess_noise_says(split: Split, share: float) -> None:
    rng = np.random.default_rng(5)
    mask = rng.random((split.held_out.n_variants, split.held_out.n_samples)) < share
    found = project(split.axes, split.standardiser, masked(split.held_out, mask))
    assert found.excess is not None
    moved = found.scores - split.project(split.held_out)
    distance = np.einsum("ni,nij,nj->n", moved, np.linalg.inv(found.excess), moved)
    # chi-squared of 6 degrees of freedom each: the mean of 60 has a standard deviation of 0.45
    assert distance.mean() == pytest.approx(6, abs=1.5)
    assert np.mean(distance < 12.59) > 0.85  # 95 % quantile


@pytest.mark.parametrize("gaps", [0.0, 0.2])
def test_relatives_of_training_samples_spread_as_far_as_new_samples(split: Split, gaps: float) -> None:
    """A child's noise is half its parents', which is in the axes: the correction for new samples throws it out."""
    n = split.training.n_samples
    parents = [(i, i + 1) for i in range(0, n - 1, 2)]
    family = with_children(split.training, parents)
    children = family.take_samples(np.arange(n, family.n_samples))
    holes = np.random.default_rng(3).random((children.n_variants, children.n_samples)) < gaps
    children = GenotypeMatrix(pack(np.where(holes, -1, children.dosages()).astype(np.int8)), children.samples,
                              children.variants)  # fmt: skip
    shared = np.array([(split.scores[a] + split.scores[b]) / 2 for a, b in parents])
    found = project(split.axes, split.standardiser, children, shared=shared).scores
    naive = project(split.axes, split.standardiser, children).scores
    middle = shared  # of the parents; alleles that a child gets vary about it as much as in an unrelated new sample
    noise = split.axes.noise.edge / 2  # half the variance within families
    beyond = slice(3, None)
    assert ((found - middle)[:, beyond].var(axis=0) < 2.5 * noise / (1 - gaps)).all()
    np.testing.assert_allclose(found.mean(axis=0), middle.mean(axis=0), atol=0.5 * np.sqrt(split.axes.noise.edge))
    assert (naive[:, beyond].var(axis=0) > 3 * found[:, beyond].var(axis=0)).all()


def test_a_copy_of_a_training_sample_gets_its_score(split: Split) -> None:
    copies = project(split.axes, split.standardiser, split.training, shared=split.scores).scores
    np.testing.assert_allclose(copies, split.scores, atol=1e-3)


def test_a_block_of_samples_gets_what_all_together_get(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(sample_blocks(split.held_out))
    assert len(whole) == 1
    monkeypatch.setattr("genovi.structure.projection._SAMPLES", 25)
    parts = list(sample_blocks(split.held_out))
    assert [part.n_samples for part in parts] == [25, 25, 10]
    assert sum((part.samples for part in parts), ()) == split.held_out.samples
    together = np.concatenate([split.project(part) for part in parts])
    np.testing.assert_allclose(together, split.project(split.held_out), atol=1e-3)


def test_a_score_depends_on_its_own_sample_only(split: Split) -> None:
    rng = np.random.default_rng(4)
    mask = rng.random((split.held_out.n_variants, split.held_out.n_samples)) < 0.1
    mask[100:600] = True  # and some that nobody has
    matrix = masked(split.held_out, mask)
    together = project(split.axes, split.standardiser, matrix)
    order = rng.permutation(matrix.n_samples)
    shuffled = project(split.axes, split.standardiser, matrix.take_samples(order))
    np.testing.assert_allclose(shuffled.scores, together.scores[order], atol=1e-3)
    np.testing.assert_array_equal(shuffled.missing, together.missing[order])
    for i in (0, 13):
        alone = project(split.axes, split.standardiser, matrix.take_samples(np.array([i])))
        np.testing.assert_allclose(alone.scores[0], together.scores[i], atol=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_new_samples_spread_as_far_as_training_samples(seed: int) -> None:
    split = simulated(seed)
    significant = split.axes.noise.significant
    assert significant == 3
    trained = split.scores.std(axis=0)[:3]
    corrected = split.project(split.held_out).std(axis=0)[:3] / trained
    short = split.project(split.held_out, training=True).std(axis=0)[:3] / trained
    np.testing.assert_allclose(corrected, 1, atol=0.1)
    assert (short < 0.75).all()


def test_shrinkage_is_that_of_the_spiked_model() -> None:
    # n = 200, p_e = 1000, noise variance 2: spikes l forward through the model, and back
    ratio, spikes = 5.0, np.array([60.0, 15.0, 6.0])
    observed = 2 * spikes * (1 + ratio / (spikes - 1))
    noise = NoiseFloor(variance=2.0, edge=2 * (1 + np.sqrt(ratio)) ** 2, effective_variants=1000.0, significant=3)
    eigenvalues = np.append(observed, [0.9 * noise.edge, 0.5 * noise.edge])
    loadings = np.zeros((10, 5), dtype=np.float32)
    axes = PrincipalAxes(loadings, np.sqrt(eigenvalues * 200), 200, noise)
    expected = np.append((spikes - 1) / (spikes + ratio - 1), [1 / (1 + np.sqrt(ratio))] * 2)
    np.testing.assert_allclose(shrinkage(axes), expected, rtol=1e-9)


@pytest.mark.real
def test_real_samples_spread_as_far_as_training_samples() -> None:
    matrix, _ = apply_qc(open_genotypes([real_data("kgp3/kgp3.bed")]), QCConfig())
    # every other sample keeps the Gram matrix quick
    matrix = matrix.take_samples(np.arange(matrix.n_samples) % 2 == 0)
    held_out = np.zeros(matrix.n_samples, dtype=bool)
    held_out[np.random.default_rng(0).permutation(matrix.n_samples)[: matrix.n_samples // 5]] = True
    split = Split.of(matrix, held_out, 10)
    trained = split.scores.std(axis=0)[:8]
    np.testing.assert_allclose(split.project(split.held_out).std(axis=0)[:8] / trained, 1, atol=0.15)
    assert (split.project(split.held_out, training=True).std(axis=0)[4:8] / trained[4:] < 0.8).all()
