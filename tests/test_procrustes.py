"""Turning one embedding onto another: SciPy's Procrustes is the oracle of the score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cohorts import cohort, panel
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import procrustes
from scipy.stats import ortho_group

from genovi.embedding import Embedding
from genovi.errors import MismatchError
from genovi.plotting.ancestry import plot_ancestry
from genovi.procrustes import align, align_embedding


@given(seed=st.integers(0, 500), d=st.integers(1, 4), n=st.integers(5, 40))
def test_a_turned_and_mirrored_configuration_comes_back(seed: int, d: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    target = rng.normal(size=(n, d))
    turn = ortho_group.rvs(d, random_state=seed) if d > 1 else np.array([[-1.0]])
    found = align(target @ turn + rng.normal(size=d), target)
    np.testing.assert_allclose(found.rotation @ found.rotation.T, np.eye(d), atol=1e-10)
    assert found.score == pytest.approx(1.0)
    np.testing.assert_allclose(
        found.apply(target @ turn + found.centre - (target @ turn).mean(axis=0)), target, atol=1e-9
    )


@given(seed=st.integers(0, 500))
def test_score_and_fit_agree_with_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, two = rng.normal(size=(12, 2)), rng.normal(size=(12, 2))
    found = align(one, two, scaling=True)
    _, _, disparity = procrustes(two, one)
    assert found.score == pytest.approx(np.sqrt(1 - disparity))
    residual = ((found.apply(one) - two) ** 2).sum() / ((two - two.mean(axis=0)) ** 2).sum()
    assert residual == pytest.approx(disparity)


def test_no_other_rotation_fits_better() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(15, 2)), rng.normal(size=(15, 2))
    found = align(one, two)
    best = ((found.apply(one) - two) ** 2).sum()
    for angle in np.linspace(0, 2 * np.pi, 73):
        for mirror in (1.0, -1.0):
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * [1.0, mirror]
            other = (one - one.mean(axis=0)) @ turn.T + two.mean(axis=0)
            assert ((other - two) ** 2).sum() >= best - 1e-9


def test_embeddings_are_aligned_by_shared_samples() -> None:
    whole = cohort()
    order = np.random.default_rng(0).permutation(120)[:90]
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])
    other = Embedding(
        (*(whole.samples[i] for i in order), "stranger"), np.vstack([whole.mean[order] @ quarter + 7, [[7.0, 7.0]]])
    )
    moved, found = align_embedding(other, whole)
    np.testing.assert_allclose(moved.mean[:90], whole.mean[order], atol=1e-9)
    np.testing.assert_allclose(moved.mean[90], [0.0, 0.0], atol=1e-9)
    assert found.shared == 90


def test_what_cannot_be_aligned() -> None:
    one = cohort()
    strangers = Embedding(("x1", "x2", "s3"), np.zeros((3, 2)), method="strangers")
    with pytest.raises(MismatchError, match=r"only 1 sample in common.*x1.*s0"):
        align_embedding(strangers, one)
    with pytest.raises(MismatchError, match="3 axes"):
        align_embedding(cohort(n_dimensions=3), one)
    same = Embedding(one.samples, np.zeros((120, 2)))
    assert align_embedding(same, one)[1].score == 0.0


def test_figures_of_turned_embeddings_agree(tmp_path: Path) -> None:
    one = cohort()
    turned = Embedding(one.samples, one.mean[:, ::-1] * [1.0, -1.0], one.std, method="turned")
    summary = plot_ancestry([turned], tmp_path / "1.png", labels=panel(), align_to=one)
    assert summary.lines()[1] == "turned: Procrustes correlation 1.0000 over 120 shared samples"
    plot_ancestry([one], tmp_path / "2.png", labels=panel())
    from PIL import Image

    with Image.open(tmp_path / "1.png") as a, Image.open(tmp_path / "2.png") as b:
        difference = np.abs(np.asarray(a.convert("L"), float) - np.asarray(b.convert("L"), float))
    assert (difference > 60).mean() < 2e-4  # rounding moves an edge here and there
