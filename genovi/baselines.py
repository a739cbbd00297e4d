"""PCA, t-SNE and UMAP as embeddings, so that every judge and plot works on them as on genovi's own.

All take principal components as plain arrays, samples x components, and change neither them nor any global random
state. Neighbourhoods larger than the cohort are reduced, with a line in the log. The same seeds give the same
coordinates on the same machine.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from genovi.embedding import Embedding
from genovi.errors import ConfigError, DataError, MismatchError
from genovi.seeding import Seeds

if TYPE_CHECKING:
    from umap import UMAP

_log = logging.getLogger("genovi")

_MIN_SAMPLES = 4
_SPECTRAL_MIN_SAMPLES = 16  # below, the eigensolver of UMAP's spectral start is out of its depth
_EXPECTED_OF_UMAP = (
    "Tensorflow not installed",  # at import
    "The TBB threading layer requires",  # numba, beside an old TBB
    "Graph is not fully connected",  # populations far apart
    "Spectral initiali[sz]ation failed",  # UMAP then starts from random positions
)


def pca_embedding(scores: np.ndarray, samples: Sequence[str], n: int = 2) -> Embedding:
    """The first ``n`` principal components.

    Args:
        scores: Principal components in descending order of variance, shape (n_samples, k).
        samples: Identifiers, one for each row.
        n: Components to keep, at most k.

    Raises:
        DataError: ``scores`` is no matrix of finite numbers with one row per sample.
        ConfigError: ``n`` is not between 1 and k.
    """
    scores = _checked(scores, samples, minimum=1)
    if not 1 <= n <= scores.shape[1]:
        raise ConfigError(f"{n} components asked for", why=f"there are {scores.shape[1]}", fix="ask for fewer")
    return Embedding(tuple(samples), scores[:, :n].copy(), method="pca")


def tsne_embedding(
    pcs: np.ndarray, samples: Sequence[str], seeds: Seeds, *, n_dimensions: int = 2, perplexity: float = 30.0
) -> Embedding:
    """t-SNE (scikit-learn, Barnes-Hut, started from PCA).

    Args:
        pcs: Principal components, shape (n_samples, k).
        samples: Identifiers, one for each row.
        seeds: Randomness; the stream is ``tsne``.
        n_dimensions: Axes of the embedding, 1 to 3 and at most k.
        perplexity: Effective number of neighbours; at most a third of the cohort is used.

    Raises:
        DataError: ``pcs`` is no matrix of finite numbers with one row per sample, or fewer than 4 samples.
        ConfigError: ``n_dimensions`` is not between 1 and 3, or more than k.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    pcs = _checked(pcs, samples)
    if not 1 <= n_dimensions <= min(3, pcs.shape[1]):
        raise ConfigError(
            f"{n_dimensions} dimensions asked of t-SNE",
            why=f"1 to {min(3, pcs.shape[1])} are possible",
            fix="ask for 2",
        )
    largest = (len(pcs) - 1) / 3
    if perplexity > largest:
        _log.info("t-SNE: perplexity reduced from %g to %g, as there are %d samples", perplexity, largest, len(pcs))
        perplexity = largest
    model = TSNE(
        n_components=n_dimensions,
        perplexity=perplexity,
        init="pca",
        learning_rate="auto",
        random_state=_seed(seeds, "tsne"),
    )
    # The order in which threads add up forces differs from run to run, and t-SNE amplifies it.
    with threadpool_limits(1, user_api="openmp"):
        mean = model.fit_transform(pcs)
    return Embedding(tuple(samples), mean.astype(np.float64), method="tsne")


def umap_embedding(
    pcs: np.ndarray,
    samples: Sequence[str],
    seeds: Seeds,
    *,
    n_dimensions: int = 2,
    n_neighbors: int = 15,
    min_dist: float = 0.1,
) -> Embedding:
    """UMAP fitted to all samples.

    Args:
        pcs: Principal components, shape (n_samples, k).
        samples: Identifiers, one for each row.
        seeds: Randomness; the stream is ``umap``.
        n_dimensions: Axes of the embedding.
        n_neighbors: Size of neighbourhoods; at most n_samples - 1 is used.
        min_dist: Least distance of points in the embedding; 0.1 and 0.5 are usual.

    Raises:
        DataError: ``pcs`` is no matrix of finite numbers with one row per sample, or fewer than 4 samples.
        ConfigError: a parameter is out of range.
    """
    pcs = _checked(pcs, samples)
    with _quiet_umap():
        mean = _umap(pcs, seeds, n_dimensions, n_neighbors, min_dist).embedding_
    return Embedding(tuple(samples), np.asarray(mean, dtype=np.float64), method="umap")


