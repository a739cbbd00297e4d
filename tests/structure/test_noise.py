"""The noise floor: silent on noise, right on planted populations, honest about linked variants."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import simulate_structure

from genovi.genotypes.matrix import GenotypeMatrix
from genovi.seeding import Seeds
from genovi.structure.noise import NoiseFloor
from genovi.structure.pca import PrincipalAxes, fit_axes
from genovi.structure.standardise import Standardiser

SHAPES = [
    (60, 2000), (200, 1000), (300, 300), (400, 150), pytest.param(1000, 100, marks=pytest.mark.verification)
]  # fmt: skip


def varying(matrix: GenotypeMatrix) -> GenotypeMatrix:
    dosages = matrix.dosages()
    return matrix.take_variants((dosages.min(axis=1) < 2) & (dosages.max(axis=1) > 0))


def axes_of(matrix: GenotypeMatrix) -> PrincipalAxes:
    return fit_axes(matrix, Standardiser.fit(matrix), 30, Seeds(0))[0]


@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_pure_noise_has_no_significant_axis_and_the_moments_of_theory(n: int, p: int) -> None:
    found = []
    for seed in range(8):
        axes = axes_of(varying(simulate_structure(seed, 1, n, p, 0.0)[0]))
        found.append(axes.noise.significant)
        # independent standardised genotypes: variance 1, as many effective variants as variants, law's edge
        assert axes.noise.variance == pytest.approx(1, rel=0.1)
        assert axes.noise.effective_variants == pytest.approx(p, rel=0.1)
        assert axes.noise.edge == pytest.approx((1 + np.sqrt(p / n)) ** 2, rel=0.05)
        assert axes.eigenvalues[0] == pytest.approx(axes.noise.edge, rel=0.08)
    assert sum(found) <= 1  # 40 tries at 1 % in all


@pytest.mark.parametrize(
    ("k", "n_per", "p", "fst"), [(2, 30, 1000, 0.05), (3, 30, 1500, 0.05), (5, 20, 2000, 0.06), (8, 40, 1500, 0.02)]
)
def test_planted_populations_are_counted(k: int, n_per: int, p: int, fst: float) -> None:
    for seed in range(3):
        noise = axes_of(varying(simulate_structure(seed, k, n_per, p, fst)[0])).noise
        assert k - 1 <= noise.significant <= k
        assert noise.effective_variants == pytest.approx(p, rel=0.1)


def test_structure_too_weak_to_see_is_not_seen() -> None:
    # F_ST * n * variants^0.5 far under the transition of Patterson, Price, Reich (2006)
    assert axes_of(varying(simulate_structure(0, 2, 30, 300, 0.0005)[0])).noise.significant == 0


@pytest.mark.parametrize(("n", "p"), [(12, 20000), (20, 5000), (60, 2000), (200, 1000)])
def test_axes_that_do_not_stand_out_are_noise_altogether_in_cohorts_of_any_size(n: int, p: int) -> None:
    axes = axes_of(varying(simulate_structure(1, 1, n, p, 0.0)[0]))
    under = axes.eigenvalues <= axes.noise.edge
    assert under.sum() >= 8
    np.testing.assert_allclose(axes.score_noise[under], axes.eigenvalues[under], rtol=1e-9)


@pytest.mark.parametrize(("n", "p", "strength"), [(30, 3000, 0.3), (60, 600, 0.8), (200, 400, 2.0)])
def test_noise_of_an_axis_is_what_its_direction_misses_of_the_truth(n: int, p: int, strength: float) -> None:
    """Of a planted axis u, with samples' scores along the axis found, 1 - (u . found)^2 is the share of noise."""
    missed, expected = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        u = rng.normal(size=n)
        u -= u.mean()
        u /= np.linalg.norm(u)
        x = rng.normal(size=(n, p)) + np.sqrt(strength) * np.outer(u, rng.normal(size=p))  # a spike of that strength
        x -= x.mean(axis=0)
        values, vectors = np.linalg.eigh(x @ x.T)
        values, vectors = values[::-1], vectors[:, ::-1]
        noise = NoiseFloor.fit(values[:10], values.sum(), (values**2).sum(), n)
        axes = PrincipalAxes(np.zeros((p, 1), np.float32), np.sqrt(values[:1]), n, noise)
        missed.append(1 - (vectors[:, 0] @ u) ** 2)
        expected.append(axes.score_noise[0] / axes.eigenvalues[0])
    assert np.mean(expected) == pytest.approx(np.mean(missed), rel=0.1)


@pytest.mark.parametrize("copies", [2, 5])
def test_linked_variants_count_once(copies: int) -> None:
    matrix = varying(simulate_structure(4, 3, 40, 800, 0.05)[0])
    linked = matrix.take_variants(np.repeat(np.arange(matrix.n_variants), copies))
    one, many = axes_of(matrix).noise, axes_of(linked).noise
    assert many.effective_variants == pytest.approx(one.effective_variants, rel=0.01)
    assert many.variance == pytest.approx(copies * one.variance, rel=0.01)
    assert many.edge == pytest.approx(copies * one.edge, rel=0.01)
    assert many.significant == one.significant == 2


def test_noise_of_projected_samples_is_the_variance() -> None:
    # scores of samples that the axes have not seen, on noise axes: variance along a fixed unit axis
    matrix = simulate_structure(5, 1, 600, 400, 0.0)[0]
    old = varying(matrix.take_samples(np.arange(300)))
    standardiser = Standardiser.fit(old)
    axes, _ = fit_axes(old, standardiser, 30, Seeds(0))
    new = matrix.take_samples(np.arange(300, 600))
    scores = standardiser.transform(new, slice(None)).T @ axes.loadings
    assert scores.var(axis=0).mean() == pytest.approx(axes.noise.variance, rel=0.05)


def test_it_survives_degenerate_spectra() -> None:
    for leading, trace, square, n in (([4.0], 4.0, 16.0, 2), ([3.0, 1.0], 4.0, 10.0, 3), ([1.0] * 5, 5.0, 5.0, 6)):
        noise = NoiseFloor.fit(np.array(leading), trace, square, n)
        assert all(np.isfinite(list(noise.to_dict().values())))
        assert noise.variance > 0
        assert noise.edge > 0
        assert 0 <= noise.significant <= len(leading)
