"""How sure the scores of an embedding are: percentile intervals of the bootstrap over samples.

    T_b = T(X*_b),   X*_b: n samples drawn with replacement from the n labelled ones,   b = 1 .. B
    interval = the (1 - c) / 2 and (1 + c) / 2 quantiles of T_b - (mean of T_1 .. T_B - T(X))

(Efron and Tibshirani 1993, chapters 10 and 13).
A table that is drawn from a table looks more orderly than that one: mutual information and purity lean upwards, by
more than the width of the interval where there are many cells. So draws are moved by the mean of what drawing adds.

The map, its clusters and the neighbours stay as they are: intervals speak of which samples were judged, not of training
again with another seed. Every measure here depends on the samples by the table of clusters and labels alone, so drawing
samples is drawing that table, Multinomial(n, table / n).

AMI needs the mutual information that chance alone would give, of which each cell has its part: with a samples in the
cluster and b with the label, x of the cell is hypergeometric, and

    E[I] = H(cluster) + H(label) - log n + (1 / n) sum_cells E[x log x]        (Vinh, Epps and Bailey 2010)

E[x log x] is summed over x where few are expected, and else expanded around the mean m with central moments u_k:
m log m + u_2 / 2m - u_3 / 6m^2 + u_4 / 12m^3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from genovi.scores import ReadOut

DRAWS = 1000
COVERAGE = 0.95
_SEED = 2
_TOGETHER = 16  # tables whose chance is found at once: what stays in the processor's cache
_SUMMED = 20.0  # expected samples in a cell up to which E[x log x] is summed


@dataclass(frozen=True)
class Interval:
    """One measure.

    Attributes:
        value: On the samples as they are.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float


def intervals(read: ReadOut, components: int) -> Mapping[str, Interval]:
    """Measures of one read-out by name, each with its interval, in the order of a table.

    Args:
        read: The read-out.
        components: Components of its mixture, for the names.
    """
    rng = np.random.default_rng(_SEED)
    told = int(read.told.sum())
    shares = rng.binomial(told, read.accuracy, size=DRAWS) / told
    found = {"nearest-neighbour accuracy": _interval(read.accuracy, shares)}
    partitions = {f"mixture of {components}": read.mixture}
    if read.clusters is not None:
        partitions["the model's clusters"] = read.clusters
    for title, clusters in partitions.items():
        table = contingency(clusters, read.labels)
        n = table.sum()
        drawn = rng.multinomial(n, (table / n).ravel(), size=DRAWS).reshape(DRAWS, *table.shape)
        observed, resampled = measures(table[None]), measures(drawn)
        found |= {f"{name}, {title}": _interval(float(observed[name][0]), resampled[name]) for name in observed}
    return found


