"""Bootstrap intervals: the measures are those of the evaluation, and intervals cover what they should."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genovi.evaluation import agreement
from genovi.resampling import Interval, contingency, intervals, measures
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
    assert found["AMI"][0] == pytest.approx(expected.ami, abs=1e-6)


@pytest.mark.parametrize(("n", "clusters", "names"), [(2500, 20, 26), (50_000, 20, 26), (900, 3, 2), (400, 2, 40)])
def test_what_chance_gives_is_that_of_scikit_learn(n: int, clusters: int, names: int) -> None:
    rng = np.random.default_rng(n)
    of, share = rng.integers(clusters, size=n), rng.dirichlet(np.ones(names))
    labels = np.where(rng.random(n) < 0.5, of % names, rng.choice(names, n, p=share)).astype(str).astype(object)
    found = measures(contingency(of, labels)[None])
    assert found["AMI"][0] == pytest.approx(agreement(of, list(labels)).ami, abs=2e-6)


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


def sparse_tables(n: int) -> np.ndarray:
    """Tables of 400 samples in 12 clusters and 15 labels: two samples in a cell."""
    rng = np.random.default_rng(5)
    share = 0.7 * np.eye(12, 15) + 0.3 * rng.dirichlet(np.ones(15), size=12)
    return rng.multinomial(400, (share / share.sum()).ravel(), size=n).reshape(n, 12, 15)


def intervals_of(table: np.ndarray) -> Mapping[str, Interval]:
    clusters, labels = (np.repeat(axis.ravel(), table.ravel()) for axis in np.indices(table.shape))
    found = intervals(read_out(labels.astype(str), clusters), 12)
    return {name.split(",")[0]: one for name, one in found.items()}


def test_intervals_hold_the_value_where_drawing_again_adds_order() -> None:
    for table in sparse_tables(3):
        assert all(one.low < one.value < one.high for name, one in intervals_of(table).items() if "near" not in name)


@pytest.mark.verification
def test_intervals_cover_the_mean_of_what_such_samples_give() -> None:
    tables = sparse_tables(2000)
    truth = {name: values.mean() for name, values in measures(tables).items()}
    found = [intervals_of(table) for table in tables[:200]]
    covered = {
        name: np.mean([one[name].low <= mean <= one[name].high for one in found]) for name, mean in truth.items()
    }
    assert all(0.84 <= share <= 0.99 for share in covered.values()), covered  # 0.95 with more samples in a cell
