"""How well an embedding shows what labels say: clusters, neighbours, distances.

    purity        sum over clusters of their most frequent label's count, over n
    completeness  1 - H(cluster | label) / H(cluster)
    NMI           mutual information over the arithmetic mean of both entropies; AMI and ARI: adjusted for chance
    k-NN          share of samples that the majority of their k nearest neighbours in other folds labels rightly
    trustworthiness, continuity   k neighbours in the embedding are neighbours in the reference, and the reverse
                  (Venna and Kaski 2001)
    F_ST correlation  Spearman's, of distances between population centroids with F_ST (genovi/fst.py)

Labels come in here for the first time: they judge an embedding that has never seen them. Samples without a label are
left out and counted. Nothing is random: all seeds are fixed, and the global generators are not touched.
"""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Sequence

import numpy as np

from genovi.embedding import Embedding
from genovi.errors import DataError, MismatchError
from genovi.labels import SampleLabels, match
from genovi.scores import Agreement, LabelScores, ReadOut, ReadOuts, Scores, Transfer

_log = logging.getLogger("genovi")

_SEED = 2
_FOLDS = 5
_NEIGHBOURS = 20
_MAX_COMPONENTS = 20
_PER_COMPONENT = 5  # samples that a mixture component needs at least
_MIN_LABELLED = 10
_MAX_RANKED = 5000  # trustworthiness ranks all pairs: n x n numbers


def evaluate(
    embedding: Embedding,
    labels: SampleLabels,
    *,
    population: str | None = None,
    group: str | None = None,
    reference: np.ndarray | None = None,
    fst: tuple[Sequence[str], np.ndarray] | None = None,
) -> Scores:
    """Judge an embedding by labels.

    Args:
        embedding: Any embedding.
        labels: Labels of its samples, in any order.
        population: Column of populations; None guesses it.
        group: Column of super-populations; None guesses it, and does without where there is none.
        reference: What neighbourhoods are compared with, e.g. principal components; shape (n_samples, k), rows in
            the order of the embedding.
        fst: Population names and F_ST between them, as ``genovi.fst.hudson_fst`` returns.

    Raises:
        ConfigError: a column is not there.
        DataError: coordinates are not finite, or all samples are of one population.
        MismatchError: too few samples have labels, or the reference or F_ST do not belong to the embedding.
    """
    read = read_outs(embedding, labels, population=population, group=group)
    trust, continuity = (None, None) if reference is None else neighbourhood_scores(embedding, reference)
    populations = read.populations
    return Scores(
        method=embedding.method,
        n_dimensions=embedding.n_dimensions,
        n_samples=len(populations.rows),
        n_unlabelled=len(embedding.samples) - len(populations.rows),
        mixture_components=read.mixture_components,
        populations=_label_scores(populations),
        groups=None if read.groups is None else _label_scores(read.groups),
        trustworthiness=trust,
        continuity=continuity,
        fst_correlation=None
        if fst is None
        else _fst_correlation(embedding.mean[populations.rows], populations.labels, *fst),
    )