def contingency(clusters: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Samples of each cluster (rows) with each label (columns), int64.

    Args:
        clusters: Cluster of each sample, shape (n,), int.
        labels: Label of each sample, shape (n,), object (str).
    """
    rows = np.unique(clusters, return_inverse=True)[1]
    columns = np.unique(labels.astype(str), return_inverse=True)[1]
    table = np.zeros((rows.max() + 1, columns.max() + 1), dtype=np.int64)
    np.add.at(table, (rows, columns), 1)
    return table


def measures(tables: np.ndarray) -> dict[str, np.ndarray]:
    """Purity, completeness, NMI, AMI and ARI of many tables at once, defined as in genovi/evaluation.py.

    Args:
        tables: Counts, draws x clusters x labels, all of the same sum.

    Returns:
        One array of shape (draws,) for each measure.
    """
    n = tables[0].sum()
    by_cluster, by_label = tables.sum(axis=2), tables.sum(axis=1)
    h_cluster, h_label = _entropy(by_cluster), _entropy(by_label)
    mutual = h_cluster + h_label - _entropy(tables.reshape(len(tables), -1))
    together, one, other = (_pairs(t).sum(axis=1) for t in (tables.reshape(len(tables), -1), by_cluster, by_label))
    expected = one * other / (n * (n - 1) / 2)
    parts = [slice(first, first + _TOGETHER) for first in range(0, len(tables), _TOGETHER)]
    cells = np.concatenate([_expected_cells(by_cluster[part], by_label[part], int(n)) for part in parts])
    chance = h_cluster + h_label - np.log(n) + cells / n
    return {
        "purity": tables.max(axis=2).sum(axis=1) / n,
        "completeness": _ratio(mutual, h_cluster),
        "NMI": _ratio(mutual, (h_cluster + h_label) / 2),
        "AMI": _ratio(mutual - chance, (h_cluster + h_label) / 2 - chance),
        "ARI": _ratio(together - expected, (one + other) / 2 - expected),
    }


def _entropy(counts: np.ndarray) -> np.ndarray:
    """Entropy in nats of each row of counts."""
    share = counts / counts.sum(axis=1, keepdims=True)
    return -np.where(share > 0, share * np.log(np.where(share > 0, share, 1.0)), 0.0).sum(axis=1)


def _expected_cells(by_cluster: np.ndarray, by_label: np.ndarray, n: int) -> np.ndarray:
    """Sum over all cells of E[x log x], x hypergeometric with the table's margins; shape (draws,)."""
    a, b = np.broadcast_arrays(by_cluster[:, :, None].astype(np.float64), by_label[:, None, :].astype(np.float64))
    shape, (a, b) = a.shape, (a.ravel(), b.ravel())
    mean = a * b / n
    found = np.zeros(len(mean))
    summed, full = (mean > 0) & (mean <= _SUMMED), a + b > n
    for part in (summed & ~full, summed & full):  # almost every cell may be empty, and these take less time
        found[part] = _summed(a[part], b[part], n)
    found[mean > _SUMMED] = _expanded(a[mean > _SUMMED], b[mean > _SUMMED], n)
    return np.asarray(found.reshape(shape).sum(axis=(1, 2)))


def _summed(a: np.ndarray, b: np.ndarray, n: int) -> np.ndarray:
    """E[x log x] by the probabilities of x = 0, 1, ...: each follows from the one before."""
    if not len(a):
        return np.zeros(0)
    from scipy.special import gammaln

    empty = n - a - b
    first = np.maximum(-empty, 0.0)  # the fewest that the margins allow
    factorials = [(a, 1), (b, 1), (n - a, 1), (n - b, 1), (first, -1), (a - first, -1), (b - first, -1)]
    log_p = sum(sign * gammaln(k + 1) for k, sign in factorials) - gammaln(n + 1.0) - gammaln(empty + first + 1)
    x, p = first if first.any() else np.zeros(1), np.exp(log_p)
    total = p * x * np.log(np.maximum(x, 1))
    largest = float((a * b).max() / n)
    for _ in range(int(largest + 10 * largest**0.5 + 10)):  # ten standard deviations above the largest mean
        p = p * (a - x) * (b - x) / ((x + 1) * (empty + x + 1))
        x = x + 1
        total += p * (x * np.log(x))
    return np.asarray(total)


def _expanded(a: np.ndarray, b: np.ndarray, n: int) -> np.ndarray:
    """E[x log x] from the mean and the next three central moments, the last one as of a normal distribution."""
    share, other = a / n, b / n
    mean = n * share * other
    second = mean * (1 - share) * (1 - other) * n / (n - 1)
    third = second * (1 - 2 * share) * (1 - 2 * other)
    return np.asarray(mean * np.log(mean) + second / (2 * mean) - third / (6 * mean**2) + second**2 / (4 * mean**3))


def _pairs(counts: np.ndarray) -> np.ndarray:
    return counts * (counts - 1) / 2


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """``part`` / ``whole``, 1 where both are 0: a partition of one cluster agrees with itself."""
    empty = np.abs(whole) < 1e-12
    return np.where(empty, 1.0, part / np.where(empty, 1.0, whole))


def _interval(value: float, drawn: np.ndarray) -> Interval:
    low, high = np.quantile(drawn - (drawn.mean() - value), [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return Interval(value, float(low), float(min(high, 1.0)))
