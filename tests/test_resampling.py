"""Bootstrap intervals: the measures are those of the evaluation, and intervals cover what they should."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genovi.evaluation import agreement
from genovi.resampling import contingency, intervals, measures
from genovi.scores import ReadOut


def read_out(labels: np.ndarray, clusters: np.ndarray, right: np.ndarray | None = None) -> ReadOut:
    labels = labels.astype(object)
    neighbours = labels.copy()
    if right is not None:
        neighbours[~right] = "other"
    return ReadOut("pop", np.arange(len(labels)), labels, neighbours, 5, clusters, None)


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from("abcd")), min_size=3, max_size=60))
def test_measures_are_those_of_the_evaluation(pairs: list[tuple[int, str]]) -> None:
    clusters, labels = np.array([c for c, _ in pairs]), [name for _, name in pairs]
    found = measures(contingency(clusters, np.array(labels, dtype=object))[None])
    expected = agreement(clusters, labels)
    assert found["purity"][0] == pytest.approx(expected.purity)
    assert found["completeness"][0] == pytest.approx(expected.completeness, abs=1e-9)
    assert found["NMI"][0] == pytest.approx(expected.nmi, abs=1e-9)
    assert found["ARI"][0] == pytest.approx(expected.ari, abs=1e-9)


def test_many_tables_are_measured_as_one_by_one() -> None:
    rng = np.random.default_rng(1)
    tables = rng.multinomial(200, np.full(12, 1 / 12), size=7).reshape(7, 3, 4)
    together = measures(tables)
    for k in range(7):
        for name, value in measures(tables[k : k + 1]).items():
            assert together[name][k] == pytest.approx(value[0])


def test_intervals_hold_the_value_and_narrow_with_more_samples() -> None:
    rng = np.random.default_rng(2)
    widths = []
    for n in (100, 1600):
        labels = rng.choice(np.array(["a", "b", "c"]), n)
        clusters = np.where(rng.random(n) < 0.8, np.unique(labels, return_inverse=True)[1], rng.integers(0, 3, n))
        found = intervals(read_out(labels, clusters, rng.random(n) < 0.7), 3)
        assert all(one.low <= one.value <= one.high for one in found.values())
        widths.append({name: one.high - one.low for name, one in found.items()})
    for name in widths[0]:
        assert widths[1][name] == pytest.approx(widths[0][name] / 4, rel=0.45)


def test_accuracy_has_the_interval_of_a_share() -> None:
    right = np.arange(400) < 300
    found = intervals(read_out(np.repeat(["a", "b"], 200), np.zeros(400, int), right), 1)
    accuracy = found["nearest-neighbour accuracy"]
    assert accuracy.value == 0.75
    half = 1.96 * np.sqrt(0.75 * 0.25 / 400)
    assert (accuracy.high - accuracy.low) / 2 == pytest.approx(half, rel=0.1)


def test_intervals_repeat() -> None:
    read = read_out(np.repeat(["a", "b"], 50), np.arange(100) % 3, np.arange(100) % 4 > 0)
    assert intervals(read, 3) == intervals(read, 3)


def test_a_perfect_partition_is_certain() -> None:
    found = intervals(read_out(np.repeat(["a", "b"], 50), np.repeat([0, 1], 50)), 2)
    assert all((one.low, one.value, one.high) == pytest.approx((1, 1, 1)) for one in found.values())
