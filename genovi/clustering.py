"""Clusters of an embedding: Gaussian mixtures on the map, their number chosen by the likelihood of held-out samples.

    log p(z_i) = log sum_c w_c N(z_i; m_c, C_c),      p(c | i) = E_{z ~ N(z_i, diag SD_i^2)} p(c | z)

z_i: position of sample i, SD_i: its posterior standard deviations. For each number of clusters the mixture is fitted
to four fifths of the samples and judged on the others, in turn. Taken is the smallest number whose held-out likelihood
is within one standard error (of the difference, over samples) of the best one's: more clusters than the data can tell
apart cost nothing there, but mean nothing either. Source of the rule: Breiman, Friedman, Olshen, Stone (1984), section
3.4.

The mixture whose probabilities are given is fitted to draws of the posteriors. One of the positions z_i alone could be
far narrower than these: posterior means of one group lie close to each other where a sample says little beyond which
group it is of. Draws of its samples would then belong to whatever broad cluster lies around.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from genovi.embedding import Embedding
from genovi.errors import ConfigError, DataError
from genovi.files import atomic_path
from genovi.seeding import Seeds

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

logger = logging.getLogger("genovi")

CANDIDATES = (*range(1, 11), 12, 14, 16, 18, 20, 24, 28, 32, 40, 50, 60)
FOLDS = 5
_LEAST = 5  # samples for each cluster that is tried
_PATIENCE = 2  # numbers without a better likelihood before larger ones are left untried
_DRAWS = 64
_STARTS = 3
_STEPS = 200
_SURE = 0.95
_RIDGE = 1e-4  # of the squared spread of the map, under which no cluster shrinks


@dataclass(frozen=True)
class Candidate:
    """One number of clusters.

    Attributes:
        clusters: The number.
        log_likelihood: Mean log p of held-out samples, nats.
        behind: How far that is behind the best number's.
        standard_error: Of this difference, over samples.
    """

    clusters: int
    log_likelihood: float
    behind: float
    standard_error: float


@dataclass(frozen=True)
class Clusters:
    """Samples in clusters, numbered from 1 by falling weight.

    Attributes:
        samples: Identifiers.
        probability: p(c | i), shape (n_samples, C).
        weight: w_c, shape (C,).
        mean: m_c, shape (C, d).
        covariance: C_c, shape (C, d, d).
        curve: The numbers that were tried; empty where the number was given.
        seed: Of folds and starts.
    """

    samples: tuple[str, ...]
    probability: np.ndarray
    weight: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray
    curve: tuple[Candidate, ...]
    seed: int

    @property
    def n_clusters(self) -> int:
        return len(self.weight)

    def table(self) -> pd.DataFrame:
        """One row for each sample, see docs/files.md."""
        best = self.probability.argmax(axis=1)
        columns: dict[str, Any] = {"IID": list(self.samples), "CLUSTER": best + 1}
        columns["CLUSTER_PROB"] = self.probability.max(axis=1).clip(max=1)
        return pd.DataFrame(columns | {f"P{c + 1}": self.probability[:, c] for c in range(self.n_clusters)})

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values; names no sample."""
        return {
            "clusters": self.n_clusters,
            "chosen_by": "held-out likelihood" if self.curve else "--clusters",
            "curve": [vars(candidate) for candidate in self.curve],
            "weights": self.weight.tolist(),
            "means": self.mean.tolist(),
            "covariances": self.covariance.tolist(),
            "seed": self.seed,
        }

    def write(self, prefix: Path) -> tuple[Path, Path]:
        """Write ``prefix`` + ".clusters.tsv" and ".clusters.json"; returns both."""
        table, record = (prefix.with_name(f"{prefix.name}.clusters.{kind}") for kind in ("tsv", "json"))
        with atomic_path(table) as first, atomic_path(record) as second:
            self.table().to_csv(first, sep="\t", index=False, lineterminator="\n", float_format="%.6g", quoting=3)
            second.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")
        return table, record

    def line(self) -> str:
        """For people to read."""
        why = "as asked for"
        if self.curve:
            best = max(self.curve, key=lambda candidate: candidate.log_likelihood).clusters
            why = f"the fewest within a standard error of the best held-out likelihood, that of {best}"
        sure = int((self.probability.max(axis=1) >= _SURE).sum())
        return (
            f"{self.n_clusters} clusters ({why}); {sure} of {len(self.samples)} samples belong to one with "
            f"a probability of {_SURE} or more"
        )