def umap_inductive(
    train_pcs: np.ndarray,
    train_samples: Sequence[str],
    test_pcs: np.ndarray,
    test_samples: Sequence[str],
    seeds: Seeds,
    *,
    n_dimensions: int = 2,
    n_neighbors: int = 15,
    min_dist: float = 0.1,
) -> tuple[Embedding, Embedding]:
    """UMAP fitted to training samples; test samples are placed by ``UMAP.transform``.

    Args:
        train_pcs: Principal components of the training samples, shape (n_train, k).
        train_samples: Their identifiers.
        test_pcs: Projections of the test samples onto the same axes, shape (n_test, k).
        test_samples: Their identifiers.
        seeds: Randomness; the stream is ``umap``.
        n_dimensions: Axes of the embedding.
        n_neighbors: Size of neighbourhoods; at most n_train - 1 is used.
        min_dist: Least distance of points in the embedding.

    Returns:
        Embeddings of the training and of the test samples.

    Raises:
        DataError: as for ``umap_embedding``.
        MismatchError: training and test have different numbers of components.
        ConfigError: a parameter is out of range.
    """
    train_pcs = _checked(train_pcs, train_samples)
    test_pcs = _checked(test_pcs, test_samples, minimum=1)
    if train_pcs.shape[1] != test_pcs.shape[1]:
        raise MismatchError(
            f"training samples have {train_pcs.shape[1]} components, test samples {test_pcs.shape[1]}",
            why="both must lie on the same axes",
            fix="project both with the same loadings",
        )
    with _quiet_umap():
        model = _umap(train_pcs, seeds, n_dimensions, n_neighbors, min_dist)
        placed = model.transform(test_pcs)
    train = Embedding(tuple(train_samples), np.asarray(model.embedding_, dtype=np.float64), method="umap")
    return train, Embedding(tuple(test_samples), np.asarray(placed, dtype=np.float64), method="umap")


def _umap(pcs: np.ndarray, seeds: Seeds, n_dimensions: int, n_neighbors: int, min_dist: float) -> UMAP:
    from umap import UMAP

    if n_neighbors < 2 or n_dimensions < 1 or not 0 <= min_dist <= 1:
        raise ConfigError(
            f"UMAP with n_neighbors {n_neighbors}, min_dist {min_dist} and {n_dimensions} dimensions",
            why="n_neighbors must be at least 2, min_dist between 0 and 1, dimensions at least 1",
            fix="use 15, 0.1 and 2",
        )
    if n_neighbors > len(pcs) - 1:
        _log.info(
            "UMAP: n_neighbors reduced from %d to %d, as there are %d samples", n_neighbors, len(pcs) - 1, len(pcs)
        )
        n_neighbors = len(pcs) - 1
    return UMAP(
        n_neighbors=n_neighbors,
        min_dist=min_dist,
        n_components=n_dimensions,
        init="spectral" if len(pcs) >= _SPECTRAL_MIN_SAMPLES else "random",
        random_state=_seed(seeds, "umap"),
        transform_seed=_seed(seeds, "umap/transform"),
        n_jobs=1,
    ).fit(pcs)


@contextmanager
def _quiet_umap() -> Iterator[None]:
    """Import and run UMAP without the warnings that are expected of it; any other warning passes."""
    with warnings.catch_warnings():
        for message in _EXPECTED_OF_UMAP:
            warnings.filterwarnings("ignore", message=message)
        yield


def _seed(seeds: Seeds, stream: str) -> int:
    return seeds.integer(stream) % 2**32  # all that NumPy's RandomState takes


def _checked(values: np.ndarray, samples: Sequence[str], minimum: int = _MIN_SAMPLES) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] != len(samples) or values.shape[1] == 0:
        raise DataError(f"components of shape {values.shape} for {len(samples)} samples", fix="give one row per sample")
    if not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0, 0])
        raise DataError(
            "a principal component is not finite", where=f"sample {samples[row]}", fix="leave that sample out"
        )
    if len(values) < minimum:
        raise DataError(
            f"{len(values)} samples are too few to embed", why=f"at least {minimum} are needed", fix="add samples"
        )
    return values
