"""How sure the scores of an embedding are: percentile intervals of the bootstrap over samples.

    T_b = T(X*_b),   X*_b: n samples drawn with replacement from the n labelled ones,   b = 1 .. B
    interval = the (1 - c) / 2 and (1 + c) / 2 quantiles of T_1 .. T_B          (Efron and Tibshirani 1993, chapter 13)

The map, its clusters and the neighbours stay as they are: intervals speak of which samples were judged, not of training
again with another seed. Every measure here depends on the samples by the table of clusters and labels alone, so drawing
samples is drawing that table, Multinomial(n, table / n).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from genovi.scores import ReadOut

DRAWS = 1000
COVERAGE = 0.95
_SEED = 2


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
    """Purity, completeness, NMI and ARI of many tables at once; the definitions are those of genovi/evaluation.py.

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
    return {
        "purity": tables.max(axis=2).sum(axis=1) / n,
        "completeness": _ratio(mutual, h_cluster),
        "NMI": _ratio(mutual, (h_cluster + h_label) / 2),
        "ARI": _ratio(together - expected, (one + other) / 2 - expected),
    }


def _entropy(counts: np.ndarray) -> np.ndarray:
    """Entropy in nats of each row of counts."""
    share = counts / counts.sum(axis=1, keepdims=True)
    return -np.where(share > 0, share * np.log(np.where(share > 0, share, 1.0)), 0.0).sum(axis=1)


def _pairs(counts: np.ndarray) -> np.ndarray:
    return counts * (counts - 1) / 2


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """``part`` / ``whole``, 1 where both are 0: a partition of one cluster agrees with itself."""
    empty = np.abs(whole) < 1e-12
    return np.where(empty, 1.0, part / np.where(empty, 1.0, whole))


def _interval(value: float, drawn: np.ndarray) -> Interval:
    low, high = np.quantile(drawn, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return Interval(value, float(low), float(high))