def find_clusters(embedding: Embedding, clusters: int | None, seed: int) -> Clusters:
    """Cluster the samples of an embedding.

    Args:
        embedding: Positions and, where there are some, standard deviations.
        clusters: Their number; None lets held-out samples decide.
        seed: Of folds, starts of the fit, and draws.

    Raises:
        ConfigError: fewer than one cluster, or more than there are different positions.
        DataError: all samples at one spot, or too few of them to hold some out.
    """
    z, seeds = embedding.mean, Seeds(seed)
    apart = len(np.unique(z, axis=0))
    if apart < 2:
        what = "one sample cannot be clustered" if len(z) == 1 else f"all {len(z)} samples lie at one spot"
        raise DataError(what, where=embedding.method, fix="give an embedding of more samples")
    if clusters is not None and not 1 <= clusters <= apart:
        raise ConfigError(
            f"--clusters {clusters}",
            why=f"there are {apart} different positions",
            fix=f"name a number from 1 to {apart}",
        )
    if clusters is None and min(len(z), apart) < 2 * FOLDS:
        raise DataError(
            f"{len(z)} samples are too few to choose a number of clusters", where=embedding.method, fix="--clusters K"
        )
    curve = () if clusters is not None else _curve(z, apart, seeds)
    chosen = clusters if clusters is not None else _fewest(curve)
    mixture = _fit(_spread(z, embedding.std, seeds), chosen, seeds.integer("clusters"))
    order = np.argsort(-mixture.weights_, kind="stable")
    probability = _probability(mixture, z, embedding.std, seeds)[:, order]
    return Clusters(
        embedding.samples,
        probability,
        mixture.weights_[order],
        mixture.means_[order],
        mixture.covariances_[order],
        curve,
        seed,
    )


def _spread(z: np.ndarray, std: np.ndarray | None, seeds: Seeds) -> np.ndarray:
    """Two draws of each posterior, mirror images of each other, shape (2 n, d); z where no posterior is known."""
    if std is None:
        return z
    apart = seeds.numpy("spread").standard_normal(z.shape) * std
    return np.concatenate([z + apart, z - apart])


def _fit(z: np.ndarray, clusters: int, state: int, starts: int = _STARTS) -> GaussianMixture:
    from sklearn.mixture import GaussianMixture

    ridge = _RIDGE * float(z.var(axis=0).mean()) + np.finfo(float).tiny
    mixture = GaussianMixture(clusters, reg_covar=ridge, n_init=starts, max_iter=_STEPS, random_state=state % 2**32)
    return mixture.fit(z)


def _curve(z: np.ndarray, apart: int, seeds: Seeds) -> tuple[Candidate, ...]:
    """Held-out log-likelihoods of numbers of clusters, ascending, until they no longer rise."""
    fold = seeds.numpy("folds").permutation(len(z)) % FOLDS
    tried: list[tuple[int, np.ndarray]] = []
    for clusters in CANDIDATES:
        if clusters > 1 and (
            clusters * _LEAST > len(z) * (FOLDS - 1) / FOLDS or clusters >= apart * (FOLDS - 1) / FOLDS
        ):
            break
        found = np.empty(len(z))
        for part in range(FOLDS):
            mixture = _fit(z[fold != part], clusters, seeds.integer(f"{clusters}/{part}"), 1)
            found[fold == part] = mixture.score_samples(z[fold == part])
        tried.append((clusters, found))
        best = max(range(len(tried)), key=lambda i: tried[i][1].mean())
        if len(tried) - 1 - best >= _PATIENCE:
            break
    top = max((found for _, found in tried), key=lambda found: float(found.mean()))
    return tuple(
        Candidate(
            clusters, float(found.mean()), float((top - found).mean()),
            float((top - found).std(ddof=1) / np.sqrt(len(z))),
        )
        for clusters, found in tried
    )  # fmt: skip


def _fewest(curve: Sequence[Candidate]) -> int:
    return next(each.clusters for each in curve if each.behind <= each.standard_error)


def _probability(mixture: GaussianMixture, z: np.ndarray, std: np.ndarray | None, seeds: Seeds) -> np.ndarray:
    """p(c | i), over the posterior of each sample where it is known, shape (n_samples, C)."""
    if std is None:
        return np.asarray(mixture.predict_proba(z))
    draws = seeds.numpy("draws").standard_normal((_DRAWS, 1, z.shape[1]))  # the same for all samples
    return np.mean([mixture.predict_proba(z + each * std) for each in draws], axis=0)