def read_outs(
    embedding: Embedding, labels: SampleLabels, *, population: str | None = None, group: str | None = None
) -> ReadOuts:
    """What is read off an embedding about each labelled sample; arguments and errors as those of ``evaluate``."""
    _check_finite(embedding)
    matched = match(labels, embedding.samples)
    column = population if population is not None else labels.default_population_column()
    populations = np.array(matched.column(column), dtype=object)
    kept = np.flatnonzero(populations != "")
    check_populations(populations[kept], column, labels.source)
    if len(kept) < len(populations):
        _log.info("%d samples without %s are left out of the evaluation", len(populations) - len(kept), column)
    n_components = min(_MAX_COMPONENTS, len(set(populations[kept])), max(2, len(kept) // _PER_COMPONENT))
    mixture = np.zeros(len(populations), dtype=np.int64)
    mixture[kept] = _mixture_clusters(embedding.mean[kept], n_components)

    group_column = group if group is not None else labels.default_group_column()
    groups = None
    if group_column is not None:
        groups = np.array(matched.column(group_column), dtype=object)
        groups[populations == ""] = ""
        if _n_repeated(groups) < 2:
            _log.info("column %s holds fewer than two groups and is not evaluated", group_column)
            groups = None
    return ReadOuts(
        mixture_components=n_components,
        populations=_read_out(column, embedding, populations, mixture),
        groups=None if groups is None else _read_out(str(group_column), embedding, groups, mixture),
    )


def agreement(clusters: np.ndarray, labels: Sequence[str]) -> Agreement:
    """Compare a clustering with labels.

    Args:
        clusters: Cluster of each sample, shape (n_samples,), int.
        labels: Label of each sample.
    """
    from sklearn import metrics

    cluster_code = np.unique(clusters, return_inverse=True)[1]
    label_code = np.unique(np.asarray(labels, dtype=str), return_inverse=True)[1]
    table = np.zeros((cluster_code.max() + 1, label_code.max() + 1), dtype=np.int64)
    np.add.at(table, (cluster_code, label_code), 1)
    return Agreement(
        n_clusters=table.shape[0],
        purity=float(table.max(axis=1).sum() / table.sum()),
        completeness=float(metrics.completeness_score(label_code, cluster_code)),
        nmi=float(metrics.normalized_mutual_info_score(label_code, cluster_code)),
        ami=float(metrics.adjusted_mutual_info_score(label_code, cluster_code)),
        ari=float(metrics.adjusted_rand_score(label_code, cluster_code)),
    )


def inductive_knn(
    train: Embedding,
    train_labels: Sequence[str],
    test: Embedding,
    test_labels: Sequence[str],
    k: int = _NEIGHBOURS,
) -> Transfer:
    """Label test samples by their nearest training samples.

    Args:
        train: Embedding that the model was fitted to.
        train_labels: Labels in its order, "" where there is none.
        test: Embedding of new samples on the same axes.
        test_labels: Labels in its order, "" where there is none.
        k: Neighbours to ask; reduced where populations are smaller.

    Raises:
        DataError: coordinates are not finite, or all training samples have one label.
        MismatchError: different axes, labels that do not fit, too few labelled samples, or no label in common.
    """
    from sklearn.neighbors import KNeighborsClassifier

    _check_finite(train)
    _check_finite(test)
    if train.n_dimensions != test.n_dimensions:
        raise MismatchError(
            f"training embedding has {train.n_dimensions} axes, test embedding {test.n_dimensions}",
            fix="embed the new samples with the model that made the training embedding",
        )
    if len(train_labels) != len(train.samples) or len(test_labels) != len(test.samples):
        raise MismatchError("labels and samples differ in number", fix="give one label, or '', for each sample")
    known = np.array(train_labels, dtype=object)
    labelled = known != ""
    check_populations(known[labelled], "label", "training labels")
    truth = np.array(test_labels, dtype=object)
    judged = np.isin(truth.astype(str), sorted(set(known[labelled])))
    if not judged.any():
        raise MismatchError("no test sample has a label of the training samples", fix="check both label columns")
    if not judged.all():
        _log.info("%d of %d test samples have no label of the training samples", int((~judged).sum()), len(truth))
    k = _reduced_k(k, list(known[labelled]), share=1.0)
    classifier = KNeighborsClassifier(n_neighbors=k).fit(train.mean[labelled], known[labelled].astype(str))
    predicted = classifier.predict(test.mean[judged])
    return Transfer(
        accuracy=float((predicted == truth[judged].astype(str)).mean()),
        k=k,
        n_train=int(labelled.sum()),
        n_test=int(judged.sum()),
        n_left_out=int((~judged).sum()),
    )


def neighbourhood_scores(embedding: Embedding, reference: np.ndarray, k: int = _NEIGHBOURS) -> tuple[float, float]:
    """Trustworthiness and continuity of an embedding, on at most 5,000 samples.

    Args:
        embedding: Any embedding.
        reference: Coordinates that it is compared with, shape (n_samples, m), rows in its order.
        k: Neighbours; reduced in small cohorts.

    Raises:
        DataError: the reference holds numbers that are not finite.
        MismatchError: the reference has another number of samples, or there are fewer than 10.
    """
    from sklearn.manifold import trustworthiness

    reference = np.asarray(reference, dtype=np.float64)
    n = len(embedding.samples)
    if reference.ndim != 2 or len(reference) != n:
        raise MismatchError(f"reference of shape {reference.shape} for {n} samples", fix="give one row per sample")
    if not np.isfinite(reference).all():
        raise DataError("reference is not finite", fix="leave the samples with missing coordinates out")
    if n < _MIN_LABELLED:
        raise MismatchError(f"too few samples: {n}", why=f"at least {_MIN_LABELLED} are needed", fix="add samples")
    rows = np.arange(n)
    if n > _MAX_RANKED:
        _log.info("trustworthiness and continuity are measured on %d of %d samples", _MAX_RANKED, n)
        rows = np.sort(np.random.default_rng(_SEED).choice(n, _MAX_RANKED, replace=False))
    k = min(k, (len(rows) - 1) // 2)
    low, high = embedding.mean[rows], reference[rows]
    return float(trustworthiness(high, low, n_neighbors=k)), float(trustworthiness(low, high, n_neighbors=k))


def _check_finite(embedding: Embedding) -> None:
    bad = ~np.isfinite(embedding.mean).all(axis=1)
    if bad.any():
        sample = embedding.samples[int(np.flatnonzero(bad)[0])]
        raise DataError("coordinates are not finite", where=f"sample {sample}", fix="leave that sample out")


def check_populations(populations: np.ndarray, column: str, source: str) -> None:
    """Refuse labels that cannot judge an embedding.

    Args:
        populations: Labels of those samples that have one, shape (n,), object (str).
        column: Where they are from, for messages.
        source: The table of that column.

    Raises:
        MismatchError: too few samples have labels.
        DataError: all samples are of one population, or almost every sample is of its own.
    """
    if len(populations) < _MIN_LABELLED:
        raise MismatchError(
            f"{len(populations)} samples have a {column}",
            where=source,
            why=f"an evaluation needs at least {_MIN_LABELLED}",
            fix="check that the column is the right one and that the ids match",
        )
    counts = Counter(populations)
    if len(counts) < 2:
        raise DataError(
            f"all samples have the same {column}, {populations[0]}",
            where=source,
            why="one population cannot be told from another",
            fix="name another column",
        )
    if _n_repeated(populations) < 2:
        raise DataError(
            f"{column} differs for almost every sample",
            where=source,
            why="populations of one sample cannot be evaluated",
            fix="name a column whose values repeat",
        )


def _n_repeated(labels: np.ndarray) -> int:
    """Number of labels, blank apart, that more than one sample has."""
    return sum(n > 1 and label != "" for label, n in Counter(labels).items())


def _read_out(column: str, embedding: Embedding, labels: np.ndarray, mixture: np.ndarray) -> ReadOut:
    rows = np.flatnonzero(labels != "")
    neighbours, k = _cross_validated_knn(embedding.mean[rows], list(labels[rows]), column)
    clusters = None if embedding.cluster is None else embedding.cluster[rows]
    return ReadOut(column, rows, labels[rows], neighbours, k, mixture[rows], clusters)


def _label_scores(read: ReadOut) -> LabelScores:
    names = list(read.labels)
    return LabelScores(
        column=read.column,
        n_labels=len(set(names)),
        n_samples=len(names),
        knn_accuracy=read.accuracy,
        knn_k=read.k,
        mixture=agreement(read.mixture, names),
        clusters=None if read.clusters is None else agreement(read.clusters, names),
    )


def _mixture_clusters(coordinates: np.ndarray, n_components: int) -> np.ndarray:
    """Components of a full-covariance Gaussian mixture, shape (n_samples,), int."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    # One common scale, so that the covariance floor of 1e-6 means the same for every method.
    centred = coordinates - coordinates.mean(axis=0)
    scale = float(np.sqrt((centred**2).mean())) or 1.0
    model = GaussianMixture(n_components, covariance_type="full", n_init=10, random_state=_SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct points than components: still a partition
        return np.asarray(model.fit_predict(centred / scale))


def _cross_validated_knn(coordinates: np.ndarray, labels: list[str], column: str) -> tuple[np.ndarray, int]:
    """Label that neighbours in other folds give each sample, "" where it is alone in its own; and their number."""
    from sklearn.model_selection import StratifiedKFold
    from sklearn.neighbors import KNeighborsClassifier

    counts = Counter(labels)
    kept = np.array([counts[label] > 1 for label in labels])
    if not kept.all():
        _log.info("%d samples are alone in their %s: no neighbour can tell it", int((~kept).sum()), column)
    points, truth = coordinates[kept], np.array(labels, dtype=str)[kept]
    k = _reduced_k(_NEIGHBOURS, list(truth), share=1 - 1 / _FOLDS)
    folds = StratifiedKFold(min(_FOLDS, max(counts.values())), shuffle=True, random_state=_SEED)
    given = np.full(len(truth), "", dtype=object)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        splits = list(folds.split(points, truth))
    for train, test in splits:
        classifier = KNeighborsClassifier(n_neighbors=min(k, len(train))).fit(points[train], truth[train])
        given[test] = classifier.predict(points[test])
    everyone = np.full(len(labels), "", dtype=object)
    everyone[kept] = given
    return everyone, k


def _reduced_k(k: int, labels: list[str], share: float) -> int:
    """``k``, or the median size of a population in training: more neighbours would always outvote small ones."""
    typical = max(1, int(share * float(np.median(list(Counter(labels).values())))))
    if typical < k:
        _log.info("populations are small: %d instead of %d nearest neighbours are asked", typical, k)
    return min(k, typical)


def _fst_correlation(
    coordinates: np.ndarray, populations: np.ndarray, names: Sequence[str], fst: np.ndarray
) -> float | None:
    from scipy.stats import spearmanr

    fst = np.asarray(fst, dtype=np.float64)
    if fst.shape != (len(names), len(names)):
        raise MismatchError(f"F_ST of shape {fst.shape} for {len(names)} populations", fix="give a square matrix")
    shared = [i for i, name in enumerate(names) if (populations == name).any()]
    if len(shared) < 3:
        raise MismatchError(
            f"{len(shared)} populations of the embedding have F_ST",
            why="a correlation needs at least three",
            fix="compute F_ST with the same label column",
        )
    centroids = np.stack([coordinates[populations == names[i]].mean(axis=0) for i in shared])
    distance = np.linalg.norm(centroids[:, None] - centroids[None], axis=2)
    pairs = np.triu_indices(len(shared), 1)
    divergence = fst[np.ix_(shared, shared)][pairs]
    known = np.isfinite(divergence)
    apart, divergence = distance[pairs][known], divergence[known]
    if len(apart) < 3 or np.ptp(apart) == 0 or np.ptp(divergence) == 0:
        _log.info("all centroid distances or all F_ST are equal: their rank correlation is not defined")
        return None
    return float(spearmanr(apart, divergence).statistic)
