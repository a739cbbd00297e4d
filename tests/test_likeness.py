"""Simulated genotypes held against real ones: distances, F_ST, frequencies."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import matrix_of, simulate_structure

from genovi import likeness
from genovi.errors import MismatchError
from genovi.fst import hudson_fst
from genovi.likeness import compare_frequencies, compare_fst, compare_nearest, most_similar, nearest


def by_hand(g: np.ndarray, h: np.ndarray) -> float:
    both = (g >= 0) & (h >= 0)
    return float(np.abs(g[both].astype(int) - h[both]).sum() / (2 * both.sum()))


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_distances_to_the_nearest(missing: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likeness, "_ANCHORS_AT_ONCE", 3)
    monkeypatch.setattr(likeness, "_ROWS", 7)
    rng = np.random.default_rng(1)
    a, b = (np.where(rng.random((40, n)) < missing, -1, rng.integers(0, 3, (40, n))).astype(np.int8) for n in (8, 11))
    expected = [min(by_hand(a[:, i], b[:, j]) for j in range(11)) for i in range(8)]
    np.testing.assert_allclose(nearest(matrix_of(a), matrix_of(b)), expected)
    others = [min(by_hand(b[:, i], b[:, j]) for j in range(11) if j != i) for i in (2, 5)]
    both = matrix_of(b)
    index = np.array([2, 5])
    np.testing.assert_allclose(nearest(both.take_samples(index), both, same=index), others)


def test_a_copy_is_found() -> None:
    everybody, _ = simulate_structure(1, 2, 60, 2000, 0.1)
    first = np.arange(everybody.n_samples) % 2 == 0
    training, fresh = (
        everybody.take_samples(first),
        everybody.take_samples(~first),
    )  # the same populations, other people
    kin = training.dosages()
    kin[:, 10] = np.where(
        np.arange(len(kin)) % 4 == 0, kin[:, 10], kin[:, 11]
    )  # the nearest two of the training samples
    training, generator = matrix_of(kin), np.random.default_rng(1)
    assert compare_nearest(fresh, training, generator).copies == 0
    copied = fresh.dosages()
    copied[:, 7] = kin[:, 3]
    copied[:20, 7] = 1
    found = compare_nearest(matrix_of(copied), training, generator)
    assert found.copies == 1 and found.simulated[0] < 0.05 < found.training[0]


def test_fst_of_simulated_populations() -> None:
    """Two halves of one simulation: the same populations, other people."""
    matrix, populations = simulate_structure(3, 4, 60, 800, 0.1)
    first = np.arange(matrix.n_samples) % 2 == 0
    real, simulated = matrix.take_samples(first), matrix.take_samples(~first)
    found = compare_fst(simulated, list(populations[~first]), real, list(populations[first]))
    assert found is not None and found.populations == ("pop1", "pop2", "pop3", "pop4")
    _, fst = hudson_fst(real, list(populations[first]))
    assert found.real == pytest.approx(fst[np.triu_indices(4, 1)].mean())
    _, fst = hudson_fst(simulated, list(populations[~first]))
    assert found.simulated == pytest.approx(fst[np.triu_indices(4, 1)].mean())
    _, half = hudson_fst(real, list(populations[first]))
    pairs = np.triu_indices(4, 1)
    assert found.correlation == pytest.approx(np.corrcoef(half[pairs], fst[pairs])[0, 1])
    assert abs(found.same) < 0.01 < found.real
    swapped = compare_fst(simulated, list(populations[~first][::-1]), real, list(populations[first]))
    assert swapped is not None and swapped.same > 0.05
    few = ["pop1"] * 3 + ["pop2"] * 117
    assert compare_fst(simulated, few, real, list(populations[first])) is None


def test_frequencies_of_draws_differ_as_much_as_draws_do() -> None:
    rng = np.random.default_rng(1)
    p = rng.uniform(0.05, 0.95, 2000)
    drawn = matrix_of(rng.binomial(2, p[:, None], (2000, 50)).astype(np.int8))
    found = compare_frequencies(drawn, p)
    assert found.rmse == pytest.approx(found.sampling, rel=0.05) and found.correlation > 0.95
    assert compare_frequencies(drawn, 1 - p).correlation < -0.95


def test_the_most_similar_population_is_that_of_neighbours() -> None:
    rng = np.random.default_rng(1)
    training = np.concatenate([rng.normal(size=(30, 2)), rng.normal(size=(30, 2)) + 9])
    names = ["A"] * 30 + ["B"] * 29 + [""]
    assert most_similar(training, names, np.array([[0.0, 0], [9, 9]])) == ("A", "B")
    with pytest.raises(MismatchError, match="has a label"):
        most_similar(training, [""] * 60, np.zeros((1, 2)))
